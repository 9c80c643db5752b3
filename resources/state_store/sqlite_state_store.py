"""The state of streams, their positions and their alerts in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.alerts import Alert, Feedback
from models.errors import RefusedValue, TesseraError
from models.stream_state import Key, Row, StreamState
from models.timestamps import to_epoch_micros
from resources.alert_store.port import AlertStore, ErasableAlertStore
from resources.health import Health
from resources.sqlite.vacuum import scrub
from resources.sqlite.wal import use_wal
from resources.sqlite.whole import require_whole
from resources.state_store import alert_rows as rows
from resources.state_store import sqlite_removal as removal
from resources.state_store import sqlite_statements as sql
from resources.state_store.port import ErasableStateStore, StateChanges, Superseded
from resources.state_store.sqlite_statements import statements

_BUSY_SECONDS = 30.0
#: The log is written into the file when it has so many pages (40 MB). That delays a batch by a tenth of a second, once
#: in about 1,500 single payments instead of in 150, and a page that changes often is written once.
_LOG_PAGES = 10_000
_CACHE_KB = 32_000
#: Layout of the file, `PRAGMA user_version`.
_VERSION = 6
#: With each batch, that many old rows go, and two for each new one, so that removing keeps up with storing.
_REMOVED_AT_ONCE = 100


class SqliteStateStoreConfig(dg.Config):
    """One SQLite file on this machine: no server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sqlite"] = "sqlite"
    path: str = Field(
        default="var/streams.db", description="Path of the SQLite file; `-wal` and `-shm` stand beside it."
    )

    def open(self) -> SqliteStateStore:
        """Return the store in that file."""
        return SqliteStateStore(Path(self.path).resolve())


