"""The state of streams, their positions and their alerts in tables of Postgres, which any machine can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import ConfigDict
from typing_extensions import override

from models.alerts import Alert, Feedback
from models.errors import TesseraError
from models.stream_state import Key, Row, StreamState
from models.timestamps import to_datetime
from resources.alert_store.port import AlertStore, ErasableAlertStore
from resources.health import Health
from resources.postgres import fields
from resources.postgres.session import Place, PostgresSession, add_tables, needs_client, without_password
from resources.state_store import alert_rows as rows
from resources.state_store import postgres_rows as tables
from resources.state_store import postgres_statements as sql
from resources.state_store.port import ErasableStateStore, StateChanges, Superseded
from resources.state_store.postgres_statements import statements

if TYPE_CHECKING:
    from psycopg import Connection

#: No writer waits longer for its turn, and a machine that died in its turn has it no longer than that.
_SETTINGS = {"timezone": "'UTC'", "lock_timeout": "'30s'", "idle_in_transaction_session_timeout": "'10min'"}
_SEEDED_AT_ONCE = 1_000


class PostgresStateStoreConfig(dg.Config):
    """A schema of a Postgres database, which several machines can reach. Needs requirements/postgres.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["postgres"] = "postgres"
    url: str = fields.address()
    schema_name: str = fields.schema("tessera_stream", "Schema of the stream's tables; made if missing.")

    def open(self) -> PostgresStateStore:
        """Return the store in that database; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed.
        """
        needs_client("state_store")
        return PostgresStateStore(self.url, self.schema_name)


