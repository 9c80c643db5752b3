"""One call to a model under a policy: budget, rate limit, tries in one layer, breaker, time limit, cost, trace span.

A call may be made twice: it asks and changes nothing. What is lost is its price, which ledger and budget count.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from opentelemetry import trace

from models.compose.background import Background
from models.compose.budget import Clock, Estimate, Spending
from models.compose.deadline import spending_of_request
from resources.account import current_account
from resources.calls.breaker import Breaker
from resources.calls.failure import CallFailed, CallRefused
from resources.calls.policy import CallPolicy
from resources.calls.usage import Usage
from resources.cost_ledger import CostLedger

T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)
#: Trials of a breaker that calls without a deadline wait for; in a longer outage they fail at once.
_TRIALS_WAITED_FOR = 3


@dataclass(frozen=True)
class Answered(Generic[T]):
    """An answer of an adapter, with the tokens that it counts; 0 where nothing is paid by tokens."""

    value: T
    input_tokens: int = 0
    output_tokens: int = 0


class Guard:
    """Makes calls under a policy.

    Args:
        name: of the model, in messages and spans.
        operation: `embeddings` or `chat`, in spans.
        policy: limits and prices.
        is_remote: the model is on another machine: timeouts end calls, and its price must be set.
        clock: seconds.
        sleep: waits for so many seconds.
        draw: number from 0 to 1, by which pauses of several callers differ.
    """

    def __init__(
        self,
        name: str,
        operation: str,
        policy: CallPolicy,
        *,
        is_remote: bool,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._name, self._operation, self.policy, self._is_remote = name, operation, policy, is_remote
        self._clock, self._sleep, self._draw = clock, sleep, draw
        self.breaker = Breaker(name, failures=policy.open_after_failures, seconds=policy.open_seconds, clock=clock)
        self.usage = Usage()
        self._times: deque[float] = deque()
        self._lock = threading.Lock()
        self._warned = False
        self._ledger: CostLedger | None = None

    def keep_costs(self, ledger: CostLedger) -> None:
        """Record the calls of a model on another machine, or with a price, in the ledger, and keep its day's limit."""
        if self._is_remote or self.policy.input_eur_per_million_tokens is not None:
            self._ledger = ledger

    def call(
        self,
        work: Callable[[float], Answered[T]],
        *,
        tokens: int,
        most_output: int = 0,
        spending: Spending | None = None,
    ) -> T:
        """Return the answer of `work`, which is given its time limit in seconds.

        Args:
            work: one try.
            tokens: estimate of what is sent.
            most_output: limit of what is answered.
            spending: budget of the request; a call that would go over it is not made. None: its deadline alone.

        Raises:
            CallRefused: the budget does not suffice, or there is no price that it could be compared with.
            CallFailed: every try failed.
        """
        with trace.get_tracer("tessera").start_as_current_span(f"{self._operation} {self._name}") as span:
            span.set_attribute("gen_ai.operation.name", self._operation)
            span.set_attribute("gen_ai.request.model", self._name)
            answer = self._tried(work, self._price(tokens, most_output), spending or spending_of_request())
            span.set_attribute("gen_ai.usage.input_tokens", answer.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", answer.output_tokens)
            paid = self._price(answer.input_tokens, answer.output_tokens)
            if paid is not None:
                span.set_attribute("tessera.money_eur", paid)
            return answer.value

    def _tried(
        self, work: Callable[[float], Answered[T]], most_eur: float | None, spending: Spending | None
    ) -> Answered[T]:
        for number in range(1, self.policy.tries + 1):
            self._wait_for_trial(spending)
            self._reserve(most_eur, spending)
            self._wait_for_turn(spending)
            entry, seconds = self._begun(most_eur, spending), self._seconds(spending)
            try:
                answer = self._within_time(work, seconds)
            except CallFailed as failure:
                # A refusal is not paid. An answer that is late may be: what was reserved for it counts as spent.
                paid = most_eur if failure.may_be_paid else 0.0
                self._settle(most_eur, paid, spending)
                self.usage.add(money_eur=paid or 0.0)
                self._end(entry, paid, failed=True)
                self._count_failure(failure, seconds)
                pause = failure.retry_after_seconds or self._pause_seconds(number)
                if not self._may_try_again(failure, number) or not _has_time(spending, pause):
                    raise
                self._sleep(pause)
                continue
            self.breaker.succeeded()
            paid = self._count(answer, most_eur, spending)
            self._end(entry, paid, input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
            return answer
        raise AssertionError("unreachable")

    def _wait_for_trial(self, spending: Spending | None) -> None:
        """Wait until the breaker lets a call through, where no request waits: a short outage costs a night no answers.

        Raises:
            CallFailed: it is open, and a request waits, or the outage is longer than some trials.
        """
        left_ms, pause = None if spending is None else spending.remaining_ms(), self.breaker.seconds_to_trial()
        has_time = left_ms is None or left_ms >= 2000 * self.policy.open_seconds
        if pause and has_time and self.breaker.failed_trials < _TRIALS_WAITED_FOR:
            self._sleep(pause)
        self.breaker.require()

    def _pause_seconds(self, number: int) -> float:
        """Return the pause after a try: exponential, and shorter by chance, so that callers do not come together."""
        return self.policy.first_pause_seconds * 2 ** (number - 1) * (1 - self._draw() / 2)

    def _may_try_again(self, failure: CallFailed, number: int) -> bool:
        return failure.is_temporary and number < self.policy.tries and self.breaker.state == "closed"

    def _count_failure(self, failure: CallFailed, seconds: float) -> None:
        """Tell the breaker, unless the request's own deadline left the model less time than the policy."""
        if failure.is_temporary and not (failure.may_be_paid and seconds < self.policy.timeout_seconds):
            self.breaker.failed()

    def _price(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return EUR; None if it is unknown."""
        policy = self.policy
        if not self._is_remote and policy.input_eur_per_million_tokens is None:
            return 0.0
        prices = policy.input_eur_per_million_tokens, policy.output_eur_per_million_tokens
        if prices[0] is None or (prices[1] is None and output_tokens):
            return None
        return (prices[0] * input_tokens + (prices[1] or 0.0) * output_tokens) / 1e6

    def _reserve(self, most_eur: float | None, spending: Spending | None) -> None:
        if spending is None:
            return
        if most_eur is None and spending.budget.money_eur is not None:
            raise CallRefused(
                f"The price of {self._name} is unknown, and the budget allows {spending.budget.money_eur:g} EUR.",
                expected="prices in the settings of the model",
                todo="Set `calls: {input_eur_per_million_tokens, output_eur_per_million_tokens}`.",
            )
        estimate = Estimate(row_eur=most_eur or 0.0, row_calls=1)
        reason = spending.refusal(estimate, 1)
        if reason or not spending.reserve(estimate, 1):
            raise CallRefused(
                f"{self._name} was not called: {reason or spending.shortage(estimate)}.",
                expected="a call within the budget",
                todo="Raise the budget, or ask a cheaper model.",
            )

    def _begun(self, most_eur: float | None, spending: Spending | None) -> int | None:
        """Record a try in the ledger, and return its number there.

        Raises:
            CallRefused: the day's limit does not allow it.
        """
        if self._ledger is None:
            return None
        try:
            return self._ledger.begin(
                current_account(), self._name, self._operation, most_eur, self.policy.max_eur_per_day
            )
        except CallRefused:
            if spending is not None:
                spending.settle(money_eur=-(most_eur or 0.0), calls=-1)
            raise

    def _end(
        self,
        entry: int | None,
        paid: float | None,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        failed: bool = False,
    ) -> None:
        if self._ledger is not None and entry is not None:
            self._ledger.end(
                entry, input_tokens=input_tokens, output_tokens=output_tokens, money_eur=paid, failed=failed
            )

    def _settle(self, reserved: float | None, paid: float | None, spending: Spending | None) -> None:
        self.usage.add(calls=1)
        if spending is not None:
            spending.settle(money_eur=(paid or 0.0) - (reserved or 0.0))

    def _count(self, answer: Answered[T], reserved: float | None, spending: Spending | None) -> float | None:
        """Count an answer, and return its price in EUR; None if it is unknown."""
        paid = self._price(answer.input_tokens, answer.output_tokens)
        self._settle(reserved, paid, spending)
        self.usage.add(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, money_eur=paid or 0.0)
        if paid is None:
            self.usage.add(unpriced_calls=1)
            if not self._warned:
                self._warned = True
                _LOGGER.warning("The price of %s is unknown: its calls are counted, their cost is not.", self._name)
        return paid

    def _wait_for_turn(self, spending: Spending | None) -> None:
        """Wait until another call is within the rate limit."""
        if not self.policy.calls_per_minute:
            return
        with self._lock:
            now = self._clock()
            while self._times and self._times[0] <= now - 60:
                self._times.popleft()
            pause = self._times[0] + 60 - now if len(self._times) >= self.policy.calls_per_minute else 0.0
            if not _has_time(spending, pause):
                raise CallFailed(
                    f"{self._name} may be called {self.policy.calls_per_minute} times a minute, and the next call is "
                    f"due in {pause:.0f} s, after the deadline.",
                    is_temporary=True,
                )
            if pause:
                self._sleep(pause)
                self._times.popleft()
            self._times.append(self._clock())

    def _seconds(self, spending: Spending | None) -> float:
        left = None if spending is None else spending.remaining_ms()
        return self.policy.timeout_seconds if left is None else min(self.policy.timeout_seconds, max(left, 1.0) / 1000)

    def _within_time(self, work: Callable[[float], Answered[T]], seconds: float) -> Answered[T]:
        """Return the answer if it comes in time; a call to another machine that hangs is left to its thread."""
        if not self._is_remote:
            return work(seconds)
        try:
            return Background(lambda: work(seconds)).result(seconds)
        except TimeoutError:
            says = f"{self._name} gave no answer within {seconds:g} s."
            raise CallFailed(says, is_temporary=True, may_be_paid=True) from None


def _has_time(spending: Spending | None, seconds: float) -> bool:
    left = None if spending is None else spending.remaining_ms()
    return left is None or left > seconds * 1000
