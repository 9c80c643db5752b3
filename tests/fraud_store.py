"""The state of the fraud stream with the alerts beside it, as tests look at both through one object."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from assets.fraud.stream.state import FraudState
from models.alerts import Alert
from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.fraud.alerts import Scored, raised_by
from models.fraud.stream_state import FRAUD_STATE
from resources.state_store.port import ErasableStateStore, StateStore
from resources.state_store.sqlite_state_store import SqliteStateStore

DAY = date(2018, 8, 8)
NOON = datetime(2018, 8, 8, 12, tzinfo=UTC)


def micros(at: datetime) -> int:
    """Return µs since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def payment(number: int, *, customer: str = "c1", terminal: str = "t1", at: datetime = NOON) -> Payment:
    """Return a payment of `number` EUR."""
    return Payment(number, customer, terminal, micros(at), 100 * number)


def scored(one: Payment, score: float = 0.9) -> Scored:
    """Return the payment with a score and features of its own."""
    return Scored(one, [one.transaction_id + place / 8 for place in range(len(FEATURES))], score, "7")


def alert(paid: Payment, *, score: float = 0.9) -> Alert:
    """Return the alert that the payment raises."""
    return raised_by(scored(paid, score), {"amount": 1.5, "is_night": -0.25})


class FraudStore(FraudState):
    """The state; what it does not have itself is asked of its store's alerts."""

    def __init__(self, where: Path | StateStore) -> None:
        super().__init__(where if isinstance(where, StateStore) else SqliteStateStore(where))

    def erase(self, customer_id: str) -> int:
        """Return the number of records removed."""
        assert isinstance(self.store, ErasableStateStore)
        return self.store.erase(FRAUD_STATE, "customer_id", customer_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store.alerts_beside, name)
