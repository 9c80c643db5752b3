"""Budget of a request: time, money and calls to others, refused before they are spent."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from models.errors import TesseraError

#: Seconds of a clock that never goes back.
Clock = Callable[[], float]
#: Begins the reason of every refusal for want of time.
DEADLINE = "the deadline"
Limit = Literal["latency_ms", "money_eur", "calls"]


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a step: of a call, and of each record in it.

    Attributes:
        call_ms: wall time of a call, ms.
        row_ms: wall time of each record, ms.
        row_eur: money for each record, EUR.
        row_calls: calls to others (a model behind an API) for each record.
    """

    call_ms: float = 0.0
    row_ms: float = 0.0
    row_eur: float = 0.0
    row_calls: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise TesseraError(
                    f"An estimate has {name} {value}.", expected="a number of 0 or more", todo="Correct the step."
                )

    def latency_ms(self, n: int) -> float:
        """Expected wall time of `n` records, ms."""
        return self.call_ms + self.row_ms * n

    def plus(self, other: "Estimate", share: float = 1.0) -> "Estimate":
        """Return the cost of both, one after the other; `other` for a share of the records, 0 to 1."""
        return Estimate(
            self.call_ms + other.call_ms * (share > 0),
            self.row_ms + other.row_ms * share,
            self.row_eur + other.row_eur * share,
            self.row_calls + other.row_calls * share,
        )

    def beside(self, other: "Estimate") -> "Estimate":
        """Return the cost of both at the same time."""
        return Estimate(
            max(self.call_ms, other.call_ms),
            max(self.row_ms, other.row_ms),
            self.row_eur + other.row_eur,
            self.row_calls + other.row_calls,
        )


@dataclass(frozen=True)
class Budget:
    """Limits of one request, or of one batch as a whole; None: without a limit.

    Attributes:
        latency_ms: wall time from the start, ms.
        money_eur: money for calls to others, EUR.
        calls: number of calls to others.
    """

    latency_ms: float | None = None
    money_eur: float | None = None
    calls: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not 0 <= value < float("inf"):
                raise TesseraError(
                    f"A budget has {name} {value}.", expected="a number of 0 or more, or none", todo="Correct it."
                )

    def start(self, clock: Clock = time.monotonic) -> "Spending":
        """Start the clock."""
        return Spending(self, clock)


@dataclass
class Spending:
    """Remainder of a budget; safe to use from several threads.

    A step reserves what it expects to spend before it runs, and settles what it did spend afterwards.
    """

    budget: Budget
    clock: Clock = time.monotonic
    money_eur: float = 0.0
    calls: float = 0.0
    started: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def elapsed_ms(self) -> float:
        """Wall time since the start, ms."""
        return (self.clock() - self.started) * 1000

    def remaining_ms(self) -> float | None:
        """Wall time left, ms; negative if the deadline has passed, None without a limit."""
        limit = self.budget.latency_ms
        return None if limit is None else limit - self.elapsed_ms()

    def refusal(self, estimate: Estimate, n: int) -> str:
        """Return the reason why there is no time for `n` records, "" if there is."""
        left = self.remaining_ms()
        if left is None:
            return ""
        needed = estimate.latency_ms(n)
        if left > 0 and needed <= left:
            return ""
        limit = self.budget.latency_ms
        return f"{DEADLINE} of {limit:g} ms leaves {max(left, 0):.1f} ms, and it takes {needed:.1f} ms"

    def reserve(self, estimate: Estimate, n: int) -> int:
        """Return the number of records that money and calls suffice for, 0 to `n`; their cost is reserved."""
        if not (estimate.row_eur or estimate.row_calls):
            return n
        with self._lock:
            paid = min(
                n,
                _fits(self.budget.money_eur, self.money_eur, estimate.row_eur, n),
                _fits(self.budget.calls, self.calls, estimate.row_calls, n),
            )
            self.money_eur += paid * estimate.row_eur
            self.calls += paid * estimate.row_calls
        return paid

    def settle(self, *, money_eur: float = 0.0, calls: float = 0.0) -> None:
        """Add the difference between what was spent and what was reserved; negative if less was spent."""
        with self._lock:
            self.money_eur += money_eur
            self.calls += calls

    def shortage(self, estimate: Estimate) -> str:
        """Return in words which limit is reached for a step of this cost."""
        money, each = self.budget.money_eur, estimate.row_eur
        if money is not None and _fits(money, self.money_eur, each, 1) < 1:
            left = max(0.0, money - self.money_eur)
            return f"the budget of {money:g} EUR leaves {left:.6g}, and it costs {each:.6g}"
        return f"the budget allows {self.budget.calls} calls, and {self.calls:g} are made"


def _fits(limit: float | None, spent: float, each: float, n: int) -> int:
    if limit is None or not each:
        return n
    # Sums of prices carry rounding errors: a thousandth of one record does not decide.
    return max(0, int((limit - spent) / each + 0.001))
