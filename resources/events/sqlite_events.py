"""Events in one SQLite file: an outbox with a cursor per group, for one machine and any number of its processes."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Literal
from weakref import WeakSet, finalize

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from resources.events import sql_statements as sql
from resources.events.sql_queue import Row, SqlEvents
from resources.health import Health
from resources.sqlite.vacuum import scrub
from resources.sqlite.wal import use_wal
from resources.sqlite.whole import require_whole

_BUSY_SECONDS = 30.0
_POLL_SECONDS = 0.002
_LETTERS = """CREATE TABLE IF NOT EXISTS dead_letter (
    place INTEGER PRIMARY KEY, body TEXT NOT NULL, reason TEXT NOT NULL, number INTEGER, refused_us INTEGER NOT NULL
);"""
#: `PRAGMA user_version` of a file whose tables are there: 2 has `hole`, 3 `event.traceparent`.
_VERSION = 3


class SqliteEventsConfig(dg.Config):
    """Events in one SQLite file on this machine: no server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sqlite"] = "sqlite"
    path: str = Field(
        default="var/events.db", description="Path of the SQLite file; `-wal` and `-shm` stand beside it."
    )
    lease_seconds: float = Field(
        default=30.0, gt=0, description="Events that a dead consumer held are delivered again after this time."
    )
    max_backlog: int = Field(
        default=1_000_000, ge=1, description="Publishing stops while a consumer group is this many events behind."
    )
    survives_power_failure: bool = Field(
        default=False,
        description="Publishing waits for the disk. Without it, a crash of a process loses nothing, but one of "
        "the machine may lose what was published in the last moments.",
    )

    def open(self) -> SqliteEvents:
        """Return the queue in that file."""
        path = Path(self.path).resolve()
        return SqliteEvents(path, self.lease_seconds, self.max_backlog, waits_for_disk=self.survives_power_failure)


class SqliteEvents(SqlEvents):
    """One connection, which threads take in turns: SQLite lets only one of them write anyway."""

    def __init__(self, path: Path, lease_seconds: float, max_backlog: int, *, waits_for_disk: bool = False) -> None:
        super().__init__(lease_seconds, max_backlog, _POLL_SECONDS)
        self._path, self._waits_for_disk = path, waits_for_disk
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        _OPEN.add(self)

    @override
    def check(self) -> Health:
        try:
            with self._transaction() as do:
                kept = do.rows("SELECT count(*) FROM event")[0][0]
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        return Health(True, f"SQLite events in {self._path}, {kept} kept")

    @override
    @contextmanager
    def _transaction(self, *, lasting: bool = False) -> Iterator[_Statements]:
        with self._answering() as connection:
            connection.execute(f"PRAGMA synchronous = {'FULL' if lasting and self._waits_for_disk else 'NORMAL'}")
            with connection:  # commits, or rolls back
                connection.execute("BEGIN IMMEDIATE")
                yield _Statements(connection)

    @override
    @contextmanager
    def _look(self) -> Iterator[_Statements]:
        with self._answering() as connection:
            yield _Statements(connection)

    @override
    def _scrub(self) -> None:
        with self._answering() as connection:
            scrub(connection)

    @contextmanager
    def _answering(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _connected(self._path)
                    finalize(self, self._connection.close)
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise TesseraError(
                    f"The events in {self._path} do not work: {error}.",
                    expected="a file that can be written, and an SQLite database",
                    todo="Correct `path` of events in stack.yaml, or make room there.",
                ) from error

    def before_fork(self) -> None:
        """Close the connection. A child must never have one: SQLite's locks belong to the process that took them."""
        self._lock.acquire()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def after_fork_in_parent(self) -> None:
        """Open a new connection on the next call."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Open a connection of the child's own on the next call."""
        self._lock = RLock()


class _Statements:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        return self._connection.execute(_worded(statement), values or {}).fetchall()

    def run(self, statement: str, values: Mapping[str, Any]) -> int:
        return self._connection.execute(_worded(statement), values).rowcount

    def run_many(self, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
        if values:
            self._connection.executemany(_worded(statement), values)


def _worded(statement: str) -> str:
    """A transaction excludes other writers: there is nothing to lock."""
    return statement.removesuffix(" FOR UPDATE")


def _connected(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        undo.enter_context(closing(connection))
        use_wal(connection, _BUSY_SECONDS)
        require_whole(connection, path)
        connection.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            _make_tables(connection)
        undo.pop_all()
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for statement in f"{sql.TABLES}{_LETTERS}".split(";"):
            connection.execute(statement)
        if "traceparent" not in {row[1] for row in connection.execute("PRAGMA table_info(event)")}:
            connection.execute(sql.ADD_TRACEPARENT)
        connection.execute(f"PRAGMA user_version = {_VERSION}")


_OPEN: WeakSet[SqliteEvents] = WeakSet()


def _each(what: str) -> None:
    for events in list(_OPEN):
        getattr(events, what)()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _each("before_fork"),
        after_in_parent=lambda: _each("after_fork_in_parent"),
        after_in_child=lambda: _each("after_fork_in_child"),
    )
