"""What the stream asks its store: each question may be a way to a server and back, so not one for each event."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from assets.fraud.stream.processor import FraudProcessor
from models.events import Event
from models.fraud.event_parsing import PaymentLimits
from resources.events.sqlite_events import SqliteEvents
from tests.faults.fraud_stream_process import Formula
from tests.fraud_store import FraudStore

NOON = datetime(2018, 8, 8, 12, tzinfo=UTC)


class Counting(FraudStore):
    """A store that counts what it is asked."""

    asked = 0

    def _count(self, question: Any, of: Collection[Any]) -> Any:
        self.asked += 1
        return question(of)

    @override
    def histories(self, keys: Any) -> Any:
        return self._count(super().histories, keys)

    @override
    def payments(self, ids: Any) -> Any:
        return self._count(super().payments, ids)

    @override
    def unscored(self, ids: Any) -> Any:
        return self._count(super().unscored, ids)

    @override
    def alerts(self, ids: Any) -> Any:
        return self._count(super().alerts, ids)


def payment(number: int, at: datetime) -> Event:
    data = {"transaction_id": number, "customer_id": f"c{number % 30}", "terminal_id": f"t{number % 7}", "amount": 20.0}
    return Event(id=f"p{number}", source="/t", type="payment", time=at, subject=f"c{number % 30}", data=data)


def fraud(number: int, at: datetime) -> Event:
    data = {"transaction_id": number, "is_fraud": True}
    return Event(id=f"l{number}", source="/t", type="payment.labelled", time=at, subject=f"c{number % 30}", data=data)


def test_a_batch_takes_few_questions_whatever_is_in_it(tmp_path: Path) -> None:
    """New payments, late ones, doubled ones, and labels that come late, for a worker that remembers nothing."""
    events, store = SqliteEvents(tmp_path / "events.db", 30, 10**6), Counting(tmp_path / "stream.db")
    first = [payment(number, NOON + timedelta(hours=number)) for number in range(400)]
    late = [payment(500 + number, NOON + timedelta(days=14, hours=number)) for number in range(40)]
    twice = [one.model_copy(update={"source": "/again"}) for one in first[-30:]]
    labels = [fraud(number, NOON + timedelta(days=8)) for number in range(30)]
    events.publish([*first, *late, *twice, *labels])
    FraudProcessor(events, store, PaymentLimits()).process(Formula(), limit=400)
    store.asked = 0
    step = FraudProcessor(events, store, PaymentLimits()).process(Formula(), limit=400)
    assert (step.events, step.payments, step.refused) == (100, 40, 0)
    assert step.scored_again > 100
    assert store.asked < 10
