"""The score that a payment would get if it came now, on the state of the stream, which stays as it is.

Histories are read into caches of the request alone; nothing is committed, no alert raised, no event published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from assets.fraud.stream.cache import HistoryCache, PaymentCache, look_up
from assets.fraud.stream.context import CustomerFilter
from assets.fraud.stream.processor import Scorer
from assets.fraud.stream.state import FraudState
from assets.stages.operation import WrongRequest
from models.errors import TesseraError
from models.events import Event
from models.features.fraud_online import FraudWindows, Payment
from models.fraud.event_parsing import PaymentLimits, Unusable, check_time, payment_of


@dataclass(frozen=True)
class DryRun:
    """Scores payments on the state of the stream.

    Attributes:
        state: of the stream.
        limits: which payments are taken.
        customers: refuses payments as the stream does.
        clock: of this machine.
    """

    state: FraudState
    limits: PaymentLimits
    customers: CustomerFilter
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def features(self, event: Event) -> tuple[Payment, list[float]]:
        """Return the payment of an event with its features; one that the stream knows, with them as they are now.

        Raises:
            WrongRequest: the stream would refuse the event.
            TesseraError: the stream has not begun: it knows of no payment.
        """
        position, newest = self.state.position()
        if not position:
            raise TesseraError(
                "The fraud stream has processed no event yet.",
                expected="a stream whose windows are known",
                todo="Start it: `tessera stream fraud --until-empty`.",
            )
        try:
            return self._given(event, newest)
        except Unusable as reason:
            raise WrongRequest(
                f"The payment cannot be scored: {reason}.",
                expected="a payment that the stream would take",
                todo="Correct it; limits are `settings.fraud.payments`.",
            ) from None

    def _given(self, event: Event, newest: int) -> tuple[Payment, list[float]]:
        payment = payment_of(event, self.limits)
        self.customers.refresh()
        if self.customers.is_forgotten(event):
            raise Unusable("the customer was erased")
        customers, terminals = (HistoryCache(kind, self.state) for kind in ("customer_id", "terminal_id"))
        payments = PaymentCache(self.state)
        look_up([payment], customers, terminals, payments, newest=newest)
        windows = FraudWindows(customers, terminals, payments)
        number = payment.transaction_id
        if number in payments:
            if payments[number] != payment:
                raise Unusable(f"transaction_id {number} is that of another payment")
            return windows.again(number)
        check_time(payment, self.limits, now=self.clock(), newest=newest)
        self.customers.check(payment)
        return next(iter(windows.pay(payment)))


def scored(scorer: Scorer, features: list[float]) -> tuple[float, bool]:
    """Return the score of features, and True if it would raise an alert."""
    (score,) = scorer.scores([features])
    return float(score), score >= scorer.threshold
