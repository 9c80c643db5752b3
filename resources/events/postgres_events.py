"""Events in tables of Postgres, shared by any number of machines.

`FOR UPDATE SKIP LOCKED` alone would give two members events of one subject at once. So members of a group take turns at
the group's row, for as long as a call lasts, and what they hold they hold by a lease, not by a lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from resources.events import sql_statements as sql
from resources.events.sql_queue import Row, SqlEvents
from resources.health import Health
from resources.postgres import fields
from resources.postgres.session import Place, PostgresSession, needs_client

if TYPE_CHECKING:
    from psycopg import Connection

_POLL_SECONDS = 0.01
_LETTERS = """CREATE TABLE IF NOT EXISTS dead_letter (
    place BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body TEXT NOT NULL, reason TEXT NOT NULL, number BIGINT,
    refused_us BIGINT NOT NULL
);"""


class PostgresEventsConfig(dg.Config):
    """Events in a schema of a Postgres database, for several machines. Needs requirements/postgres.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["postgres"] = "postgres"
    url: str = fields.address()
    schema_name: str = fields.schema("tessera_events", "Schema of the queue's tables; made if missing.")
    lease_seconds: float = Field(
        default=30.0, gt=0, description="Events that a dead consumer held are delivered again after this time."
    )
    max_backlog: int = Field(
        default=1_000_000, ge=1, description="Publishing stops while a consumer group is this many events behind."
    )

    def open(self) -> PostgresEvents:
        """Return the queue in that database; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed.
        """
        needs_client("events")
        return PostgresEvents(self.url, self.schema_name, self.lease_seconds, self.max_backlog)


class PostgresEvents(SqlEvents):
    """One connection, which threads take in turns; a lost one is opened again by the next call."""

    def __init__(self, url: str, schema: str, lease_seconds: float, max_backlog: int) -> None:
        super().__init__(lease_seconds, max_backlog, _POLL_SECONDS)
        self._schema = schema
        added = sql.ADD_TRACEPARENT.replace("COLUMN", "COLUMN IF NOT EXISTS")
        tables, marks = f"{sql.TABLES}{_LETTERS}{added}", ("dead_letter", "hole", "event.traceparent")
        self._session = PostgresSession(Place(url, schema, "events", "events", tables, marks))

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
        with self._session.answering() as connection, connection.transaction():
            yield _Statements(connection)

    @override
    @contextmanager
    def _look(self) -> Iterator[_Statements]:
        with self._session.answering() as connection:
            yield _Statements(connection)

    @override
    def _scrub(self) -> None:
        """Bytes of removed rows stay in Postgres's own files until it writes over them, and in its log and backups.

        `VACUUM FULL` removes them from the files at once, and blocks readers meanwhile.
        """


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
