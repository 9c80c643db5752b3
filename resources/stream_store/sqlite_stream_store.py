"""The stream's state, alerts and position in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import dagster as dg
import pyarrow as pa
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import RefusedValue, TesseraError
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.alerts import Alert, Feedback, Verdict
from models.timestamps import to_epoch_micros
from resources.health import Health
from resources.sqlite.vacuum import scrub
from resources.stream_store import sql_rows as rows
from resources.stream_store import sqlite_removal as removal
from resources.stream_store.port import Batch, Key, StreamStore, Superseded

_BUSY_SECONDS = 30.0
#: The log is written into the file when it has so many pages (40 MB). That delays a batch by a tenth of a second, once
#: in about 1,500 single payments instead of in 150, and a page that changes often is written once.
_LOG_PAGES = 10_000
_CACHE_KB = 32_000
#: Layout of the file, `PRAGMA user_version`.
_VERSION = 3
#: With each batch, that many old rows go, and two for each new one, so that removing keeps up with storing.
_REMOVED_AT_ONCE = 100

_TABLES = """
CREATE TABLE history (key TEXT, value TEXT, packed BLOB NOT NULL, PRIMARY KEY (key, value)) WITHOUT ROWID;
CREATE TABLE payment (
    transaction_id INTEGER PRIMARY KEY, customer_id TEXT NOT NULL, terminal_id TEXT NOT NULL, micros INTEGER NOT NULL,
    cents INTEGER NOT NULL, is_seed INTEGER NOT NULL
);
CREATE INDEX payment_by_moment ON payment (micros);
CREATE TABLE scored (
    micros INTEGER, transaction_id INTEGER, score REAL NOT NULL, model_version TEXT NOT NULL, features BLOB NOT NULL,
    PRIMARY KEY (micros, transaction_id)
) WITHOUT ROWID;
CREATE TABLE alert (
    alert_id TEXT PRIMARY KEY, day TEXT NOT NULL, customer_id TEXT NOT NULL, transactions TEXT NOT NULL,
    raised_for_us INTEGER NOT NULL, score REAL NOT NULL, highest_score REAL NOT NULL,
    model_version TEXT NOT NULL, reasons TEXT NOT NULL, label TEXT
) WITHOUT ROWID;
CREATE INDEX alert_by_day ON alert (day);
CREATE TABLE feedback (
    alert_id TEXT, transaction_id INTEGER, is_fraud INTEGER, customer_id TEXT NOT NULL, labelled_us INTEGER NOT NULL,
    who TEXT NOT NULL, PRIMARY KEY (alert_id, transaction_id, is_fraud)
) WITHOUT ROWID;
CREATE INDEX feedback_by_moment ON feedback (labelled_us);
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL, newest INTEGER NOT NULL,
    generation INTEGER NOT NULL
);
INSERT INTO progress VALUES (1, 0, 0, 0);
"""
_PAYMENT = "transaction_id, customer_id, terminal_id, micros, cents"
_ADD_PAYMENT = f"INSERT INTO payment ({_PAYMENT}, is_seed) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - our own columns
_ADD_ALERT = f"INSERT INTO alert ({rows.ALERT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT "  # noqa: S608
_ALERTS = f"SELECT {rows.ALERT_COLUMNS} FROM alert"  # noqa: S608 - our own columns
_SAID = "SELECT 1 FROM feedback WHERE alert_id = ? AND is_fraud = ?"
_SUPERSEDE = "UPDATE progress SET generation = generation + 1"


class SqliteStreamStoreConfig(dg.Config):
    """One SQLite file on this machine: no server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sqlite"] = "sqlite"
    path: str = Field(
        default="var/fraud_stream.db", description="Path of the SQLite file; `-wal` and `-shm` stand beside it."
    )

    def open(self) -> SqliteStreamStore:
        """Return the store in that file."""
        return SqliteStreamStore(Path(self.path).resolve())