class PostgresStateStore(ErasableStateStore, ErasableAlertStore):
    """One connection, which threads take in turns; a lost one is opened again by the next call.

    What a worker had not committed when it was killed or lost its connection is gone, and its events come again.
    """

    def __init__(self, url: str, schema: str) -> None:
        self._schema, self._url = schema, url
        self._place = Place(url, schema, "state_store", "stream's state", sql.TABLES, sql.BASE_TABLES, _SETTINGS)
        self._session = PostgresSession(self._place)
        #: By stream, stored when a worker last asked for the generation here, and since then by itself; none: no worker
        #: is here.
        self._batches: dict[str, int] = {}
        self._ready: set[str] = set()

    @property
    @override
    def place(self) -> str:
        return f"schema {self._schema} of {without_password(self._url)}"

    @property
    @override
    def alerts_beside(self) -> AlertStore:
        return self

    @override
    def rows(self, stream: StreamState, table: str, keys: Sequence[Key]) -> Mapping[Key, Row]:
        if not keys:
            return {}
        width, query = stream.table(table).key_columns, statements(stream, table).select
        with self._answering(stream) as connection:
            return {row[:width]: row for row in tables.run(connection, query, tables.columns(keys, 0))}

    @override
    def between(self, stream: StreamState, table: str, first: int, end: int) -> Sequence[Row]:
        with self._answering(stream) as connection:
            return tables.run(connection, statements(stream, table).between, [first, end]).fetchall()

    @override
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        return {row[0]: tables.alert_of(row) for row in self._asked(sql.ALERTS, [*ids])}

    @override
    def position(self, stream: StreamState) -> tuple[int, int]:
        with self._answering(stream) as connection:
            ((position, newest),) = tables.run(connection, sql.POSITION, [stream.name])
        return position, newest

    @override
    def generation(self, stream: StreamState) -> int:
        with self._answering(stream) as connection:
            ((generation, self._batches[stream.name]),) = tables.run(connection, sql.GENERATION, [stream.name])
        return generation

    @override
    def streams(self) -> Sequence[str]:
        return [name for (name,) in self._asked(sql.STREAMS)]

    @override
    @contextmanager
    def seeding(self, stream: StreamState, rows: Iterable[tuple[str, Iterable[Row]]]) -> Iterator[None]:
        with self._turn(stream) as (connection, _):
            for table, portion in rows:
                left = iter(portion)
                while some := [*islice(left, _SEEDED_AT_ONCE)]:
                    tables.add(connection, stream, table, some)
            yield

    @override
    def commit(self, stream: StreamState, changes: StateChanges) -> None:
        with self._turn(stream) as (connection, begun):
            generation, batches = begun[stream.name]
            if generation != changes.generation:
                raise Superseded(f"generation {changes.generation} of {self._schema} is over")
            if self._batches.get(stream.name) not in (None, batches):
                raise _another_worker(self._schema)
            tables.store(connection, stream, changes)
        self._batches[stream.name] = batches + 1

    @override
    def find(self, app: str, first: date, last: date) -> Sequence[Alert]:
        return [tables.alert_of(row) for row in self._asked(sql.ALERTS_OF_DAYS, app, first, last)]

    @override
    def apps(self) -> Sequence[str]:
        return [app for (app,) in self._asked(sql.ALERT_APPS)]

    @override
    def alert_days(self, app: str) -> Sequence[date]:
        return [day for (day,) in self._asked(sql.ALERT_DAYS, app)]

    @override
    def answer(self, alert_id: str, label: str, *, who: str, at: datetime) -> Alert:
        with self._turn() as (connection, _):
            found = tables.run(connection, sql.ALERTS, [[alert_id]]).fetchone()
            if not found:
                raise rows.no_such_alert(alert_id, [name for (name,) in tables.run(connection, sql.ALERT_IDS)])
            said = tables.run(connection, sql.SAID, [alert_id, label]).fetchone()
            if tables.alert_of(found).label not in (None, label) and said:
                raise rows.corrected_before(alert_id, label)
            tables.run(connection, sql.LABEL, [label, alert_id])
            tables.run(connection, sql.ADD_FEEDBACK, [label, at, who, alert_id])
        return self.alerts([alert_id])[alert_id]

    @override
    def feedback(self, app: str, first: date, last: date) -> Sequence[Feedback]:
        begin, end = map(to_datetime, rows.bounds(first, last))
        return [Feedback(*row) for row in self._asked(sql.FEEDBACK, begin, end, app)]

    @override
    def add_alerts(self, alerts: Sequence[Alert]) -> int:
        with self._turn() as (connection, _):
            added = tables.add_alerts(connection, alerts, else_=sql.LEAVE)
            if added:
                tables.run(connection, sql.SUPERSEDE)
            return added

    @override
    def erase(self, stream: StreamState, column: str, id: str) -> int:
        """As the port says; but Postgres's log, its backups and its disk keep bytes of what was removed."""
        with self._turn(stream) as (connection, _):
            removed = tables.erase(connection, stream, column, id)
            tables.run(connection, sql.SUPERSEDE)
        with self._session.answering() as connection:
            tables.run(connection, sql.scrub(stream))
        return removed

    @override
    def erase_alerts(self, app: str, entity_id: str) -> int:
        """As the port says; but Postgres's log, its backups and its disk keep bytes of what was removed."""
        with self._turn() as (connection, _):
            removed = tables.erase_alerts(connection, app, entity_id)
            tables.run(connection, sql.SUPERSEDE)
        with self._session.answering() as connection:
            tables.run(connection, sql.SCRUB_ALERTS)
        return removed

    @override
    def check(self) -> Health:
        try:
            with self._turn() as (connection, _):
                ((database, version, alerts),) = tables.run(connection, sql.ABOUT)
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        return Health(True, f"Postgres {version} stream state in {database}.{self._schema}, {alerts} alerts")

    def _asked(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._session.answering() as connection:
            return tables.run(connection, query, values).fetchall()

    @contextmanager
    def _answering(self, stream: StreamState) -> Iterator[Connection]:
        """Provide the connection; the tables of the stream are there."""
        with self._session.answering() as connection:
            if stream.name not in self._ready:
                marks = [stream.stored_name(table) for table in stream.tables]
                add_tables(connection, replace(self._place, tables=sql.tables_of(stream), marks=marks))
                self._check_layout(connection, stream)
                self._ready.add(stream.name)
            yield connection

    def _check_layout(self, connection: Connection, stream: StreamState) -> None:
        """Compare the columns of a stream's tables with those that it declares.

        Raises:
            TesseraError: they are others.
        """
        for table in stream.tables:
            found = tables.run(connection, sql.COLUMNS, [self._schema, stream.stored_name(table)]).fetchall()
            if [name for (name,) in found] != [*table.names]:
                raise TesseraError(
                    f"Table {stream.stored_name(table)!r} of the stream's state in schema {self._schema!r} has"
                    " a layout that this version does not read.",
                    expected=f"columns {', '.join(table.names)}",
                    todo="Choose another `schema_name` of state_store in stack.yaml, or take the schema away.",
                )

    @contextmanager
    def _turn(self, stream: StreamState | None = None) -> Iterator[tuple[Connection, Mapping[str, tuple[int, int]]]]:
        """Provide a transaction during which no one else writes, and by stream generation and batches at its beginning.

        Inside another one it is the same one, and ends it.
        """
        with self._session.answering() if stream is None else self._answering(stream) as connection:
            try:
                yield connection, tables.begun(connection)
                connection.commit()
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise


def _another_worker(schema: str) -> TesseraError:
    return TesseraError(
        f"Another worker has stored a batch in {schema!r} since this one began.",
        expected="one worker of a stream, on whatever machine",
        todo="End one of them; what this one had read comes again to the other.",
    )
