"""One event that cannot be processed ends in the dead letters; the events around it are scored exactly once."""

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from assets.fraud.stream.catch_up import catch_up
from assets.fraud.stream.context import EmptyContext, Seed
from assets.fraud.stream.processor import FraudProcessor, Scorer
from assets.fraud.stream.state import Batch
from models.errors import RefusedValue, TesseraError
from models.events import Event
from models.features.fraud_definitions import FEATURES
from models.features.window_state import KeyHistory
from models.fraud.event_parsing import PaymentLimits
from models.fraud.stream_state import HistoryKey
from resources.events.sqlite_events import SqliteEventsConfig
from tests.faults.fraud_stream_process import Formula
from tests.fraud_store import FraudStore

NOW = datetime(2026, 3, 2, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_AMOUNT = FEATURES.index("amount")
#: A payment of that amount, EUR, is what no part of the stream can process.
POISON = 66.0


def payment(number: Any, *, amount: Any = 20, minute: int = 0, **changes: Any) -> Event:
    data = {"transaction_id": number, "customer_id": f"c{number}", "terminal_id": "t1", "amount": amount, **changes}
    at = NOON + timedelta(minutes=minute)
    return Event(id=f"a{number}-{minute}", source="/shop", type="payment", time=at, subject=f"c{number}", data=data)


class Boom(Exception):
    """An error that no library documents."""


class Allergic(Formula):
    """A model that raises for rows of a poisonous amount; `always`: for every row."""

    def __init__(self, error: Exception, *, always: bool = False) -> None:
        self._error, self._always = error, always

    @override
    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        if self._always or any(row[_AMOUNT] == POISON for row in rows):
            raise self._error
        return super().scores(rows)


class Store(FraudStore):
    """A store that raises when a poisonous payment is committed; `always`: at every commit."""

    error: Exception | None = None
    always = False

    @override
    def commit(self, batch: Batch) -> None:
        if self.error and (self.always or any(one.cents == POISON * 100 for one in batch.payments)):
            raise self.error
        super().commit(batch)


class World:
    def __init__(self, folder: Path, around: EmptyContext | None = None) -> None:
        self.folder = folder
        self.events = SqliteEventsConfig(path=str(folder / "events.db")).open()
        self.store = Store(folder / "stream.db")
        self.around = around

    def stream(self) -> FraudProcessor:
        return FraudProcessor(self.events, self.store, PaymentLimits(), context=self.around, clock=lambda: NOW)

    def catch_up(self, scorer: Scorer | None = None) -> None:
        last = self.events.newest_offset()
        catch_up(self.stream, self.events, self.store, scorer or Formula(), first=1, last=last)

    def scored(self) -> list[int]:
        with sqlite3.connect(self.folder / "stream.db") as connection:
            return [number for (number,) in connection.execute("SELECT transaction_id FROM fraud_scored ORDER BY 1")]

    def reasons(self) -> list[str]:
        return [letter.reason for letter in self.events.dead_letters()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_amount_of_400_digits_is_refused_and_its_neighbours_are_scored(world: World) -> None:
    world.events.publish([payment(1), payment(2, amount=10**399, minute=1), payment(3, minute=2)])
    step = world.stream().process(Formula(), limit=500)
    assert (step.payments, step.refused, world.scored()) == (2, 1, [1, 3])
    assert world.reasons()[0].startswith("amount 1000000000")
    assert "is more than 50000 EUR" in world.reasons()[0]
    world.catch_up()
    assert (world.scored(), len(world.reasons())) == ([1, 3], 2), "replayed, it is refused again"


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("error", [Boom("never seen"), KeyError("t1"), RecursionError("deep"), OverflowError("large")])
def test_whatever_scoring_one_event_raises_ends_in_the_dead_letters(world: World, error: Exception, place: int) -> None:
    events = [payment(n, minute=n, amount=POISON if n == place else 20) for n in range(3)]
    world.events.publish(events)
    step = world.stream().process(Allergic(error), limit=500)
    others = [n for n in range(3) if n != place]
    assert (step.events, step.payments, step.refused, step.offset) == (3, 2, 1, 3)
    assert world.scored() == others
    (reason,) = world.reasons()
    assert f"the event cannot be processed: {type(error).__name__}" in reason
    assert str(error).strip("'") in reason
    assert (world.events.backlog("fraud"), world.store.position()[0]) == (0, 3)


@pytest.mark.parametrize(
    "error",
    [
        RefusedValue("no such value", expected="another", todo="Nothing."),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
    ],
)
def test_what_the_store_refuses_of_one_event_ends_in_the_dead_letters(world: World, error: Exception) -> None:
    world.store.error = error
    unusable = payment(8, amount=-1.0, minute=3)
    world.events.publish([payment(1), payment(2, amount=POISON, minute=1), unusable, payment(3, minute=2)])
    step = world.stream().process(Formula(), limit=500)
    assert (step.events, step.payments, step.refused, world.scored()) == (4, 2, 2, [1, 3])


def test_a_queue_of_nothing_but_such_events_is_emptied(world: World) -> None:
    world.events.publish([payment(n, amount=POISON, minute=n) for n in range(2)])
    world.catch_up(Allergic(Boom("never seen")))
    assert (world.scored(), len(world.reasons()), world.events.backlog("fraud")) == ([], 2, 0)
    world.events.publish([payment(7, minute=7)])
    world.catch_up()
    assert world.scored() == [0, 1, 7], "what was at fault was the model: taken in again, they are scored"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        TesseraError("The database does not work.", expected="one that does", todo="Start it."),
        MemoryError(),
        ImportError("libxgboost.so"),
    ],
)
def test_a_store_that_does_not_work_stops_the_worker_and_no_event_is_lost(world: World, error: Exception) -> None:
    world.store.error, world.store.always = error, True
    world.events.publish([payment(n, minute=n) for n in range(3)])
    with pytest.raises(type(error)):
        world.stream().process(Formula(), limit=500)
    assert (world.reasons(), world.events.backlog("fraud")) == ([], 3)
    world.store.error = None
    world.catch_up()
    assert world.scored() == [0, 1, 2]


