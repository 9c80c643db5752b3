"""The stream's state, alerts and position in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field
from typing_extensions import override

from models.alerts import Alert
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from resources.health import Health
from resources.stream_store.port import Batch, Key, StreamStore

_BUSY_SECONDS = 30.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ALERT_COLUMNS = (
    "alert_id, day, customer_id, transactions, raised_for_us, score, highest_score, model_version, reasons, label"
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS history (key TEXT, value TEXT, packed BLOB NOT NULL, PRIMARY KEY (key, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payment (
    transaction_id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL, terminal_id TEXT NOT NULL, micros INTEGER NOT NULL,
    cents INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS payment_by_moment ON payment (micros);
CREATE TABLE IF NOT EXISTS scored (
    transaction_id INTEGER PRIMARY KEY, score REAL NOT NULL, model_version TEXT NOT NULL, features BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS alert (
    alert_id TEXT PRIMARY KEY, day TEXT NOT NULL, customer_id TEXT NOT NULL, transactions TEXT NOT NULL,
    raised_for_us INTEGER NOT NULL, score REAL NOT NULL, highest_score REAL NOT NULL,
    model_version TEXT NOT NULL, reasons TEXT NOT NULL, label TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER, newest INTEGER);
"""


class SqliteStreamStoreConfig(dg.Config):
    """One SQLite file on this machine: no server."""

    kind: Literal["sqlite"] = "sqlite"
    path: str = Field(default="var/fraud_stream.db", description="The file; `-wal` and `-shm` stand beside it.")

    def open(self) -> SqliteStreamStore:
        """The store in that file."""
        return SqliteStreamStore(Path(self.path).resolve())


class SqliteStreamStore(StreamStore):
    """One connection; what a killed worker had not committed is gone, and its events come again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None

    @override
    def histories(self, keys: Sequence[Key]) -> Mapping[Key, KeyHistory]:
        query = "SELECT packed FROM history WHERE key = ? AND value = ?"
        rows = ((key, self._connection().execute(query, key).fetchone()) for key in keys)
        return {key: KeyHistory.from_bytes(row[0]) for key, row in rows if row}

    @override
    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        query = "SELECT * FROM payment WHERE transaction_id = ?"
        rows = (self._connection().execute(query, (number,)).fetchone() for number in ids)
        return {row[0]: Payment(*row) for row in rows if row}

    @override
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        query = f"SELECT {_ALERT_COLUMNS} FROM alert WHERE alert_id = ?"  # noqa: S608 - our own columns
        rows = (self._connection().execute(query, (name,)).fetchone() for name in ids)
        return {row[0]: _alert(row) for row in rows if row}

    @override
    def position(self) -> tuple[int, int]:
        row = self._connection().execute("SELECT position, newest FROM progress").fetchone()
        return (row[0], row[1]) if row else (0, 0)

    @override
    def commit(self, batch: Batch) -> None:
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?)",
                ((*key, history.to_bytes()) for key, history in batch.histories.items()),
            )
            connection.executemany(
                "INSERT INTO payment VALUES (?, ?, ?, ?, ?)",
                ((p.transaction_id, p.customer_id, p.terminal_id, p.micros, p.cents) for p in batch.payments),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO scored VALUES (?, ?, ?, ?)",
                (
                    (one.payment.transaction_id, one.score, one.model_version, array("d", one.features).tobytes())
                    for one in batch.scored
                ),
            )
            connection.executemany(
                f"INSERT OR REPLACE INTO alert ({_ALERT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (_alert_row(alert) for alert in batch.alerts.values()),
            )
            connection.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?)", (batch.position, batch.newest))

    @override
    def check(self) -> Health:
        try:
            with self._transaction() as connection:
                alerts = connection.execute("SELECT count(*) FROM alert").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            return Health(
                False, f"{self._path} does not work: {error}", "Correct `path` of stream_store in stack.yaml."
            )
        return Health(True, f"SQLite stream state in {self._path}, {alerts} alerts")

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
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._open.execute("PRAGMA journal_mode = WAL")
            self._open.execute("PRAGMA synchronous = NORMAL")
            self._open.executescript(_SCHEMA)
        return self._open


def _alert(row: tuple[Any, ...]) -> Alert:
    name, day, customer, transactions, micros, score, highest, version, reasons, label = row
    return Alert(
        name,
        date.fromisoformat(day),
        customer,
        tuple(json.loads(transactions)),
        _EPOCH + timedelta(microseconds=micros),
        score,
        highest,
        version,
        json.loads(reasons),
        label,
    )


def _alert_row(alert: Alert) -> tuple[Any, ...]:
    return (
        alert.alert_id,
        alert.day.isoformat(),
        alert.customer_id,
        json.dumps(alert.transactions),
        (alert.raised_for - _EPOCH) // _MICROSECOND,
        alert.score,
        alert.highest_score,
        alert.model_version,
        json.dumps(dict(alert.reasons)),
        alert.label,
    )
