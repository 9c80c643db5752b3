"""A stream that begins with what the lake knows scores as if it had seen everything."""

import os
import signal
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from assets.fraud.stream.context import EmptyContext, Seed, StreamContext
from assets.fraud.stream.lake_context import LakeContext
from assets.fraud.stream.processor import BatchResult, FraudProcessor
from models.errors import TesseraError
from models.events import Event
from models.features.windows import MICROS_PER_DAY
from models.fraud.event_parsing import PAYMENT, PaymentLimits
from resources.lake.delta import DeltaLakeConfig
from resources.lake.port import Lake
from tests.faults.fraud_stream_process import Formula, opened
from tests.fraud_store import FraudStore
from tests.unit.features.handbook import replayed
from tests.unit.features.orders import engine

#: From here on, the queue knows more than the lake.
CUT = datetime(2018, 5, 20, tzinfo=UTC)
LAST = date(2018, 5, 22)
FIRST, DAYS_KEPT = date(2018, 4, 1), 400


@dataclass(frozen=True)
class Past:
    """What the lake knows, the events since, and what a stream says that saw all of it."""

    lake: Lake
    since: list[Event]
    late: list[Event]
    expected: pa.Table

    def around(self, folder: Path) -> LakeContext:
        return LakeContext(self.lake, engine(folder))


