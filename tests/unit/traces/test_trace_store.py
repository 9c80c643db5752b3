"""Spans in the home: written, read, bounded; a file that fails costs spans and nothing else."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import TesseraError
from models.observability import TraceSettings
from resources.traces.port import SpanRecord, SpansLost, traces_of_home
from resources.traces.sqlite_traces import SqliteTraces

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TODAY = datetime.now(UTC).date()


def record(number: int, parent: int | None = None, trace_id: str = TRACE, **attributes: str | int) -> SpanRecord:
    return SpanRecord(
        trace_id,
        f"{number:016x}",
        "" if parent is None else f"{parent:016x}",
        f"span {number}",
        "internal",
        number,
        1000,
        attributes={f"tessera.{name}": value for name, value in attributes.items()},
        links=(f"00-{'1' * 32}-{'2' * 16}-01",) if number == 1 else (),
    )


def store(home: Path, **settings: int) -> SqliteTraces:
    found = traces_of_home(home, TraceSettings.model_validate(settings))
    assert isinstance(found, SqliteTraces)
    return found


def test_spans_are_read_as_they_were_written_however_often(tmp_path: Path) -> None:
    spans = [record(1, rows=7, app="churn"), record(2, parent=1)]
    writing = store(tmp_path)
    for _ in range(2):
        writing.write(list(reversed(spans)))
    assert store(tmp_path).trace(TRACE) == spans
    assert store(tmp_path).trace("0" * 32) == []
    assert oct((tmp_path / "traces" / f"{TODAY}.db").stat().st_mode)[-3:] == "600"


def test_traces_are_found_by_run_and_request_and_by_their_first_characters(tmp_path: Path) -> None:
    other = "5" * 32
    store(tmp_path).write([record(1, run_id="818a2ba2-23bd"), record(2, trace_id=other, run_id="818a2ba2-ffff")])
    found = store(tmp_path)
    assert found.traces_of("818a2ba2-23bd") == [TRACE]
    assert found.traces_of("818a2ba2") == [other, TRACE]
    assert found.traces_of("818a2ba") == []


def test_old_days_are_removed_when_a_new_day_begins_and_on_request(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    for days in (1, 2, 3):
        (folder / f"{TODAY - timedelta(days=days)}.db").touch()
    store(tmp_path, keep_days=2).write([record(1)])
    assert len(list(folder.glob("*.db"))) == 3
    assert store(tmp_path).prune(TODAY) == 2
    assert {file.name.split(".db")[0] for file in folder.iterdir()} == {str(TODAY)}


def test_a_day_at_its_limit_takes_no_more_and_keeps_what_it_has(tmp_path: Path) -> None:
    small = SqliteTraces(tmp_path, keep_days=1, max_bytes_per_day=1)
    with pytest.raises(SpansLost, match="limit") as lost:
        small.write([record(1)])
    assert lost.value.is_final
    small.write_dropped(1)
    assert small.dropped() == 1


def test_a_locked_file_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.traces.sqlite_traces._BUSY_SECONDS", 0.01)
    store(tmp_path).write([record(1)])
    holder = sqlite3.connect(tmp_path / "traces" / f"{TODAY}.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    waiting = store(tmp_path)
    with pytest.raises(SpansLost, match="locked") as lost:
        waiting.write([record(2)])
    assert not lost.value.is_final
    holder.execute("ROLLBACK")
    waiting.write([record(2)])
    assert len(waiting.trace(TRACE)) == 2


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / f"{TODAY}.db").write_bytes(b"no database " * 100)
    with pytest.raises(SpansLost):
        store(tmp_path).write([record(1)])
    with pytest.raises(TesseraError, match=f"{TODAY}.db cannot be read"):
        store(tmp_path).trace(TRACE)


def test_text_that_is_no_unicode_costs_its_batch_and_is_not_tried_again(tmp_path: Path) -> None:
    with pytest.raises(SpansLost) as lost:
        store(tmp_path).write([record(1)._replace(name="\udcff")])
    assert lost.value.is_final
    store(tmp_path).write([record(2)])
    assert [one.name for one in store(tmp_path).trace(TRACE)] == ["span 2"]


def test_of_many_spans_each_is_kept_and_found_by_its_request(tmp_path: Path) -> None:
    """More than one statement takes, only some of them named."""
    store(tmp_path).write([_named(number) for number in range(1, 200)])
    assert [one.name for one in store(tmp_path).trace(TRACE)] == [f"span {number}" for number in range(1, 200)]
    assert [store(tmp_path).traces_of(f"request-{number:03}") for number in (3, 4, 198)] == [[TRACE], [], [TRACE]]


def _named(number: int) -> SpanRecord:
    return record(number) if number % 3 else record(number, request_id=f"request-{number:03}")


def test_a_batch_that_is_written_twice_is_read_once(tmp_path: Path) -> None:
    for _ in range(2):
        store(tmp_path).write([record(1, run_id="818a2ba2-23bd")])
    assert len(store(tmp_path).trace(TRACE)) == 1
    assert store(tmp_path).traces_of("818a2ba2") == [TRACE]
