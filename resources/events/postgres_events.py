"""Events in tables of Postgres, shared by any number of machines.

`FOR UPDATE SKIP LOCKED` alone would give two members events of one subject at once. So members of a group take turns at
the group's row, for as long as a call lasts, and what they hold they hold by a lease, not by a lock.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import finalize

import dagster as dg
from pydantic import Field
from typing_extensions import override

from models.errors import TesseraError
from resources.events import sql_statements as sql
from resources.events.sql_queue import Row, SqlEvents
from resources.health import Health

if TYPE_CHECKING:
    from psycopg import Connection

_CONNECT_SECONDS = 10
_POLL_SECONDS = 0.01
_LETTERS = """CREATE TABLE IF NOT EXISTS dead_letter (
    place BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL, reason TEXT NOT NULL, number BIGINT,
    refused_us BIGINT NOT NULL
);"""
#: What is asked are few rows, each by an index. A planner without statistics, as of a table filled a moment ago, reads
#: the whole table instead, or compiles the query, which takes a hundred times as long as running it.
_OFF = ("jit", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")
#: Whoever makes the tables holds this lock of the database: `IF NOT EXISTS` fails when two are at it.
_MAKING = 7_338_164_925


class PostgresEventsConfig(dg.Config):
    """Events in a schema of a Postgres database, for several machines. Needs requirements/postgres.lock."""

    kind: Literal["postgres"] = "postgres"
    url: str = Field(
        default="postgresql://127.0.0.1/tessera",
        description="As libpq takes it, `?sslmode=...` included. With a password in it: `{env: NAME}`.",
    )
    schema_name: str = Field(
        default="tessera_events", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The queue's own; made if missing."
    )
    lease_seconds: float = Field(default=30.0, gt=0, description="What a dead consumer held is delivered again then.")
    max_backlog: int = Field(default=1_000_000, ge=1, description="Publishing stops while a group is so far behind.")

    def open(self) -> PostgresEvents:
        """The queue in that database; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed.
        """
        try:
            importlib.import_module("psycopg")
        except ImportError as error:
            raise TesseraError(
                f"Events of kind 'postgres' need a package that is not installed: {error}.",
                expected="the Postgres client in .venv",
                todo="Install requirements/postgres.lock into .venv, or choose another `kind` of events in stack.yaml.",
            ) from error
        return PostgresEvents(self.url, self.schema_name, self.lease_seconds, self.max_backlog)


class PostgresEvents(SqlEvents):
    """One connection, which threads take in turns; a lost one is opened again by the next call."""

    def __init__(self, url: str, schema: str, lease_seconds: float, max_backlog: int) -> None:
        super().__init__(lease_seconds, max_backlog, _POLL_SECONDS)
        self._url, self._schema = url, schema
        #: By process: a forked child must neither speak through its parent's connection nor close it.
        self._processes: dict[int, _Process] = {}

    @override
    def check(self) -> Health:
        try:
            with self._transaction() as do:
                kept = do.rows("SELECT count(*) FROM event")[0][0]
                database, version = do.rows("SELECT current_database(), current_setting('server_version')")[0]
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        return Health(True, f"Postgres {version} events in {database}.{self._schema}, {kept} kept")

    @override
    @contextmanager
    def _transaction(self, *, lasting: bool = False) -> Iterator[_Statements]:
        with self._answering() as connection, connection.transaction():
            yield _Statements(connection)

    @override
    @contextmanager
    def _look(self) -> Iterator[_Statements]:
        with self._answering() as connection:
            yield _Statements(connection)

    @override
    def _scrub(self) -> None:
        """Bytes of removed rows stay in Postgres's own files until it writes over them, and in its log and backups.

        `VACUUM FULL` removes them from the files at once, while nobody can read.
        """

    @contextmanager
    def _answering(self) -> Iterator[Connection]:
        import psycopg

        mine = self._processes.setdefault(os.getpid(), _Process())
        with mine.lock:
            try:
                if mine.connection is None or mine.connection.closed:
                    mine.connection = _connection(self._url, self._schema)
                    finalize(self, _close, mine.connection, os.getpid())
                yield mine.connection
            except psycopg.Error as error:
                says = str(error).strip().splitlines() or [type(error).__name__]
                raise TesseraError(
                    f"The Postgres of the events does not work: {says[0].rpartition('failed: ')[2]}.",
                    expected=f"a database that lets us in, and write in schema {self._schema!r}",
                    todo="Start it, or correct `url` and `schema_name` of events in stack.yaml.",
                ) from error


@dataclass
class _Process:
    lock: AbstractContextManager[Any] = field(default_factory=RLock)
    connection: Connection | None = None


class _Statements:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        return self._connection.execute(_worded(statement), values).fetchall()

    def run(self, statement: str, values: Mapping[str, Any]) -> int:
        return self._connection.execute(_worded(statement), values).rowcount

    def run_many(self, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
        if values:
            with self._connection.cursor() as cursor:
                cursor.executemany(_worded(statement), values)


@cache
def _worded(statement: str) -> bytes:
    """Placeholders as psycopg wants them."""
    return re.sub(r":(\w+)", r"%(\1)s", statement).encode()


def _connection(url: str, schema: str) -> Connection:
    import psycopg
    from psycopg import IsolationLevel

    with ExitStack() as undo:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS, application_name="tessera")
        undo.callback(connection.close)
        # The cursors rely on it: a statement must see what was committed while it waited for its turn.
        connection.isolation_level = IsolationLevel.READ_COMMITTED
        _execute(connection, f"SET search_path TO {schema}")
        for setting in _OFF:
            _execute(connection, f"SET {setting} TO off")
        if not _has_tables(connection, schema):
            _make_tables(connection, schema)
        undo.pop_all()
    return connection


def _close(connection: Connection, process: int) -> None:
    if os.getpid() == process:
        connection.close()


def _make_tables(connection: Connection, schema: str) -> None:
    with connection.transaction():
        _execute(connection, f"SELECT pg_advisory_xact_lock({_MAKING})")
        if not _has_tables(connection, schema):  # else another was faster
            _execute(connection, f"CREATE SCHEMA IF NOT EXISTS {schema}")
            _execute(connection, f"{sql.TABLES}{_LETTERS}")


def _has_tables(connection: Connection, schema: str) -> bool:
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename IN ('dead_letter', 'hole')"
    return connection.execute(query, [schema]).fetchone() == (2,)


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(cast("Any", statement))