@pytest.fixture(scope="module")
def past(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Past:
    folder = tmp_path_factory.mktemp("past")
    end = datetime.combine(LAST + timedelta(days=1), datetime.min.time(), UTC)
    events = [one for one in replayed(shared_data, 5000, terminals=60) if one.time < end]
    before = [one for one in events if one.time < CUT]
    assert len(before) > 2000 < len(before) + 100 < len(events)
    lake = DeltaLakeConfig(path=str(folder / "lake")).open()
    write(lake, before)
    (folder / "all").mkdir()
    store, _ = streamed(folder / "all", EmptyContext(), events)
    payments = [one for one in before if one.type == PAYMENT]
    late = payments[-40::2]
    first = (late[0].time - timedelta(days=1)).date()
    scored = store.scored(first, LAST)
    wanted = {one.data["transaction_id"] for one in [*events[len(before) :], *late]}
    return Past(lake, events[len(before) :], late, scored.filter([n in wanted for n in scored[0].to_pylist()]))


def write(lake: Lake, events: list[Event]) -> None:
    """The payments and labels, as ingestion leaves them."""
    spent = [{**one.data, "paid_at": one.time, "paid_on": one.time.date()} for one in events if one.type == PAYMENT]
    told = [{**one.data, "labelled_at": one.time, "day": one.time.date()} for one in events if one.type != PAYMENT]
    for table, rows, day in (("payments", spent, "paid_on"), ("payment_labels", told, "day")):
        lake.replace(table, pa.Table.from_pylist(rows), by=day, first=FIRST, last=CUT.date())


def streamed(folder: Path, around: StreamContext, *batches: list[Event]) -> tuple[FraudStore, list[BatchResult]]:
    """What a stream in these surroundings knows after the events, a step at least for each list."""
    events, store = opened(folder)
    stream = FraudProcessor(events, store, PaymentLimits(), context=around, keep_scores_days=DAYS_KEPT)
    steps = []
    for batch in batches:
        events.publish(batch)
        while (step := stream.process(Formula(), limit=500)).events:
            steps.append(step)
    return store, steps


@pytest.mark.real
def test_it_scores_as_if_it_had_seen_everything_and_each_payment_once(past: Past, tmp_path: Path) -> None:
    again = [one.model_copy(update={"source": "/again"}) for one in past.late]
    store, steps = streamed(tmp_path, past.around(tmp_path), past.since[:50], [*past.late, *past.since[50:], *again])
    first = next(one.time for one in past.since if one.type == PAYMENT)
    moments = past.lake.scan("payments").to_table()["paid_at"].to_pylist()
    assert steps[0].seeded == sum(first - timedelta(days=44) <= at < first for at in moments) < len(moments)
    assert [step.seeded for step in steps[1:]] == [None] * (len(steps) - 1)
    new = [one for one in past.since if one.type == PAYMENT]
    assert sum(step.payments for step in steps) == len(new) + len(past.late)
    found = store.scored(FIRST, LAST)
    assert found.num_rows == past.expected.num_rows > 150
    assert found.equals(past.expected)


class Prepared(EmptyContext):
    """A seed that was read before, and a moment at which the process is killed."""

    def __init__(self, seed: Seed, *, killed_after: int | None = None) -> None:
        self._payments, self._histories = list(seed.payments), list(seed.histories)
        self._killed_after = killed_after

    def before(self, micros: int, *, days: float) -> Seed:
        assert days * MICROS_PER_DAY < micros
        return Seed(self._payments, self._until_killed())

    def _until_killed(self) -> Iterator:
        for place, one in enumerate(self._histories):
            if place == self._killed_after:
                os.kill(os.getpid(), signal.SIGKILL)
            yield one


class Killed(Formula):
    """Is killed when it has to score."""

    def scores(self, rows: Iterable) -> list[float]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.real
@pytest.mark.parametrize("killed_after", [7, None], ids=["while it seeds", "while it scores the first batch"])
def test_killed_before_its_first_batch_lasts_it_starts_again(
    past: Past, tmp_path: Path, killed_after: int | None
) -> None:
    micros = int(past.since[0].time.timestamp()) * 1_000_000
    seed = past.around(tmp_path).before(micros, days=44)
    prepared = Prepared(seed, killed_after=killed_after)
    opened(tmp_path)[0].publish(past.since[:50])
    child = os.fork()
    if not child:
        events, store = opened(tmp_path)
        FraudProcessor(events, store, PaymentLimits(), context=prepared).process(Killed(), limit=500)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    _, left = opened(tmp_path)
    assert (left.position(), left.payments([one.data["transaction_id"] for one in past.late])) == ((0, 0), {})
    prepared._killed_after = None
    store, steps = streamed(tmp_path, prepared, [], [*past.late, *past.since[50:]])
    assert steps[0].seeded
    assert store.scored(FIRST, LAST).equals(past.expected)


def test_an_empty_lake_gives_an_empty_beginning(tmp_path: Path) -> None:
    lake = DeltaLakeConfig(path=str(tmp_path / "lake")).open()
    around = LakeContext(lake, engine(tmp_path))
    _, steps = streamed(tmp_path, around, [paid(1, CUT)])
    assert [(step.seeded, step.payments) for step in steps] == [(0, 1)]


def paid(number: int, at: datetime, customer: str = "c1") -> Event:
    data = {"transaction_id": number, "customer_id": customer, "terminal_id": "t1", "amount": 5.0}
    return Event(id=str(number), source="/payments", type=PAYMENT, time=at, subject=customer, data=data)


@pytest.fixture
def known(tmp_path: Path) -> LakeContext:
    """A payment a day, one of them delivered later than the others; and a register."""
    lake = DeltaLakeConfig(path=str(tmp_path / "lake")).open()
    events = [paid(day, CUT - timedelta(days=40 - day)) for day in range(40)]
    rows = [{**one.data, "paid_at": one.time, "delivered_on": one.time.date()} for one in events]
    rows[-1]["delivered_on"] = CUT.date() + timedelta(days=2)
    lake.replace("payments", pa.Table.from_pylist(rows), by="delivered_on", first=FIRST, last=rows[-1]["delivered_on"])
    lake.replace("customers", pa.table({"customer_id": ["c1"], "day": [FIRST]}), by="day", first=FIRST, last=FIRST)
    return LakeContext(lake, engine(tmp_path))


def test_payments_that_were_delivered_after_the_beginning_are_known(known: LakeContext, tmp_path: Path) -> None:
    _, steps = streamed(tmp_path, known, [paid(40, CUT)])
    assert [step.seeded for step in steps] == [40]


def test_a_late_payment_in_the_first_batch_hides_nothing_that_the_lake_knows(
    known: LakeContext, tmp_path: Path
) -> None:
    """Also of one moment: lake payment 38, of which no event comes, is no later than the last event."""
    late, last, same = CUT - timedelta(days=5, hours=1), CUT - timedelta(days=1), CUT - timedelta(days=2)
    store, steps = streamed(tmp_path, known, [paid(90, late), paid(91, same), paid(39, last)], [paid(92, CUT)])
    assert [(step.seeded, step.payments) for step in steps] == [(40, 3), (None, 1)]
    found = store.scored(FIRST, LAST).to_pylist()
    counts = [(row["transaction_id"], row["customer_count_7d"]) for row in found]
    assert counts == [(90, 8.0), (91, 7 + 2.0), (39, 7 + 2.0), (92, 6 + 3.0)]


def test_a_stream_does_not_begin_with_a_payment_that_it_refuses(known: LakeContext, tmp_path: Path) -> None:
    """Nothing of the lake that lies between it and the first payment would be known."""
    events, store = opened(tmp_path)
    stream = FraudProcessor(events, store, PaymentLimits(customers="registered"), context=known)
    events.publish([paid(90, CUT - timedelta(days=20), customer="nobody"), paid(40, CUT)])
    step = stream.process(Formula(), limit=500)
    assert (step.seeded, step.payments, step.refused) == (40, 1, 1)


def test_the_event_of_a_seeded_payment_may_not_come_later_than_others(known: LakeContext, tmp_path: Path) -> None:
    """Its windows are gone: it is refused as if it had not been seeded."""
    store, steps = streamed(
        tmp_path, known, [paid(40, CUT)], [paid(1, CUT - timedelta(days=39)), paid(39, CUT - timedelta(days=1))]
    )
    assert [(step.payments, step.refused) for step in steps] == [(1, 0), (1, 1)]
    assert store.unscored([1, 39, 40]) == {1}


def test_the_register_and_the_forgotten_are_the_lakes(tmp_path: Path) -> None:
    lake = DeltaLakeConfig(path=str(tmp_path / "lake")).open()
    around = LakeContext(lake, engine(tmp_path))
    with pytest.raises(TesseraError, match="no register of customers"):
        around.registered()
    day = date(2018, 5, 1)
    rows = pa.table({"customer_id": ["c1", "c2", "c1"], "day": [day, day, day + timedelta(days=1)]})
    lake.replace("customers", rows, by="day", first=day, last=day + timedelta(days=1))
    lake.leave_tombstone("customer", "c3", day=day, why="test")
    forgotten: Container[str] = around.forgotten()
    assert ("c1" in around.registered(), "c3" in around.registered()) == (True, False)
    assert ("c1" in forgotten, "c3" in forgotten) == (False, True)
