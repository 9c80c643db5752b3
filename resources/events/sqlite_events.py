"""Events in one SQLite file: an outbox with a cursor per group, for one machine and any number of its processes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import local
from typing import Any, Literal

import dagster as dg
from pydantic import Field
from typing_extensions import override

from models.events import Event
from resources.events.port import DeadLetter, Delivered, Events, too_far_behind
from resources.health import Health

_BUSY_SECONDS = 30.0
_POLL_SECONDS = 0.002
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    offset INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
    time_us INTEGER NOT NULL, subject TEXT NOT NULL, data TEXT NOT NULL, published_us INTEGER NOT NULL,
    UNIQUE (source, id)
);
CREATE TABLE IF NOT EXISTS reader (name TEXT PRIMARY KEY, settled_through INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
    name TEXT NOT NULL, offset INTEGER NOT NULL, subject TEXT NOT NULL, attempt INTEGER NOT NULL,
    leased_until_us INTEGER NOT NULL, settled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (name, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letter (
    number INTEGER PRIMARY KEY, body TEXT NOT NULL, reason TEXT NOT NULL, offset INTEGER, refused_us INTEGER NOT NULL
);
"""

#: Events past the cursor that nobody holds, and before which nobody holds one of the same subject.
_FREE = """
SELECT e.offset, e.source, e.id, e.type, e.time_us, e.subject, e.data, coalesce(d.attempt, 0) + 1
FROM event e LEFT JOIN delivery d ON d.name = :name AND d.offset = e.offset
WHERE e.offset > :through AND coalesce(d.settled, 0) = 0 AND coalesce(d.leased_until_us, 0) <= :now
AND NOT EXISTS (
    SELECT 1 FROM delivery h WHERE h.name = :name AND h.subject = e.subject AND h.offset < e.offset
    AND h.settled = 0 AND h.leased_until_us > :now
)
ORDER BY e.offset LIMIT :limit
"""


class SqliteEventsConfig(dg.Config):
    """Events in one SQLite file on this machine: no server."""

    kind: Literal["sqlite"] = "sqlite"
    path: str = Field(default="var/events.db", description="The file; `-wal` and `-shm` stand beside it.")
    lease_seconds: float = Field(default=30.0, gt=0, description="What a dead consumer held is delivered again then.")
    max_backlog: int = Field(default=1_000_000, ge=1, description="Publishing stops while a group is so far behind.")

    def open(self) -> SqliteEvents:
        """The queue in that file."""
        return SqliteEvents(Path(self.path).resolve(), self.lease_seconds, self.max_backlog)


