"""Spans in the home: one SQLite file per UTC day, `traces/YYYY-MM-DD.db`.

A day is removed by removing its file. Only background threads write: a file that is locked, full or damaged costs
spans and never a request.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, cast

from pydantic_core import to_json
from typing_extensions import override

from models.errors import TesseraError
from resources.sqlite.wal import use_wal
from resources.traces.port import SHORTEST, ReadableTraces, SpanRecord, SpansLost

_BUSY_SECONDS = 0.5
#: Rows are only appended: keys at random (ids of traces) would write a page for each span. A reader scans the day.
_TABLES = """
CREATE TABLE IF NOT EXISTS span (
    trace_id BLOB NOT NULL, span_id BLOB NOT NULL, parent_id BLOB NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
    start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, failed INTEGER NOT NULL, attributes TEXT NOT NULL,
    links TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS named (id TEXT NOT NULL, start_ns INTEGER NOT NULL, trace_id BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (number INTEGER NOT NULL);
"""
_SPAN, _NAMED = "INSERT INTO span VALUES ", "INSERT INTO named VALUES "
#: Rows of one statement. Between two statements the threads that work wait for their turn.
_ROWS = 64
#: `~` sorts after every sign of an id.
_NAMING = "SELECT trace_id FROM named WHERE id = ?1 OR (id > ?1 AND id < ?2) ORDER BY start_ns DESC"
#: A batch may have been written twice.
_REQUESTS = "SELECT DISTINCT span_id, name, duration_ns, failed FROM span WHERE kind = 'server' AND start_ns >= ?"
_NAMES = ("tessera.run_id", "tessera.request_id")


class SqliteTraces(ReadableTraces):
    """Spans of a home.

    Args:
        folder: of the files; made by the first write.
        keep_days: for which a day's file is kept.
        max_bytes_per_day: of one day's file; beyond it, spans are lost.
    """

    def __init__(self, folder: Path, *, keep_days: int, max_bytes_per_day: int) -> None:
        self._folder, self._keep_days, self._max_bytes = folder, keep_days, max_bytes_per_day
        self._day: date | None = None
        self._connection: sqlite3.Connection | None = None

    @override
    def write(self, spans: Sequence[SpanRecord]) -> None:
        with self._writing() as connection:
            if self._is_full():
                raise SpansLost(f"{self._file(_today())} has reached its limit", is_final=True)
            for first in range(0, len(spans), _ROWS):
                part = spans[first : first + _ROWS]
                _insert(connection, _SPAN, [_row(span) for span in part])
                _insert(connection, _NAMED, list(_names_of(part)))

    @override
    def write_dropped(self, number: int) -> None:
        with self._writing() as connection:
            connection.execute("INSERT INTO dropped VALUES (?)", (number,))

    @override
    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._day = None

    @override
    def trace(self, trace_id: str) -> Sequence[SpanRecord]:
        rows = self._rows("SELECT * FROM span WHERE trace_id = ?", bytes.fromhex(trace_id))
        spans = {span.span_id: span for span in map(_record, rows)}  # a batch may have been written twice
        return sorted(spans.values(), key=lambda one: (one.start_ns, one.span_id))

    @override
    def traces_of(self, id: str) -> Sequence[str]:
        rows = self._rows(_NAMING, id, f"{id}~" if len(id) >= SHORTEST else id)
        return list(dict.fromkeys(row[0].hex() for row in rows))

    @override
    def requests(self, first: date) -> Iterator[tuple[str, int, bool]]:
        begin = int(datetime.combine(first, time(), UTC).timestamp()) * 1_000_000_000
        for _, name, duration_ns, failed in self._rows(_REQUESTS, begin):
            yield name, duration_ns, bool(failed)

    @override
    def dropped(self) -> int:
        return sum(row[0] for row in self._rows("SELECT number FROM dropped"))

    @override
    def prune(self, before: date) -> int:
        old = [day for day in self._days() if day < before]
        for day in old:
            for suffix in ("", "-wal", "-shm"):
                self._file(day).with_name(f"{day}.db{suffix}").unlink(missing_ok=True)
        return len(old)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._opened(_today())
            with connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            self._forget()
            raise SpansLost(f"{self._folder}: {error}") from error
        except ValueError as error:  # text that is no Unicode: trying again would fail for ever
            raise SpansLost(f"{self._folder}: {error}", is_final=True) from error

    def _opened(self, today: date) -> sqlite3.Connection:
        """Return the connection to the day's file; the first one of a day removes old days."""
        if self._connection is not None and self._day == today and self._file(today).exists():
            return self._connection
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._file(today), os.O_CREAT | os.O_RDWR, 0o600)
        os.close(descriptor)
        connection = sqlite3.connect(self._file(today), timeout=_BUSY_SECONDS, check_same_thread=False)
        self._connection, self._day = connection, today
        use_wal(connection, _BUSY_SECONDS)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_TABLES)
        self.prune(today - timedelta(days=self._keep_days))
        return connection

    def _forget(self) -> None:
        """Drop a connection that failed: the next write opens another one."""
        try:
            self.close()
        except sqlite3.Error:
            self._connection = self._day = None

    def _is_full(self) -> bool:
        file = self._file(_today())
        return sum(one.stat().st_size for one in (file, file.with_name(f"{file.name}-wal")) if one.exists()) > (
            self._max_bytes
        )

    def _rows(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of each day's file, newest day first; a file whose tables are being made has none.

        Raises:
            TesseraError: a file cannot be read.
        """
        for day in reversed(self._days()):
            try:
                with closing(sqlite3.connect(self._file(day), timeout=_BUSY_SECONDS)) as connection:
                    yield from connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                if str(error).startswith("no such table"):
                    continue
                raise TesseraError(
                    f"The spans in {self._file(day)} cannot be read: {error}.",
                    expected="a file that Tessera wrote",
                    todo="Remove the file: its spans are lost, nothing else.",
                ) from None

    def _days(self) -> list[date]:
        return sorted(day for file in self._folder.glob("*.db") if (day := _day(file.stem)) is not None)

    def _file(self, day: date) -> Path:
        return self._folder / f"{day}.db"


def _today() -> date:
    return datetime.now(UTC).date()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _insert(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows by one statement: one for each row takes twice the CPU."""
    if rows:
        values = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
        connection.execute(into + values, list(chain.from_iterable(rows)))


def _row(span: SpanRecord) -> tuple[Any, ...]:
    return (
        bytes.fromhex(span.trace_id),
        bytes.fromhex(span.span_id),
        bytes.fromhex(span.parent_id),
        span.name,
        span.kind,
        span.start_ns,
        span.duration_ns,
        span.failed,
        to_json(span.attributes, inf_nan_mode="constants").decode() if span.attributes else "",
        " ".join(span.links),
    )


def _record(row: tuple[Any, ...]) -> SpanRecord:
    trace_id, span_id, parent_id, name, kind, start_ns, duration_ns, failed, attributes, links = row
    return SpanRecord(
        trace_id.hex(),
        span_id.hex(),
        parent_id.hex(),
        name,
        kind,
        start_ns,
        duration_ns,
        bool(failed),
        json.loads(attributes) if attributes else {},
        tuple(cast(str, links).split()),
    )


def _names_of(spans: Sequence[SpanRecord]) -> Iterator[tuple[str, int, bytes]]:
    for span in spans:
        for name in _NAMES:
            if name in span.attributes:
                yield str(span.attributes[name]), span.start_ns, bytes.fromhex(span.trace_id)