class SqliteStateStore(ErasableStateStore, ErasableAlertStore):
    """One connection; what a killed worker had not committed is gone, and its events come again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: sqlite3.Connection | None = None
        self._seeding = False
        self._ready: set[str] = set()

    @property
    @override
    def place(self) -> str:
        return str(self._path)

    @property
    @override
    def alerts_beside(self) -> AlertStore:
        return self

    @override
    def rows(self, stream: StreamState, table: str, keys: Sequence[Key]) -> Mapping[Key, Row]:
        query, width = statements(stream, table).select, stream.table(table).key_columns
        with self._answering(stream) as connection:
            found = (connection.execute(query, key).fetchone() for key in keys)
            return {row[:width]: row for row in found if row}

    @override
    def between(self, stream: StreamState, table: str, first: int, end: int) -> Sequence[Row]:
        with self._answering(stream) as connection:
            return connection.execute(statements(stream, table).between, (first, end)).fetchall()

    @override
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        with self._answering() as connection:
            found = (connection.execute(f"{sql.ALERTS} WHERE alert_id = ?", (name,)).fetchone() for name in ids)
            return {row[0]: rows.alert_of(row) for row in found if row}

    @override
    def position(self, stream: StreamState) -> tuple[int, int]:
        with self._answering(stream) as connection:
            query = "SELECT position, newest FROM progress WHERE stream = ?"
            return connection.execute(query, (stream.name,)).fetchone()

    @override
    def generation(self, stream: StreamState) -> int:
        with self._answering(stream) as connection:
            query = "SELECT generation FROM progress WHERE stream = ?"
            return connection.execute(query, (stream.name,)).fetchone()[0]

    @override
    def streams(self) -> Sequence[str]:
        with self._answering() as connection:
            return [name for (name,) in connection.execute("SELECT stream FROM progress ORDER BY stream")]

    @override
    @contextmanager
    def seeding(self, stream: StreamState, rows: Iterable[tuple[str, Iterable[Row]]]) -> Iterator[None]:
        with self._transaction(stream) as connection:
            for table, portion in rows:
                connection.executemany(statements(stream, table).add, portion)
            self._seeding = True
            try:
                yield
            finally:
                self._seeding = False

    @override
    def commit(self, stream: StreamState, changes: StateChanges) -> None:
        if self._seeding:
            with self._answering(stream) as connection:
                self._store(connection, stream, changes)
                connection.commit()
        else:
            with self._transaction(stream) as connection:
                self._store(connection, stream, changes)

    def _store(self, connection: sqlite3.Connection, stream: StreamState, changes: StateChanges) -> None:
        reached = (changes.position, changes.newest, stream.name, changes.generation)
        if not connection.execute(sql.SET_POSITION, reached).rowcount:
            raise Superseded(f"generation {changes.generation} of {self._path} is over")
        for table, keys in changes.removed.items():
            connection.executemany(statements(stream, table).remove, keys)
        for table, some in changes.put.items():
            connection.executemany(statements(stream, table).put, some)
        for table, some in changes.added.items():
            connection.executemany(statements(stream, table).add, some)
        connection.executemany(f"{sql.ADD_ALERT} {sql.JOINED}", map(rows.alert_row, changes.alerts))
        size = _REMOVED_AT_ONCE + 2 * sum(map(len, changes.added.values()))
        removal.remove_old(connection, stream, changes.keep_from, size)

    @override
    def find(self, app: str, first: date, last: date) -> Sequence[Alert]:
        query = f"{sql.ALERTS} WHERE app = ? AND day BETWEEN ? AND ? ORDER BY day, highest_score DESC, alert_id"
        asked = (app, first.isoformat(), last.isoformat())
        with self._answering() as connection:
            return [rows.alert_of(row) for row in connection.execute(query, asked)]

    @override
    def apps(self) -> Sequence[str]:
        with self._answering() as connection:
            return [app for (app,) in connection.execute("SELECT DISTINCT app FROM alert ORDER BY app")]

    @override
    def alert_days(self, app: str) -> Sequence[date]:
        with self._answering() as connection:
            found = connection.execute("SELECT DISTINCT day FROM alert WHERE app = ? ORDER BY day", (app,))
            return [date.fromisoformat(day) for (day,) in found]

    @override
    def answer(self, alert_id: str, label: str, *, who: str, at: datetime) -> Alert:
        with self._transaction() as connection:
            row = connection.execute(f"{sql.ALERTS} WHERE alert_id = ?", (alert_id,)).fetchone()
            if not row:
                known = connection.execute("SELECT alert_id FROM alert ORDER BY day DESC, alert_id")
                raise rows.no_such_alert(alert_id, [name for (name,) in known])
            alert = rows.alert_of(row)
            said = connection.execute(sql.SAID, (alert_id, label)).fetchone()
            if alert.label not in (None, label) and said:
                raise rows.corrected_before(alert_id, label)
            connection.execute("UPDATE alert SET label = ? WHERE alert_id = ?", (label, alert_id))
            connection.executemany(
                "INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    (alert_id, one, label, alert.app, alert.entity_id, to_epoch_micros(at), who)
                    for one in alert.evidence
                ),
            )
            return rows.alert_of(connection.execute(f"{sql.ALERTS} WHERE alert_id = ?", (alert_id,)).fetchone())

    @override
    def feedback(self, app: str, first: date, last: date) -> Sequence[Feedback]:
        asked = (*rows.bounds(first, last), app)
        with self._answering() as connection:
            return [rows.feedback_of(row) for row in connection.execute(sql.FEEDBACK, asked)]

    @override
    def add_alerts(self, alerts: Sequence[Alert]) -> int:
        with self._transaction() as connection:
            added = connection.executemany(f"{sql.ADD_ALERT} DO NOTHING", map(rows.alert_row, alerts)).rowcount
            if added > 0:
                connection.execute(sql.SUPERSEDE)
            return max(added, 0)  # sqlite3 says -1 of no alerts at all

    @override
    def erase(self, stream: StreamState, column: str, id: str) -> int:
        with self._transaction(stream) as connection:
            removed = removal.erase(connection, stream, column, id)
            connection.execute(sql.SUPERSEDE)
        with self._answering() as connection:
            scrub(connection)
        return removed

    @override
    def erase_alerts(self, app: str, entity_id: str) -> int:
        with self._transaction() as connection:
            removed = removal.erase_alerts(connection, app, entity_id)
            connection.execute(sql.SUPERSEDE)
        with self._answering() as connection:
            scrub(connection)
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
    def _transaction(self, stream: StreamState | None = None) -> Iterator[sqlite3.Connection]:
        with self._answering(stream) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    @contextmanager
    def _answering(self, stream: StreamState | None = None) -> Iterator[sqlite3.Connection]:
        try:
            if self._open is None:
                self._open = _connected(self._path)
            if stream is not None and stream.name not in self._ready:
                _add_stream(self._open, self._path, stream)
                self._ready.add(stream.name)
            yield self._open
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError) as error:
            raise RefusedValue(
                f"The stream's state in {self._path} refuses a value: {error}.",
                expected="values that SQLite stores",
                todo="Correct the sender of such values.",
            ) from error
        except sqlite3.Error as error:
            raise TesseraError(
                f"The stream's state in {self._path} does not work: {error}.",
                expected="a file that can be written, and an SQLite database",
                todo="Correct `path` of state_store in stack.yaml, or make room there.",
            ) from error


def _connected(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise sqlite3.OperationalError(str(error)) from error
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    use_wal(connection, _BUSY_SECONDS)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    require_whole(connection, path)
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        _make_tables(connection, path)
    return connection


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
            return  # another process was faster
        if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise _other_layout(path, f"layout {_VERSION}")
        for statement in sql.TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")


def _add_stream(connection: sqlite3.Connection, path: Path, stream: StreamState) -> None:
    """Make the tables of a stream that are not there; in one transaction, unless one is open already."""
    wanted = sql.tables_of(stream)
    with ExitStack() as turn:
        if not connection.in_transaction:
            connection.execute("BEGIN IMMEDIATE")
            turn.enter_context(connection)
        there = dict(connection.execute("SELECT name, sql FROM sqlite_schema").fetchall())
        for name, statement in wanted.items():
            if name not in there:
                connection.execute(statement)
            elif there[name] != statement:
                raise _other_layout(path, statement)
        connection.execute("INSERT INTO progress VALUES (?, 0, 0, 0) ON CONFLICT DO NOTHING", (stream.name,))


def _other_layout(path: Path, expected: str) -> TesseraError:
    return TesseraError(
        f"The stream's state in {path} has a layout that this version does not read.",
        expected=expected,
        todo="Move the file away: the stream begins again with what the lake knows.",
    )