class SqliteEvents(Events):
    """One connection per thread; every call is one transaction, so any number of processes may take part."""

    def __init__(self, path: Path, lease_seconds: float, max_backlog: int) -> None:
        self._path = path
        self._lease_us = int(lease_seconds * 1e6)
        self._max_backlog = max_backlog
        self._threads = local()

    @override
    def publish(self, events: Sequence[Event]) -> int:
        now = _now()
        rows = [
            (e.source, e.id, e.type, _micros(e.time), e.subject, json.dumps(e.data, allow_nan=False), now)
            for e in events
        ]
        with self._transaction() as connection:
            slowest = "SELECT coalesce(min(settled_through), 0) FROM reader"
            behind = _newest(connection) - _count(connection, slowest)
            if behind + len(rows) > self._max_backlog:
                raise too_far_behind(behind, self._max_backlog)
            before = connection.total_changes
            connection.executemany(
                "INSERT OR IGNORE INTO event (source, id, type, time_us, subject, data, published_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            return connection.total_changes - before

    @override
    def read(self, group: str, *, limit: int, wait_seconds: float = 0.0) -> Sequence[Delivered]:
        until = time.monotonic() + wait_seconds
        while True:
            found = self._read(group, limit) if self._has_more(group) else []
            if found or time.monotonic() >= until:
                return found
            time.sleep(_POLL_SECONDS)

    @override
    def settle(self, group: str, offsets: Sequence[int]) -> None:
        with self._transaction() as connection:
            _settle(connection, group, offsets)

    @override
    def release(self, group: str, offsets: Sequence[int]) -> None:
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE delivery SET leased_until_us = 0 WHERE name = ? AND offset = ? AND settled = 0",
                [(group, offset) for offset in offsets],
            )

    @override
    def refuse(self, group: str, delivered: Delivered, reason: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO dead_letter (body, reason, offset, refused_us) VALUES (?, ?, ?, ?)",
                (delivered.event.to_json(), reason, delivered.offset, _now()),
            )
            _settle(connection, group, [delivered.offset])

    @override
    def refuse_body(self, body: str, reason: str) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO dead_letter (body, reason, offset, refused_us) VALUES (?, ?, NULL, ?)",
                (body, reason, _now()),
            )

    @override
    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        query = "SELECT body, reason, offset, refused_us FROM dead_letter ORDER BY number DESC LIMIT ?"
        rows = self._connection().execute(query, (limit,))
        return [DeadLetter(body, reason, offset, _moment(at)) for body, reason, offset, at in rows]

    @override
    def replay(self, group: str, *, first: int) -> int:
        with self._transaction() as connection:
            _start(connection, group)
            connection.execute("UPDATE reader SET settled_through = ? WHERE name = ?", (first - 1, group))
            connection.execute("DELETE FROM delivery WHERE name = ? AND offset >= ?", (group, first))
            return _count(connection, "SELECT count(*) FROM event WHERE offset >= ?", first)

    @override
    def newest_offset(self) -> int:
        return _newest(self._connection())

    @override
    def backlog(self, group: str) -> int:
        return _backlog(self._connection(), group)

    @override
    def prune(self, *, before: datetime) -> int:
        with self._transaction() as connection:
            through = _count(connection, "SELECT coalesce(min(settled_through), 0) FROM reader")
            query = "DELETE FROM event WHERE offset <= ? AND published_us < ?"
            return connection.execute(query, (through, _micros(before))).rowcount

    @override
    def check(self) -> Health:
        try:
            with self._transaction() as connection:
                waiting = _count(connection, "SELECT count(*) FROM event")
        except (sqlite3.Error, OSError) as error:
            return Health(False, f"{self._path} does not work: {error}", "Correct `path` of events in stack.yaml.")
        return Health(True, f"SQLite events in {self._path}, {waiting} kept")

    def _has_more(self, group: str) -> bool:
        """Cheap and without a write: whether reading can give anything."""
        connection = self._connection()
        row = connection.execute("SELECT settled_through FROM reader WHERE name = ?", (group,)).fetchone()
        return row is None or row[0] < _newest(connection)

    def _read(self, group: str, limit: int) -> list[Delivered]:
        now = _now()
        with self._transaction() as connection:
            through = _start(connection, group)
            asked = {"name": group, "through": through, "now": now, "limit": limit}
            rows = connection.execute(_FREE, asked).fetchall()
            connection.executemany(
                "INSERT INTO delivery (name, offset, subject, attempt, leased_until_us) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET attempt = excluded.attempt, leased_until_us = excluded.leased_until_us",
                [(group, row[0], row[5], row[7], now + self._lease_us) for row in rows],
            )
        return [_delivered(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._threads, "connection"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            self._threads.connection = connection
        return self._threads.connection


def _start(connection: sqlite3.Connection, group: str) -> int:
    """The offset up to which the group has settled everything; a new group has settled nothing."""
    connection.execute("INSERT OR IGNORE INTO reader VALUES (?, 0)", (group,))
    return _count(connection, "SELECT settled_through FROM reader WHERE name = ?", group)


def _settle(connection: sqlite3.Connection, group: str, offsets: Sequence[int]) -> None:
    """Marks them, then moves the cursor over everything settled in one piece."""
    through = _start(connection, group)
    connection.executemany(
        "INSERT INTO delivery (name, offset, subject, attempt, leased_until_us, settled) VALUES (?, ?, '', 1, 0, 1)"
        " ON CONFLICT DO UPDATE SET settled = 1",
        [(group, offset) for offset in offsets if offset > through],
    )
    open_query = """SELECT e.offset FROM event e LEFT JOIN delivery d ON d.name = :name AND d.offset = e.offset
        WHERE e.offset > :through AND coalesce(d.settled, 0) = 0 ORDER BY e.offset LIMIT 1"""
    first_open = connection.execute(open_query, {"name": group, "through": through}).fetchone()
    moved = first_open[0] - 1 if first_open else _newest(connection)
    connection.execute("UPDATE reader SET settled_through = ? WHERE name = ?", (moved, group))
    connection.execute("DELETE FROM delivery WHERE name = ? AND offset <= ?", (group, moved))


def _newest(connection: sqlite3.Connection) -> int:
    """The newest offset, also after its event was pruned."""
    return _count(connection, "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'event'")


def _backlog(connection: sqlite3.Connection, group: str) -> int:
    query = """SELECT count(*) FROM event e LEFT JOIN delivery d ON d.name = :name AND d.offset = e.offset
        WHERE e.offset > coalesce((SELECT settled_through FROM reader WHERE name = :name), 0)
        AND coalesce(d.settled, 0) = 0"""
    return int(connection.execute(query, {"name": group}).fetchone()[0])


def _count(connection: sqlite3.Connection, query: str, *values: Any) -> int:
    return int(connection.execute(query, values).fetchone()[0])


def _delivered(row: tuple[Any, ...]) -> Delivered:
    offset, source, name, kind, micros, subject, data, attempt = row
    event = Event.model_construct(
        id=name, source=source, type=kind, time=_moment(micros), subject=subject, data=json.loads(data)
    )
    return Delivered(event, offset, attempt)


def _now() -> int:
    return time.time_ns() // 1000


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