class SqliteStreamStore(StreamStore):
    """One connection; what a killed worker had not committed is gone, and its events come again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None
        self._seeding = False
        self._sweep = removal.Sweep()

    @override
    def histories(self, keys: Sequence[Key]) -> Mapping[Key, KeyHistory]:
        query = "SELECT packed FROM history WHERE key = ? AND value = ?"
        with self._answering() as connection:
            found = ((key, connection.execute(query, key).fetchone()) for key in keys)
            return {key: KeyHistory.from_bytes(row[0]) for key, row in found if row}

    @override
    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        query = f"SELECT {_PAYMENT} FROM payment WHERE transaction_id = ?"  # noqa: S608 - our own columns
        with self._answering() as connection:
            found = (connection.execute(query, (number,)).fetchone() for number in ids)
            return {row[0]: Payment(*row) for row in found if row}

    @override
    def unscored(self, ids: Sequence[int]) -> frozenset[int]:
        query = "SELECT 1 FROM payment WHERE transaction_id = ? AND is_seed"
        with self._answering() as connection:
            return frozenset(number for number in ids if connection.execute(query, (number,)).fetchone())

    @override
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        with self._answering() as connection:
            found = (connection.execute(f"{_ALERTS} WHERE alert_id = ?", (name,)).fetchone() for name in ids)
            return {row[0]: rows.alert_of(row) for row in found if row}

    @override
    def position(self) -> tuple[int, int]:
        with self._answering() as connection:
            return connection.execute("SELECT position, newest FROM progress").fetchone()

    @override
    def generation(self) -> int:
        with self._answering() as connection:
            return connection.execute("SELECT generation FROM progress").fetchone()[0]

    @override
    @contextmanager
    def seeding(
        self, payments: Iterable[pa.RecordBatch], histories: Iterable[tuple[Key, KeyHistory]]
    ) -> Iterator[None]:
        with self._transaction() as connection:
            for batch in payments:
                columns = [batch.column(name).to_pylist() for name in _PAYMENT.split(", ")]
                connection.executemany(_ADD_PAYMENT, zip(*columns, [1] * batch.num_rows, strict=True))
            connection.executemany(removal.SET_HISTORY, ((*key, history.to_bytes()) for key, history in histories))
            self._seeding = True
            try:
                yield
            finally:
                self._seeding = False

    @override
    def commit(self, batch: Batch) -> None:
        if self._seeding:
            with self._answering() as connection:
                self._store(connection, batch)
                connection.commit()
        else:
            with self._transaction() as connection:
                self._store(connection, batch)

    def _store(self, connection: sqlite3.Connection, batch: Batch) -> None:
        query = "UPDATE progress SET position = ?, newest = ? WHERE generation = ?"
        if not connection.execute(query, (batch.position, batch.newest, batch.generation)).rowcount:
            raise Superseded(f"generation {batch.generation} of {self._path} is over")
        for key, history in batch.histories.items():
            removal.put(connection, key, history)
        connection.executemany(
            _ADD_PAYMENT,
            ((p.transaction_id, p.customer_id, p.terminal_id, p.micros, p.cents, 0) for p in batch.payments),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO scored VALUES (?, ?, ?, ?, ?)", map(rows.scored_row, batch.scored)
        )
        new = {one.transaction_id for one in batch.payments}
        connection.executemany(
            "UPDATE payment SET is_seed = 0 WHERE transaction_id = ? AND is_seed",
            ((one.payment.transaction_id,) for one in batch.scored if one.payment.transaction_id not in new),
        )
        joined = "DO UPDATE SET transactions = excluded.transactions, highest_score = excluded.highest_score"
        connection.executemany(f"{_ADD_ALERT} {joined}", map(rows.alert_row, batch.alerts.values()))
        size = _REMOVED_AT_ONCE + 2 * len(batch.payments)
        self._sweep.portion(connection, batch.keep_from, batch.keep_scored_from, size)

    @override
    def find(self, first: date, last: date) -> Sequence[Alert]:
        query = f"{_ALERTS} WHERE day BETWEEN ? AND ? ORDER BY day, highest_score DESC, alert_id"
        with self._answering() as connection:
            return [rows.alert_of(row) for row in connection.execute(query, (first.isoformat(), last.isoformat()))]

    @override
    def alert_days(self) -> Sequence[date]:
        with self._answering() as connection:
            found = connection.execute("SELECT DISTINCT day FROM alert ORDER BY day")
            return [date.fromisoformat(day) for (day,) in found]

    @override
    def answer(self, alert_id: str, label: Verdict, *, who: str, at: datetime) -> Alert:
        with self._transaction() as connection:
            row = connection.execute(f"{_ALERTS} WHERE alert_id = ?", (alert_id,)).fetchone()
            if not row:
                known = connection.execute("SELECT alert_id FROM alert ORDER BY day DESC, alert_id")
                raise rows.no_such_alert(alert_id, [name for (name,) in known])
            alert = rows.alert_of(row)
            said = connection.execute(_SAID, (alert_id, label == "fraud")).fetchone()
            if alert.label not in (None, label) and said:
                raise rows.corrected_before(alert_id, label)
            connection.execute("UPDATE alert SET label = ? WHERE alert_id = ?", (label, alert_id))
            connection.executemany(
                "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    (alert_id, number, label == "fraud", alert.customer_id, to_epoch_micros(at), who)
                    for number in alert.transactions
                ),
            )
            return rows.alert_of(connection.execute(f"{_ALERTS} WHERE alert_id = ?", (alert_id,)).fetchone())

    @override
    def feedback(self, first: date, last: date) -> Sequence[Feedback]:
        query = """SELECT transaction_id, customer_id, alert_id, is_fraud, labelled_us, who FROM feedback
            WHERE labelled_us >= ? AND labelled_us < ? ORDER BY labelled_us, transaction_id, is_fraud"""
        with self._answering() as connection:
            return [rows.feedback_of(row) for row in connection.execute(query, rows.bounds(first, last))]

    @override
    def add_alerts(self, alerts: Sequence[Alert]) -> int:
        with self._transaction() as connection:
            added = connection.executemany(f"{_ADD_ALERT} DO NOTHING", map(rows.alert_row, alerts)).rowcount
            if added > 0:
                connection.execute(_SUPERSEDE)
            return max(added, 0)  # sqlite3 says -1 of no alerts at all

    @override
    def scored(self, first: date, last: date) -> pa.Table:
        query = """SELECT s.transaction_id, p.customer_id, p.terminal_id, s.micros, s.score, s.model_version, s.features
            FROM scored s JOIN payment p USING (transaction_id)
            WHERE s.micros >= ? AND s.micros < ? AND length(s.features) = ? ORDER BY s.micros, s.transaction_id"""
        with self._answering() as connection:
            return rows.scored_table(connection.execute(query, (*rows.bounds(first, last), rows.FEATURE_BYTES)))

    @override
    def forget(self, customer_id: str) -> int:
        with self._transaction() as connection:
            removed = removal.forget(connection, customer_id)
            connection.execute(_SUPERSEDE)
        with self._answering() as connection:
            scrub(connection)
        return removed

    @override
    def prune(self, before: datetime) -> int:
        at = to_epoch_micros(before)
        with self._transaction() as connection:
            removed = sum(
                connection.execute(f"DELETE FROM {table} WHERE micros < ?", (at,)).rowcount  # noqa: S608
                for table in ("payment", "scored")
            )
            every = connection.execute("SELECT key, value, packed FROM history").fetchall()
            if removal.drop_before(connection, every, at) or removed:
                connection.execute(_SUPERSEDE)
            return removed

    @override
    def check(self) -> Health:
        try:
            with self._transaction() as connection:
                alerts = connection.execute("SELECT count(*) FROM alert").fetchone()[0]
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        return Health(True, f"SQLite stream state in {self._path}, {alerts} alerts")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._answering() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    @contextmanager
    def _answering(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._open is None:
                self._open = _connected(self._path)
            yield self._open
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError) as error:
            raise RefusedValue(
                f"The stream's state in {self._path} refuses a value: {error}.",
                expected="values that SQLite stores",
                todo="Correct whoever sends such payments.",
            ) from error
        except sqlite3.Error as error:
            raise TesseraError(
                f"The stream's state in {self._path} does not work: {error}.",
                expected="a file that can be written, and an SQLite database",
                todo="Correct `path` of stream_store in stack.yaml, or make room there.",
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from error
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        _make_tables(connection, path)
    return connection


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
            return  # another process was faster
        if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise TesseraError(
                f"The stream's state in {path} has a layout that this version does not read.",
                expected=f"layout {_VERSION}",
                todo="Move the file away: the stream begins again with what the lake knows.",
            )
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