@pytest.mark.parametrize("events", [1, 3])
def test_a_model_that_scores_nothing_stops_the_worker_and_no_event_is_lost(world: World, events: int) -> None:
    world.events.publish([payment(n, minute=n) for n in range(events)])
    with pytest.raises(Boom):
        world.stream().process(Allergic(Boom("broken"), always=True), limit=500)
    assert (world.reasons(), world.events.backlog("fraud")) == ([], events)


class Asked(EmptyContext):
    """A lake that notes for which moments it was asked."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    @override
    def before(self, micros: int, *, days: float) -> Seed:
        self.spans.append((micros, round(micros - days * 86_400_000_000)))
        return Seed((), ())


def test_a_new_stream_that_isolates_its_first_batch_begins_with_the_time_of_all_of_it(tmp_path: Path) -> None:
    around = Asked()
    world = World(tmp_path, around)
    given = [payment(1, minute=-3000), payment(2, amount=POISON, minute=-2000), payment(3, minute=-4000), payment(4)]
    world.events.publish(given)
    done = world.stream().process(Allergic(Boom("no")), limit=500)
    assert (done.payments, done.refused, world.scored()) == (3, 1, [1, 3, 4])
    assert len(around.spans) == 2, "for the batch, and for the first event alone"
    assert around.spans[0] == around.spans[1]


class BrokenLake(EmptyContext):
    @override
    def before(self, micros: int, *, days: float) -> Seed:
        def histories() -> Iterator[tuple[HistoryKey, KeyHistory]]:
            raise Boom("no such file")
            yield

        rows: Iterable[pa.RecordBatch] = ()
        return Seed(rows, histories())


def test_a_lake_that_cannot_be_read_stops_the_worker_with_a_sentence(tmp_path: Path) -> None:
    world = World(tmp_path, BrokenLake())
    world.events.publish([payment(1), payment(2, minute=1)])
    with pytest.raises(TesseraError, match="cannot begin with the payments of the lake: no such file"):
        world.stream().process(Formula(), limit=500)
    assert (world.reasons(), world.events.backlog("fraud")) == ([], 2)


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"customer_id": 103.0}, "103"),
        ({"customer_id": 103}, "103"),
        ({"customer_id": "\u00a0103\u200b "}, "103"),
        ({"customer_id": "103.0"}, "103.0"),
        ({"customer_id": float(2**53)}, None),
        ({"customer_id": 1.5}, None),
        ({"customer_id": "NULL"}, None),
        ({"customer_id": "nan"}, None),
        ({"customer_id": None}, None),
        ({"customer_id": True}, None),
        ({"customer_id": "c" * 65}, None),
        ({"customer_id": "a\x00b"}, None),
        ({"customer_id": ["c"]}, None),
        ({"transaction_id": "7"}, "c7"),
        ({"transaction_id": 7.0}, "c7"),
        ({"transaction_id": 2**63}, None),
        ({"transaction_id": -1}, None),
        ({"transaction_id": 7.5}, None),
        ({"transaction_id": True}, None),
        ({"transaction_id": "1e3"}, None),
        ({"amount": "20"}, None),
        ({"amount": True}, None),
        ({"amount": 50_000.01}, None),
    ],
)
def test_ids_of_events_are_read_as_ids_of_files(world: World, changes: dict[str, Any], known: str | None) -> None:
    world.events.publish([payment(7, **changes)])
    step = world.stream().process(Formula(), limit=500)
    paid = world.store.payments([7]).get(7)
    assert (paid and paid.customer_id, step.refused) == (known, known is None)


@pytest.mark.parametrize("at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)])
def test_a_label_of_an_impossible_moment_is_refused(world: World, at: datetime) -> None:
    told = {"transaction_id": 1, "is_fraud": True}
    world.events.publish([payment(1)])
    world.events.publish([Event(id="l", source="/labels", type="payment.labelled", time=at, subject="c1", data=told)])
    step = world.stream().process(Formula(), limit=500)
    assert (step.payments, step.refused) == (1, 1)


TEXTS = st.text(st.characters(), max_size=12)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10),
    st.sampled_from([2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1e308, 5e-324, -0.0, 1e15]),
    st.floats(),
    TEXTS,
    st.sampled_from(["", "nan", "NULL", "a\x00b", "\ud800", "\u202e", "x" * 70, " c1 ", "103.0"]),
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
NAMES = st.sampled_from(["transaction_id", "customer_id", "terminal_id", "amount", "is_fraud"])
TIMES = st.sampled_from(
    ["2026-03-01T12:01:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1970-01-01T00:00:00Z", "today"]
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Any bytes, or an event with any JSON in any of its places."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=40)) or b"{"
    event = json.loads(payment(draw(st.integers(1, 9)), is_fraud=True).to_json())
    event["id"] = f"fuzz-{draw(st.integers(0, 10**6))}"
    event["type"] = draw(st.sampled_from(["payment", "payment", "payment.labelled", "refund"]))
    event["time"] = draw(st.one_of(st.just(event["time"]), TIMES))
    event["data"] |= draw(st.dictionaries(NAMES, JSON, max_size=2))
    event |= draw(st.dictionaries(st.sampled_from([*event]), JSON, max_size=1)) if draw(st.booleans()) else {}
    return json.dumps(event).encode("utf-8", "surrogatepass")


@settings(max_examples=12, deadline=None)
@given(given_lines=st.lists(lines(), min_size=1, max_size=8))
def test_whatever_is_published_is_processed_or_a_dead_letter_and_good_events_are_scored(
    given_lines: list[bytes],
) -> None:
    with TemporaryDirectory() as name:
        world = World(Path(name))
        world.events.publish([payment(101)])
        published, refused = 1, 0
        for line in given_lines:
            try:
                event = Event.from_json(line)
            except TesseraError as error:
                world.events.reject_body(line.decode(errors="backslashreplace"), error.what)
                refused += 1
            else:
                published += world.events.publish([event])
        published += world.events.publish([payment(102, minute=2)])
        world.catch_up()
        assert {101, 102} <= set(world.scored())
        assert (accounted_for(world.folder, refused), world.events.backlog("fraud")) == (published, 0)


def accounted_for(folder: Path, refused: int) -> int:
    """Number of events in the queue, each of which is a dead letter or names a payment that was stored."""
    with sqlite3.connect(folder / "events.db") as queue, sqlite3.connect(folder / "stream.db") as state:
        paid = {number for (number,) in state.execute("SELECT transaction_id FROM fraud_payment")}
        letters = [number for (number,) in queue.execute("SELECT number FROM dead_letter")]
        assert letters.count(None) == refused
        events = queue.execute("SELECT number, data FROM event").fetchall()
        for number, data in events:
            assert letters.count(number) == 1 or int(json.loads(data)["transaction_id"]) in paid
        return len(events)
