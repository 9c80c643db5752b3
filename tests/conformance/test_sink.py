"""The sinks: the port's promises, and what only the Delta sink does."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models.errors import TesseraError
from models.publishing import Publication
from resources.conformance import SinkConformance
from resources.conformance.score_sets import (
    APP,
    DAY,
    SCORES_SCHEMA,
    audit_and_publish,
    digest,
    publication,
    reader,
    some_rows,
    verdict,
)
from resources.sink.delta import DeltaSinkConfig
from resources.sink.port import AnotherStands, DamagedScores, Sink


class TestDeltaSink(SinkConformance):
    config = DeltaSinkConfig
    rows_per_file: ClassVar = 5_000

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], Sink]:
        return DeltaSinkConfig(path=str(tmp_path / "scores"), rows_per_file=self.rows_per_file).open

    @pytest.fixture
    def holds(self, tmp_path: Path) -> Callable[[str], bool]:
        def found(customer: str) -> bool:
            files = [file for file in (tmp_path / "scores").rglob("*") if file.is_file()]
            rows = (file for file in files if file.suffix == ".parquet" and "customer_id" in pq.read_schema(file).names)
            texts = (file for file in files if file.suffix != ".parquet")
            return any(customer in pq.read_table(file)["customer_id"].to_pylist() for file in rows) or any(
                customer.encode() in file.read_bytes() for file in texts
            )

        return found

    @pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "day=1"])
    def test_a_name_that_would_leave_its_folder_is_refused(self, sink: Sink, name: str) -> None:
        for place in ((name, DAY, "a1"), (APP, DAY, name)):
            with pytest.raises(TesseraError, match="cannot name"):
                sink.write_attempt(*place, reader(some_rows(1)))

    def test_refusals_say_what_is_there_and_what_was_given(self, sink: Sink) -> None:
        _published(sink, "a1", some_rows(1))
        with pytest.raises(TesseraError, match=r"no attempt 'a2' .* one of 'a1'"):
            sink.read_attempt(APP, DAY, "a2")
        with pytest.raises(TesseraError, match="other rows"):
            sink.write_attempt(APP, DAY, "a1", reader(some_rows(2)))
        with pytest.raises(TesseraError, match=r"have the columns .*'decision'"):
            sink.write_attempt(APP, DAY, "a3", reader(some_rows(1).select(SCORES_SCHEMA.names[3:])))

    def test_check_says_where_it_writes(self, sink: Sink, tmp_path: Path) -> None:
        assert str(tmp_path) in sink.check().says


@pytest.mark.slow
class TestDeltaSinkOfManyFiles(TestDeltaSink):
    rows_per_file: ClassVar = 7


def _published(sink: Sink, attempt: str, rows: pa.Table, day: date = DAY, run_id: str = "run") -> Publication:
    assert sink.write_attempt(APP, day, attempt, reader(rows)) == rows.num_rows
    return audit_and_publish(sink, publication(attempt, rows, day=day, run_id=run_id))


def test_a_folder_that_cannot_be_written_is_unhealthy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    health = DeltaSinkConfig(path=str(tmp_path / "file" / "scores")).open().check()
    assert not health.ok
    assert "path" in health.todo


def test_a_lost_file_of_an_attempt_is_named(tmp_path: Path) -> None:
    sink = DeltaSinkConfig(path=str(tmp_path), rows_per_file=7).open()
    sink.write_attempt(APP, DAY, "a1", reader(some_rows(1)))
    lost = sorted(tmp_path.rglob("*.parquet"))[2]
    lost.unlink()
    with pytest.raises(TesseraError, match=r"part-.*\.parquet cannot be read"):
        sink.read_attempt(APP, DAY, "a1").read_all()


def test_rows_that_are_not_where_they_belong_are_noticed(tmp_path: Path) -> None:
    sink = DeltaSinkConfig(path=str(tmp_path), rows_per_file=10).open()
    sink.write_attempt(APP, DAY, "a1", reader(some_rows(1)))
    one, other, *_ = sorted(tmp_path.rglob("part-*.parquet"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(TesseraError, match=r"row \d+ is not where it belongs"):
        sink.read_attempt(APP, DAY, "a1").read_all()


def test_a_record_is_never_written_over_and_a_broken_one_is_named(tmp_path: Path) -> None:
    sink = DeltaSinkConfig(path=str(tmp_path)).open()
    for seed in (1, 2, 3):
        _published(sink, f"a{seed}", some_rows(seed))
    first, second, third = sorted((tmp_path / "publications" / APP / DAY.isoformat()).glob("*.json"))
    first.unlink()
    content = third.read_text()
    sink.unpublish(APP, DAY, why="", who="")
    assert third.read_text() == content
    second.write_text("{")
    with pytest.raises(TesseraError, match=second.name):
        sink.history(APP, DAY)
    (tmp_path / "publications" / APP / ".stray").touch()
    assert list(sink.published_days(APP)) == []


def test_writers_of_one_application_wait_for_each_other(tmp_path: Path) -> None:
    rows = some_rows(1)
    sink = DeltaSinkConfig(path=str(tmp_path), lock_timeout_seconds=0.05).open()
    _published(sink, "a1", rows)
    sink.write_attempt(APP, DAY, "a2", reader(rows))
    with FileLock(tmp_path / "locks" / f"{APP}.lock"):
        for blocked in (
            lambda: sink.record_audit(verdict(publication("a2", rows))),
            lambda: sink.publish(publication("a2", rows)),
            lambda: sink.unpublish(APP, DAY, why="", who=""),
            lambda: sink.write_attempt(APP, DAY, "a3", reader(rows)),
            lambda: sink.vacuum(APP, keep_hours=0),
        ):
            with pytest.raises(TesseraError, match="another process"):
                blocked()
        assert sink.scores(APP, DAY)[1].read_all().equals(rows), "readers never wait"
        other = sink.write_attempt("fraud", DAY, "a1", reader(rows))
    assert other == 40
    assert audit_and_publish(sink, publication("a2", rows)).attempt == "a2"


def test_delta_readers_other_than_ours_see_the_attempt(tmp_path: Path) -> None:
    """Any tool that reads Delta can: the table is a plain one."""
    from deltalake import DeltaTable, QueryBuilder

    sink = DeltaSinkConfig(path=str(tmp_path), rows_per_file=7).open()
    _published(sink, "a1", some_rows(1))
    sink.write_attempt(APP, DAY, "a2", reader(some_rows(2)))
    table = DeltaTable(tmp_path / f"scores_{APP}")
    query = "select * from t where day = '2026-01-31' and attempt = 'a1' order by row"
    rows = pa.table(QueryBuilder().register("t", table).execute(query))
    assert rows.select(SCORES_SCHEMA.names).cast(SCORES_SCHEMA).equals(some_rows(1))


@pytest.mark.parametrize("place", [5, 60, 400])
def test_a_flipped_bit_in_the_rows_of_an_attempt_is_never_read_as_another_score(tmp_path: Path, place: int) -> None:
    rows, sink = some_rows(1, 50), DeltaSinkConfig(path=str(tmp_path / "scores")).open()
    sink.write_attempt(APP, DAY, "a", reader(rows))
    file = min((tmp_path / "scores").rglob("part-*.parquet"))
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    try:
        read = sink.read_attempt(APP, DAY, "a").read_all()
    except DamagedScores as error:
        read, todo = rows, error.todo
    else:
        todo = f"tessera run {APP}_nightly"
        assert place > 60, "these are values"
    assert read == rows
    assert f"tessera run {APP}_nightly" in todo


class PublishingMachine(RuleBasedStateMachine):
    """Any sequence of writing, publishing, unpublishing and tidying, against a plain dictionary."""

    folder: Path

    @initialize(many=st.booleans())
    def start(self, many: bool) -> None:
        self.sink = DeltaSinkConfig(path=str(self.folder), rows_per_file=7 if many else 5_000).open()
        self.written: dict[str, int] = {}
        self.ever_published: dict[str, int] = {}
        self.standing: str | None = None
        self.seen: list[Publication] = []

    @rule(attempt=st.sampled_from(["a1", "a2", "a3"]), seed=st.integers(1, 2))
    def write(self, attempt: str, seed: int) -> None:
        rows = some_rows(seed, 20)
        if self.ever_published.get(attempt, seed) != seed:
            with pytest.raises(TesseraError, match="other rows"):
                self.sink.write_attempt(APP, DAY, attempt, reader(rows))
            return
        assert self.sink.write_attempt(APP, DAY, attempt, reader(rows)) == 20
        self.written[attempt] = seed

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.written)))
        record = publication(attempt, some_rows(self.written[attempt], 20), run_id=str(len(self.seen)))
        found = audit_and_publish(self.sink, record)
        assert (found == record) is (attempt != self.standing)
        self.ever_published[attempt] = self.written[attempt]
        self.standing = attempt

    @precondition(lambda self: self.written)
    @rule(data=st.data(), seen=st.sampled_from(["a1", "a2", "a3", None]))
    def publish_over_what_was_seen(self, data: st.DataObject, seen: str | None) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.written)))
        record = publication(attempt, some_rows(self.written[attempt], 20), run_id=str(len(self.seen)))
        self.sink.record_audit(verdict(record))
        if self.standing not in (seen, attempt):
            with pytest.raises(AnotherStands):
                self.sink.publish(record, replaces=seen)
            return
        assert (self.sink.publish(record, replaces=seen) == record) is (attempt != self.standing)
        self.ever_published[attempt] = self.written[attempt]
        self.standing = attempt

    @rule()
    def unpublish(self) -> None:
        found = self.sink.unpublish(APP, DAY, why="", who="")
        assert (found.attempt if found else None) == self.standing
        self.standing = None

    @rule()
    def vacuum(self) -> None:
        self.sink.vacuum(APP, keep_hours=0)
        self.written = {a: seed for a, seed in self.written.items() if a in self.ever_published}

    @invariant()
    def pointer_names_a_complete_attempt(self) -> None:
        found = self.sink.published(APP, DAY)
        assert (found.attempt if found else None) == self.standing
        if found:
            rows = self.sink.scores(APP, DAY)[1].read_all()
            assert rows.equals(some_rows(self.ever_published[found.attempt], 20))
            assert digest(rows) == found.digest

    @invariant()
    def history_only_grows(self) -> None:
        history = list(self.sink.history(APP, DAY))
        assert history[: len(self.seen)] == self.seen
        self.seen = history


@pytest.mark.slow
def test_any_sequence_keeps_pointer_and_history_right(tmp_path_factory: pytest.TempPathFactory) -> None:
    class Machine(PublishingMachine):
        def __init__(self) -> None:
            self.folder = tmp_path_factory.mktemp("scores")
            super().__init__()

    run_state_machine_as_test(Machine, settings=settings(max_examples=10, stateful_step_count=12, deadline=None))
