"""The stream's state, alerts and position in tables of Postgres, which analysts on any machine can read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import pyarrow as pa
from pydantic import Field
from typing_extensions import override

from models.alerts import Alert, Feedback, Verdict
from models.errors import TesseraError
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from resources.health import Health
from resources.postgres_session import Place, PostgresSession, needs_client
from resources.stream_store import postgres_removal as removal
from resources.stream_store import postgres_statements as sql
from resources.stream_store import sql_rows as rows
from resources.stream_store.port import Batch, Key, StreamStore, Superseded

if TYPE_CHECKING:
    from psycopg import Connection

#: Nobody waits longer for their turn to write, and a machine that died during its own turn has it for so long.
_SETTINGS = {"timezone": "'UTC'", "lock_timeout": "'30s'", "idle_in_transaction_session_timeout": "'10min'"}
#: With each batch, that many old rows go, and two for each new one, so that removing keeps up with storing.
_REMOVED_AT_ONCE = 100
_SEEDED_AT_ONCE = 1_000


class PostgresStreamStoreConfig(dg.Config):
    """A schema of a Postgres database, for several machines. Needs requirements/postgres.lock."""

    kind: Literal["postgres"] = "postgres"
    url: str = Field(
        default="postgresql://127.0.0.1/tessera",
        description="As libpq takes it, `?sslmode=...` included. With a password in it: `{env: NAME}`.",
    )
    schema_name: str = Field(
        default="tessera_stream", pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The stream's own; made if missing."
    )

    def open(self) -> PostgresStreamStore:
        """The store in that database; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed.
        """
        needs_client("stream_store")
        return PostgresStreamStore(self.url, self.schema_name)


class PostgresStreamStore(StreamStore):
    """One connection, which threads take in turns; a lost one is opened again by the next call.

    What a killed worker, or one that lost its connection, had not committed is gone, and its events come again.
    """

    def __init__(self, url: str, schema: str) -> None:
        self._schema = schema
        place = Place(url, schema, "stream_store", "stream's state", sql.TABLES, sql.ALL_TABLES, _SETTINGS)
        self._session = PostgresSession(place)
        #: Holds a transaction that is open over several calls.
        self._seeding: Connection | None = None
        #: How many there were when a worker began here, or when it last stored one.
        self._batches: int | None = None

    @override
    def histories(self, keys: Sequence[Key]) -> Mapping[Key, KeyHistory]:
        with self._answering() as connection:
            found = connection.execute(_asked(sql.HISTORIES), _columns(keys, 2), binary=True)
            return {(key, value): KeyHistory.from_bytes(packed) for key, value, packed in found}

    @override
    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        return {row[0]: Payment(*row) for row in self._rows(sql.PAYMENTS, [*ids])}

    @override
    def unscored(self, ids: Sequence[int]) -> frozenset[int]:
        return frozenset(number for (number,) in self._rows(sql.UNSCORED, [*ids]))

    @override
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        return {row[0]: _alert(row) for row in self._rows(sql.ALERTS, [*ids])}

    @override
    def position(self) -> tuple[int, int]:
        ((position, newest),) = self._rows(sql.POSITION)
        return position, newest

    @override
    def generation(self) -> int:
        ((generation, self._batches),) = self._rows(sql.GENERATION)
        return generation

    @override
    @contextmanager
    def seeding(
        self, payments: Iterable[pa.RecordBatch], histories: Iterable[tuple[Key, KeyHistory]]
    ) -> Iterator[None]:
        with self._transaction() as connection:
            for batch in payments:
                columns = [batch.column(name).to_pylist() for name in sql.PAYMENT.split(", ")]
                connection.execute(_asked(sql.ADD_PAYMENTS), [True, *columns])
            left = iter(histories)
            while some := dict(islice(left, _SEEDED_AT_ONCE)):
                removal.put(connection, some)
            self._seeding = connection
            try:
                yield
            finally:
                self._seeding = None

    @override
    def commit(self, batch: Batch) -> None:
        with self._transaction() as connection:
            with connection.pipeline():
                _store(connection, batch)
                size = _REMOVED_AT_ONCE + 2 * len(batch.payments)
                old = removal.Old(connection, batch.keep_from, size)
            with connection.pipeline():
                old.remove(connection, batch.keep_scored_from)
