"""Labels from two sides: whatever the order in which they come, stream and lake end at the same features."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from assets.fraud import features as fraud_features
from assets.fraud import feedback as alert_feedback
from assets.fraud import replay as payment_replay
from assets.fraud import training as fraud_training
from assets.fraud.stream.processor import FraudProcessor
from models.alerts import Alert, Feedback
from models.errors import TesseraError
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.fraud.event_parsing import PaymentLimits
from models.fraud.labels import FEEDBACK, event_of, feedback_rows
from resources.events.sqlite_events import SqliteEventsConfig
from resources.lake.delta import DeltaLakeConfig
from resources.lake.port import Lake
from tests.faults.fraud_stream_process import Formula
from tests.fraud_store import FraudStore
from tests.unit.features.orders import engine

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

T0 = datetime(2018, 6, 1, 12, tzinfo=UTC)
NOW = T0 + timedelta(days=60)
PAYMENTS = pa.schema(
    [
        ("transaction_id", pa.int64()),
        ("customer_id", pa.string()),
        ("terminal_id", pa.string()),
        ("paid_at", pa.timestamp("us", "UTC")),
        ("amount", pa.float64()),
        ("delivered_on", pa.date32()),
    ]
)
LABELS = pa.schema(
    [
        ("transaction_id", pa.int64()),
        ("is_fraud", pa.bool_()),
        ("labelled_at", pa.timestamp("us", "UTC")),
        ("delivered_on", pa.date32()),
    ]
)


def moment(draw: st.DrawFn, days: Sequence[int]) -> datetime:
    """At and beside the ends of windows and of the days that labels take."""
    return T0 + timedelta(days=draw(st.sampled_from(days)), microseconds=draw(st.sampled_from([-1, 0, 1])))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[Feedback]]:
    """At each of some terminals a payment, later ones, and what the source and analysts say of the first."""
    payments: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    answers: list[Feedback] = []
    for terminal in "tuvwxyz":
        first = len(payments)
        for days in ([0], [0, 7, 8, 9], [7, 8, 9], [9, 15, 16, 37]):
            payments.append(
                {
                    "transaction_id": len(payments),
                    "customer_id": draw(st.sampled_from("ab")),
                    "terminal_id": terminal,
                    "paid_at": moment(draw, days),
                    "amount": draw(st.integers(0, 90_000)) / 100,
                }
            )
        verdicts = draw(st.lists(st.booleans(), max_size=4))
        for at, is_fraud in enumerate(verdicts):
            when = moment(draw, [0, 1, 7, 8, 9, 16])
            if draw(st.booleans()):
                labels.append({"transaction_id": first, "is_fraud": is_fraud, "labelled_at": when})
            else:
                customer = payments[first]["customer_id"]
                answers.append(
                    Feedback(str(first), customer, f"alert-{at}", "fraud" if is_fraud else "ok", when, "ana")
                )
    return payments, labels, answers


def events_of(payments: list[dict[str, Any]], labels: list[dict[str, Any]], answers: list[Feedback]) -> list[Event]:
    paid = [
        Event(
            id=str(one["transaction_id"]),
            source="/payments",
            type="payment",
            time=one["paid_at"],
            subject=one["customer_id"],
            data={name: one[name] for name in ("transaction_id", "customer_id", "terminal_id", "amount")},
        )
        for one in payments
    ]
    told = [
        Event(
            id=f"{one['transaction_id']}/{one['labelled_at']}/{one['is_fraud']}",
            source="/payment_labels",
            type="payment.labelled",
            time=one["labelled_at"],
            subject="",
            data={name: one[name] for name in ("transaction_id", "is_fraud")},
        )
        for one in labels
    ]
    return [*paid, *told, *map(event_of, answers)]


def lake_with(
    folder: Path, payments: list[dict[str, Any]], labels: list[dict[str, Any]], answers: list[Feedback]
) -> Lake:
    """A lake that holds them all; each label was delivered when it became known."""
    lake = DeltaLakeConfig(path=str(folder / "lake")).open()
    written: list[tuple[str, list[dict[str, Any]], pa.Schema, str]] = [
        ("payments", payments, PAYMENTS, "paid_at"),
        ("payment_labels", labels, LABELS, "labelled_at"),
    ]
    tables = [
        (name, pa.Table.from_pylist([{**one, "delivered_on": one[at].date()} for one in rows], schema), "delivered_on")
        for name, rows, schema, at in written
    ]
    if answers:
        rows = feedback_rows(answers)
        dated = rows.append_column(alert_feedback.DAY, pc.cast(rows["labelled_at"], pa.date32()))
        tables.append((alert_feedback.TABLE, dated, alert_feedback.DAY))
    for name, rows, by in tables:
        lake.replace(name, rows, by=by, first=date(2018, 5, 1), last=NOW.date())
    return lake


def online(folder: Path, early: list[Event], late: list[Event], *, again: bool) -> dict[int, list[float]]:
    """What the stream scored last for each payment; with `again`, what came early comes a second time with the rest."""
    queue = SqliteEventsConfig(path=str(folder / "events.db")).open()
    store = FraudStore(folder / "stream.db")
    limits = PaymentLimits(max_late_days=90, max_jump_days=90)
    stream = FraudProcessor(queue, store, limits, clock=lambda: NOW, keep_scores_days=90)
    queue.publish(early)
    stream.process(Formula(), limit=1000)
    if again:
        queue.replay("fraud", first=1)
    queue.publish(late)
    stream.process(Formula(), limit=1000)
    assert not queue.dead_letters()
    return by_id(store.scored(T0.date() - timedelta(days=2), NOW.date()))


def by_id(rows: pa.Table) -> dict[int, list[float]]:
    return {row["transaction_id"]: [row[name] for name in FEATURES] for row in rows.to_pylist()}


# An example that was found is not made smaller: that takes minutes.
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(history=histories(), data=st.data())
def test_whatever_the_order_online_equals_offline(
    history: tuple[list[dict[str, Any]], list[dict[str, Any]], list[Feedback]], data: st.DataObject
) -> None:
    payments, labels, answers = history
    events = in_any_order(events_of(payments, labels, answers), data)
    half = data.draw(st.integers(0, len(events)))
    with TemporaryDirectory() as name:
        folder = Path(name)
        lake = lake_with(folder, payments, labels, answers)
        days = [one["paid_at"].date() for one in payments]
        found = fraud_features.computed(lake, engine(folder), min(days), max(days)).read_all()
        assert online(folder, events[:half], events[half:], again=data.draw(st.booleans())) == by_id(found)


def in_any_order(events: list[Event], data: st.DataObject) -> list[Event]:
    """In any order in which no label comes before its own payment, which the stream would refuse."""
    shuffled = data.draw(st.permutations(events))
    places = {event.data["transaction_id"]: at for at, event in enumerate(shuffled) if event.type == "payment"}
    earliest = [max(at, places[event.data["transaction_id"]]) for at, event in enumerate(shuffled)]
    return [shuffled[at] for at in sorted(range(len(shuffled)), key=lambda at: (earliest[at], shuffled[at].type))]


def answer(number: int, at: datetime, *, is_fraud: bool = True, alert: str = "fraud-20180601-c1") -> Feedback:
    return Feedback(str(number), "c1", alert, "fraud" if is_fraud else "ok", at, "ana")


@pytest.mark.parametrize(
    ("source", "analysts", "learnt"),
    [
        ([(True, 7)], [], (True, 7)),
        ([], [(True, 2)], (True, 2)),
        ([], [(False, 1), (True, 2)], (True, 2)),
        ([(False, 7)], [(True, 2)], (False, 7)),
        ([(False, 7)], [(False, 1), (True, 2)], (False, 7)),
        ([(False, 7)], [(True, 8)], (True, 8)),
        ([(False, 3), (True, 6)], [], (True, 6)),
        ([(True, 6), (False, 3)], [], (True, 6)),
        ([(True, 3), (True, 6)], [], (True, 3)),
        ([(True, 3), (False, 6)], [(False, 5)], (False, 5)),
        ([(False, 6), (True, 6)], [], (True, 6)),
        ([(True, 7)], [(True, 2)], (True, 2)),
        ([(True, 7)], [(False, 2)], (True, 7)),
    ],
)
def test_the_last_word_is_learnt_whoever_says_it(
    tmp_path: Path, source: list[tuple[bool, int]], analysts: list[tuple[bool, int]], learnt: tuple[bool, int]
) -> None:
    days = [T0 + timedelta(days=n) for n in range(9)]
    labels = [{"transaction_id": 1, "is_fraud": fraud, "labelled_at": days[day]} for fraud, day in source]
    other = [{"transaction_id": 2, "is_fraud": False, "labelled_at": days[3]}]
    answers = [answer(1, days[day], is_fraud=fraud) for fraud, day in analysts]
    lake = lake_with(tmp_path, [], labels + other, answers)
    found = fraud_training.labels(lake, engine(tmp_path), days[0].date(), days[8].date())
    rows = {row["transaction_id"]: (row["is_fraud"], row["labelled_at"]) for row in found.to_pylist()}
    assert rows == {1: (learnt[0], days[learnt[1]]), 2: (False, days[3])}
    before = fraud_training.labels(lake, engine(tmp_path), days[0].date(), days[0].date())
    assert before.num_rows == 0, "nothing was known on that day"


def test_what_was_known_on_a_day_stays_known(tmp_path: Path) -> None:
    """Performance is computed, and models learn, by the labels that had arrived; chargebacks change later days only."""
    said = [(False, 2), (True, 5), (False, 7)]
    labels = [{"transaction_id": 1, "is_fraud": fraud, "labelled_at": T0 + timedelta(days=day)} for fraud, day in said]
    lake = lake_with(tmp_path, [], labels, [answer(1, T0 + timedelta(days=4), is_fraud=False)])
    known = {
        day: fraud_training.labels(lake, engine(tmp_path), T0.date(), (T0 + timedelta(days=day)).date()).to_pylist()
        for day in (2, 4, 5, 6, 7)
    }
    assert all(len(rows) == 1 for rows in known.values())
    assert {day: rows[0]["is_fraud"] for day, rows in known.items()} == {2: False, 4: False, 5: True, 6: True, 7: False}


def test_a_replay_sends_what_analysts_said_as_the_same_events(tmp_path: Path) -> None:
    """A queue that holds them leaves them out; a stream that begins anew counts them as the one before did."""
    paid = {"customer_id": "c1", "terminal_id": "t", "amount": 5.0}
    payments = [{"transaction_id": n, "paid_at": T0 + timedelta(hours=n), **paid} for n in (1, 2)]
    labels = [{"transaction_id": 2, "is_fraud": False, "labelled_at": T0 + timedelta(days=7)}]
    said = [answer(1, T0 + timedelta(hours=3), is_fraud=False), answer(1, T0 + timedelta(days=2, microseconds=1))]
    other = [answer(9, T0 + timedelta(hours=3))]
    lake = lake_with(tmp_path, payments, labels, said + other)
    events = list(payment_replay.history(lake, engine(tmp_path), T0.date(), T0.date()))
    assert [(one.source, one.data["transaction_id"]) for one in events] == [
        ("/payments", 1),
        ("/payments", 2),
        ("/alerts", 1),
        ("/alerts", 1),
        ("/payment_labels", 2),
    ]
    assert events[2:4] == [event_of(one) for one in said]


def raised(number: int, customer: str) -> Alert:
    day = T0.date()
    return Alert(
        f"fraud-{day:%Y%m%d}-{customer}", "fraud", day, customer, (str(number),), T0, 0.9, 0.9, "1", {"amount": 2.0}
    )


class TestCopied:
    @pytest.fixture
    def lake(self, tmp_path: Path) -> Lake:
        return DeltaLakeConfig(path=str(tmp_path / "lake")).open()

    @pytest.fixture
    def store(self, tmp_path: Path) -> FraudStore:
        store = FraudStore(tmp_path / "stream.db")
        store.add_alerts([raised(1, "c1"), raised(2, "c2")])
        return store

    def test_the_answers_of_a_day_and_no_others(self, lake: Lake, store: FraudStore) -> None:
        midnight = datetime(2018, 6, 3, tzinfo=UTC)
        store.answer("fraud-20180601-c1", "ok", who="ana", at=midnight - timedelta(microseconds=1))
        store.answer("fraud-20180601-c1", "fraud", who="bo", at=midnight)
        assert alert_feedback.copied(lake, store, date(2018, 6, 1)) == 0
        assert not lake.exists(alert_feedback.TABLE)
        for day in (2, 3, 2):
            assert alert_feedback.copied(lake, store, date(2018, 6, day)) == 1
        assert lake.version(alert_feedback.TABLE) == 1, "what stands there already makes no new version"
        said = alert_feedback.answers(lake, first=T0.date())
        rows = (said if isinstance(said, pa.Table) else said.dataset().to_table(columns=FEEDBACK.names)).to_pylist()
        fraud_words = {"transaction_id": 1, "customer_id": "c1", "alert_id": "fraud-20180601-c1"}
        assert rows == [
            fraud_words | {"is_fraud": False, "labelled_at": midnight - timedelta(microseconds=1), "who": "ana"},
            fraud_words | {"is_fraud": True, "labelled_at": midnight, "who": "bo"},
        ]

    def test_an_empty_store_takes_nothing_out_of_the_lake(self, lake: Lake, store: FraudStore, tmp_path: Path) -> None:
        day = date(2018, 6, 2)
        store.answer("fraud-20180601-c1", "fraud", who="ana", at=datetime(2018, 6, 2, 9, tzinfo=UTC))
        assert alert_feedback.copied(lake, store, day) == 1
        other = FraudStore(tmp_path / "another.db")
        assert alert_feedback.copied(lake, other, day) == 1
        other.add_alerts([raised(2, "c2")])
        other.answer("fraud-20180601-c2", "fraud", who="ana", at=datetime(2018, 6, 2, 8, tzinfo=UTC))
        assert alert_feedback.copied(lake, other, day) == 2

    def test_who_was_forgotten_does_not_come_back(self, lake: Lake, store: FraudStore) -> None:
        day = date(2018, 6, 2)
        for customer in ("c1", "c2"):
            store.answer(f"fraud-20180601-{customer}", "fraud", who="ana", at=datetime(2018, 6, 2, 9, tzinfo=UTC))
        lake.leave_tombstone("customer", "c1", day=day, why="asked")
        assert alert_feedback.copied(lake, store, day) == 1


def test_an_event_can_be_made_of_every_answer() -> None:
    """Customers are named by whoever sends payments; CloudEvents allow no control characters."""
    named = Feedback("7", "c\n1", "fraud-20180601-c\n1", "fraud", T0 + timedelta(microseconds=1), "ana")
    event = event_of(named)
    assert (event.time, event.data) == (named.labelled_at, {"transaction_id": 7, "is_fraud": True})
    assert (event.id, event.source, event.subject) == ("fraud-20180601-c%0A1/7/fraud", "/alerts", "c%0A1")
    assert event == event_of(named)
    assert Event.from_json(event.to_json()) == event
    with pytest.raises(TesseraError):
        Event.from_json(event.to_json().replace('"time"', '"when"'))
    with pytest.raises(TesseraError, match="labelled 'robot'"):
        event_of(replace(named, label="robot"))
