"""A label that comes before its payment counts when the payment comes, as in the windows of the whole history."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.fraud.stream.early_labels import EARLY_LABELS
from assets.fraud.stream.processor import FraudProcessor
from assets.fraud.stream.state import Batch
from models.events import Event
from models.features.fraud_online import TERMINAL_REACH, Payment
from models.features.windows import MICROS_PER_DAY as DAY
from models.fraud.event_parsing import PaymentLimits
from models.timestamps import to_datetime, to_epoch_micros
from resources.events.sqlite_events import SqliteEventsConfig
from tests.faults.fraud_stream_process import Formula
from tests.fraud_store import FraudStore
from tests.unit.features.test_label_histories import Said, offline, online

T0 = to_epoch_micros(datetime(2026, 3, 1, 10, tzinfo=UTC))
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMITS = PaymentLimits(max_late_days=60, max_jump_days=60)


def paid(number: int, terminal: str, at: int) -> Payment:
    return Payment(number, f"c{number}", terminal, at, 2000)


def event_of(one: Payment | Said, position: int = 0) -> Event:
    if isinstance(one, Payment):
        data = {"transaction_id": one.transaction_id, "customer_id": one.customer_id, "terminal_id": one.terminal_id}
        kind, at, who = "payment", one.micros, one.customer_id
        data["amount"] = one.cents / 100
    else:
        data = {"transaction_id": one[0], "is_fraud": one[2]}
        kind, at, who = "payment.labelled", one[1], f"c{one[0]}"
    return Event(id=f"{kind}-{position}", source="/test", type=kind, time=to_datetime(at), subject=who, data=data)


@dataclass
class World:
    folder: Path
    limits: PaymentLimits = LIMITS
    keep_scores_days: float = 99

    def __post_init__(self) -> None:
        self.events = SqliteEventsConfig(path=str(self.folder / "events.db")).open()
        self.store = FraudStore(self.folder / "stream.db")

    def stream(self, store: FraudStore | None = None) -> FraudProcessor:
        kept = self.keep_scores_days
        return FraudProcessor(self.events, store or self.store, self.limits, keep_scores_days=kept, clock=lambda: NOW)

    def fed(self, events: list[Payment | Said], *, size: int) -> None:
        self.events.publish([event_of(one, position) for position, one in enumerate(events)])
        while self.events.backlog("fraud"):
            self.stream().process(Formula(), limit=size)  # each time anew, as after a crash

    def features(self) -> dict[int, list[float]]:
        with sqlite3.connect(self.folder / "stream.db") as connection:
            found = connection.execute("SELECT transaction_id, features FROM fraud_scored").fetchall()
        return {number: list(memoryview(packed).cast("d")) for number, packed in found}

    def held(self) -> list[str]:
        with sqlite3.connect(self.folder / "stream.db") as connection:
            return [
                row[0] for row in connection.execute("SELECT value FROM fraud_history WHERE key = ?", (EARLY_LABELS,))
            ]


MOMENTS = st.builds(
    lambda days, off: T0 + days * DAY + off, st.sampled_from([0, 1, 7, 8, 14, 30, 37]), st.integers(-1, 1)
)


@settings(max_examples=10, deadline=None)
@given(
    places=st.lists(st.tuples(st.sampled_from("tu"), MOMENTS), min_size=2, max_size=6),
    told=st.lists(st.tuples(st.integers(0, 5), MOMENTS, st.booleans()), max_size=8),
    size=st.sampled_from([2, 3, 50]),
    data=st.data(),
)
def test_in_any_order_the_stream_ends_with_the_windows_of_the_whole_history(
    places: list[tuple[str, int]], told: list[Said], size: int, data: st.DataObject
) -> None:
    payments = [paid(number, *row) for number, row in enumerate(places)]
    said = [one for one in told if one[0] < len(payments)]
    events = data.draw(st.permutations([*payments, *said]))
    with TemporaryDirectory() as name:
        world = World(Path(name))
        world.fed(list(events), size=size)
        assert world.features() == online([*payments, *said])[0]  # which equals what is computed offline
        assert world.held() == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, PaymentLimits(max_jump_days=60), keep_scores_days=14)


def test_a_label_without_its_payment_is_a_dead_letter_and_is_not_held_forever(world: World) -> None:
    world.fed([paid(1, "t", T0), (2, T0, True)], size=1)
    (letter,) = world.events.dead_letters()
    assert "transaction_id 2 is no payment that the stream still knows; if its payment comes" in letter.reason
    assert world.held() == ["2"]
    later = T0 + TERMINAL_REACH + 9 * DAY
    for number in (3, 4):
        world.events.publish([event_of(paid(number, "t", later), number)])
        world.stream().process(Formula(), limit=1)
    assert world.held() == []


def test_a_crash_leaves_the_label_held_or_in_the_queue(world: World) -> None:
    class Dying(FraudStore):
        def commit(self, batch: Batch) -> None:
            raise KeyboardInterrupt

    world.events.publish([event_of((1, T0 + DAY, True))])
    with pytest.raises(KeyboardInterrupt):
        world.stream(Dying(world.folder / "stream.db")).process(Formula(), limit=9)
    assert (world.events.backlog("fraud"), world.events.dead_letters()) == (1, [])
    world.fed([paid(1, "t", T0), paid(2, "t", T0 + 8 * DAY)], size=1)
    expected = offline([paid(1, "t", T0), paid(2, "t", T0 + 8 * DAY)], [(1, T0 + DAY, True)], world.folder)
    assert world.features() == expected
