"""The stream's state, alerts and position in tables of Postgres, which analysts on any machine can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.alerts import Alert, Feedback, Verdict
from models.timestamps import to_datetime, to_epoch_micros
from resources.health import Health
from resources.postgres.session import Place, PostgresSession, needs_client
from resources.stream_store import postgres_rows as tables
from resources.stream_store import postgres_statements as sql
from resources.stream_store import sql_rows as rows
from resources.stream_store.port import Batch, Key, StreamStore, Superseded

if TYPE_CHECKING:
    from psycopg import Connection

#: Nobody waits longer for their turn to write, and a machine that died in its turn has it no longer than that.
_SETTINGS = {"timezone": "'UTC'", "lock_timeout": "'30s'", "idle_in_transaction_session_timeout": "'10min'"}
_SEEDED_AT_ONCE = 1_000


class PostgresStreamStoreConfig(dg.Config):
    """A schema of a Postgres database, which several machines can reach. Needs requirements/postgres.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["postgres"] = "postgres"
    url: str = Field(
        default="postgresql://127.0.0.1/tessera",
        description="Address as libpq takes it, `?sslmode=...` included. With a password in it: `{env: NAME}`.",
    )
    schema_name: str = Field(
        default="tessera_stream",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="Schema of the stream's tables; made if missing.",
    )

    def open(self) -> PostgresStreamStore:
        """Return the store in that database; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed.
        """
        needs_client("stream_store")
        return PostgresStreamStore(self.url, self.schema_name)


class PostgresStreamStore(StreamStore):
    """One connection, which threads take in turns; a lost one is opened again by the next call.

    What a worker had not committed when it was killed or lost its connection is gone, and its events come again.
    """

    def __init__(self, url: str, schema: str) -> None:
        self._schema = schema
        place = Place(url, schema, "stream_store", "stream's state", sql.TABLES, sql.ALL_TABLES, _SETTINGS)
        self._session = PostgresSession(place)
        #: Stored when a worker last asked for the generation here, and since then by itself. None: no worker is here.
        self._batches: int | None = None

    @override
    def histories(self, keys: Sequence[Key]) -> Mapping[Key, KeyHistory]:
        found = self._asked(sql.HISTORIES, *tables.columns(keys, 2))
        return {(key, value): KeyHistory.from_bytes(packed) for key, value, packed in found}

    @override
    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        return {row[0]: Payment(*row) for row in self._asked(sql.PAYMENTS, [*ids])}

    @override
    def unscored(self, ids: Sequence[int]) -> frozenset[int]:
        return frozenset(number for (number,) in self._asked(sql.UNSCORED, [*ids]))

    @override
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        return {row[0]: tables.alert_of(row) for row in self._asked(sql.ALERTS, [*ids])}

    @override
    def position(self) -> tuple[int, int]:
        ((position, newest),) = self._asked(sql.POSITION)
        return position, newest

    @override
    def generation(self) -> int:
        ((generation, self._batches),) = self._asked(sql.GENERATION)
        return generation

    @override
    @contextmanager
    def seeding(
        self, payments: Iterable[pa.RecordBatch], histories: Iterable[tuple[Key, KeyHistory]]
    ) -> Iterator[None]:
        with self._turn() as (connection, _):
            for batch in payments:
                columns = [batch.column(name).to_pylist() for name in sql.PAYMENT.split(", ")]
                tables.run(connection, sql.ADD_PAYMENTS, [True, *columns])
            left = iter(histories)
            while some := dict(islice(left, _SEEDED_AT_ONCE)):
                tables.put(connection, some)
            yield

    @override
    def commit(self, batch: Batch) -> None:
        with self._turn() as (connection, (generation, batches)):
            if generation != batch.generation:
                raise Superseded(f"generation {batch.generation} of {self._schema} is over")
            if self._batches not in (None, batches):
                raise _another_worker(self._schema)
            tables.store(connection, batch)
        self._batches = batches + 1

    @override
    def find(self, first: date, last: date) -> Sequence[Alert]:
        return [tables.alert_of(row) for row in self._asked(sql.ALERTS_OF_DAYS, first, last)]

    @override
    def alert_days(self) -> Sequence[date]:
        return [day for (day,) in self._asked(sql.ALERT_DAYS)]

    @override
    def answer(self, alert_id: str, label: Verdict, *, who: str, at: datetime) -> Alert:
        with self._turn() as (connection, _):
            found = tables.run(connection, sql.ALERTS, [[alert_id]]).fetchone()
            if not found:
                raise rows.no_such_alert(alert_id, [name for (name,) in tables.run(connection, sql.ALERT_IDS)])
            said = tables.run(connection, sql.SAID, [alert_id, label == "fraud"]).fetchone()
            if tables.alert_of(found).label not in (None, label) and said:
                raise rows.corrected_before(alert_id, label)
            tables.run(connection, sql.LABEL, [label, alert_id])
            tables.run(connection, sql.ADD_FEEDBACK, [label == "fraud", at, who, alert_id])
        return self.alerts([alert_id])[alert_id]

    @override
    def feedback(self, first: date, last: date) -> Sequence[Feedback]:
        return [Feedback(*row) for row in self._asked(sql.FEEDBACK, *map(to_datetime, rows.bounds(first, last)))]

    @override
    def add_alerts(self, alerts: Sequence[Alert]) -> int:
        with self._turn() as (connection, _):
            added = tables.add_alerts(connection, alerts, else_=sql.LEAVE)
            if added:
                tables.run(connection, sql.SUPERSEDE)
            return added

    @override
    def scored(self, first: date, last: date) -> pa.Table:
        return rows.scored_table(self._asked(sql.SCORED, *rows.bounds(first, last), rows.FEATURE_BYTES))

    @override
    def forget(self, customer_id: str) -> int:
        """As the port says; but Postgres's log, its backups and its disk keep bytes of what was removed."""
        with self._turn() as (connection, _):
            removed = tables.forget(connection, customer_id)
            tables.run(connection, sql.SUPERSEDE)
        with self._session.answering() as connection:
            tables.run(connection, sql.SCRUB)
        return removed

    @override
    def prune(self, before: datetime) -> int:
        with self._turn() as (connection, _):
            removed, dropped = tables.prune(connection, to_epoch_micros(before))
            if removed or dropped:
                tables.run(connection, sql.SUPERSEDE)
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
    def _turn(self) -> Iterator[tuple[Connection, tuple[int, int]]]:
        """Provide a transaction during which nobody else writes, and generation and number of batches at its beginning.

        Inside another one it is the same one, and ends it.
        """
        with self._session.answering() as connection:
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
