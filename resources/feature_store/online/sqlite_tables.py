"""The tables of the SQLite online store: Feast's own, with the exact times and the forgotten keys beside them.

`<project>_<view>`: Feast's, a row per entity and feature. `<project>_<view>__moments`: exact event and created time of
each entity. `_forgotten`: digests of forgotten keys, of all projects in the file.
"""
# Names of tables and features are quoted; values are always variables.
# ruff: noqa: S608

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from resources.sqlite.wal import use_wal

#: The created time of a row without one: older than any.
NEVER_US = -(2**63)
#: How long a writer waits for another one: a transaction takes about a second.
_BUSY_SECONDS = 300
#: SQLite's default limit is 32,766 variables in a statement.
_KEYS_PER_QUERY = 10_000
_FEAST_COLUMNS = ("value", "value_text", "event_ts", "created_ts")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def connected(path: str) -> sqlite3.Connection:
    """Return a connection that waits for other writers, with a write-ahead log, so that reads never wait."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    types = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES  # Feast's reads need them
    conn = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, detect_types=types, isolation_level=None, check_same_thread=False
    )
    use_wal(conn, _BUSY_SECONDS)
    conn.execute("PRAGMA secure_delete = FAST")
    return conn


@contextmanager
def transaction(conn: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All or nothing; `IMMEDIATE` for those who write, `DEFERRED` for those who read several tables as of one time."""
    conn.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        conn.rollback()
        raise
    conn.commit()


def exists(conn: sqlite3.Connection, table: str) -> bool:
    """Return True if the file has this table."""
    return conn.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table]).fetchone() is not None


def add_moments(conn: sqlite3.Connection, table: str) -> None:
    """Add exact timestamps; rows that Feast's own store wrote get them as precise as stored."""
    if exists(conn, f"{table}__moments"):
        return
    conn.execute(
        f"CREATE TABLE {_moments(table)} (entity_key BLOB PRIMARY KEY, event_us INTEGER NOT NULL,"
        " created_us INTEGER NOT NULL) WITHOUT ROWID"
    )
    standing = conn.execute(
        f'SELECT entity_key, max(event_ts) AS "event [timestamp]", max(created_ts) AS "created [timestamp]"'
        f" FROM {quoted(table)} GROUP BY entity_key"
    )
    add = f"INSERT INTO {_moments(table)} VALUES (?, ?, ?)"
    while rows := list(islice(standing, _KEYS_PER_QUERY)):
        conn.executemany(add, [(key, _microseconds(event), _microseconds(created)) for key, event, created in rows])


def fresh(conn: sqlite3.Connection, table: str, project: str, rows: list[tuple]) -> list[tuple]:
    """Return rows (entity key, event µs, created µs, ...) not older than those stored, of keys not erased."""
    keys = [row[0] for row in rows]
    stored: dict[bytes, tuple[int, int]] = {}
    for some in _portions(keys):
        query = f"SELECT entity_key, event_us, created_us FROM {_moments(table)} WHERE entity_key IN ({_marks(some)})"
        stored.update((key, (event, created)) for key, event, created in conn.execute(query, some))
    forgotten = _forgotten(conn, project, keys)
    if not stored and not forgotten:
        return rows
    oldest = (NEVER_US, NEVER_US)
    return [row for row in rows if row[1:3] >= stored.get(row[0], oldest) and row[0] not in forgotten]


def store(conn: sqlite3.Connection, table: str, features: Sequence[str], rows: Sequence[tuple]) -> None:
    """Replace what is stored.

    Args:
        conn: in a transaction.
        table: Feast's.
        features: their names.
        rows: entity key, event µs, created µs, event and created time as Feast has them, then value and text of each
            feature. In ascending order of the keys it takes half as long.
    """
    conn.executemany(f"INSERT OR REPLACE INTO {_moments(table)} VALUES (?, ?, ?)", (row[:3] for row in rows))
    cells = ", ".join(f"(?1, {_text(name)}, ?{6 + 2 * at}, ?{7 + 2 * at}, ?4, ?5)" for at, name in enumerate(features))
    changes = ", ".join(f"{name} = excluded.{name}" for name in _FEAST_COLUMNS)
    conn.executemany(
        f"INSERT INTO {quoted(table)} (entity_key, feature_name, {', '.join(_FEAST_COLUMNS)}) VALUES {cells}"
        f" ON CONFLICT (entity_key, feature_name) DO UPDATE SET {changes}",
        rows,
    )


class TableRead(NamedTuple):
    """A read of one of Feast's tables: some entities, each once, and some of the features that it has of them."""

    table: str
    entity_keys: Sequence[bytes]
    features: Sequence[str]


class Read(NamedTuple):
    """Stored event times (µs), and values of each feature, in the order of the keys; None where nothing is stored."""

    moments: list[int | None]
    cells: dict[str, list[bytes | None]]


def read(conn: sqlite3.Connection, asked: Sequence[TableRead]) -> list[Read]:
    """Return what is stored, of all tables as of one time: one statement sees one state of the file."""
    if sum(len(one.entity_keys) for one in asked) <= _KEYS_PER_QUERY:
        return _read(conn, asked) if asked else []
    with transaction(conn, "DEFERRED"):
        return [_read_in_portions(conn, one) for one in asked]


def _read_in_portions(conn: sqlite3.Connection, asked: TableRead) -> Read:
    portions = [_read(conn, [asked._replace(entity_keys=keys)])[0] for keys in _portions(asked.entity_keys)]
    cells = {name: [*chain.from_iterable(one.cells[name] for one in portions)] for name in asked.features}
    return Read([*chain.from_iterable(one.moments for one in portions)], cells)


def _read(conn: sqlite3.Connection, asked: Sequence[TableRead]) -> list[Read]:
    found = [
        Read([None] * len(one.entity_keys), {name: [None] * len(one.entity_keys) for name in one.features})
        for one in asked
    ]
    rows = [{key: row for row, key in enumerate(one.entity_keys)} for one in asked]
    statement = _selected(tuple((one.table, len(one.entity_keys)) for one in asked))
    for place, name, key, value in conn.execute(statement, [key for one in asked for key in one.entity_keys]):
        moments, cells = found[place]
        column = moments if name is None else cells.get(name)  # all features of a key are next to each other
        if column is not None:
            column[rows[place][key]] = value
    return found


@lru_cache(maxsize=64)
def _selected(tables: tuple[tuple[str, int], ...]) -> str:
    """Return the statement that reads so many keys of each table: features by name, event times without one."""
    selects, first = list[str](), 1
    for place, (table, count) in enumerate(tables):
        among = f"WHERE entity_key IN ({','.join(f'?{at}' for at in range(first, first + count))})"
        selects.append(f"SELECT {place}, feature_name, entity_key, value FROM {quoted(table)} {among}")
        selects.append(f"SELECT {place}, NULL, entity_key, event_us FROM {_moments(table)} {among}")
        first += count
    return " UNION ALL ".join(selects)


def read_row(
    conn: sqlite3.Connection, of_tables: tuple[str, ...], keys: Sequence[bytes]
) -> list[tuple[int | None, dict[str, bytes | None]]]:
    """Return event time (µs; None where nothing is stored) and cells of one key in each table, as of one time."""
    found: list[dict[Any, Any]] = [{} for _ in of_tables]
    for place, name, value in conn.execute(_selected_row(of_tables), keys):
        found[place][name] = value
    return [(cells.pop(None, None), cells) for cells in found]


@lru_cache(maxsize=64)
def _selected_row(of_tables: tuple[str, ...]) -> str:
    """Return the statement that reads one key of each table: cells by feature, event times without one."""
    selects = list[str]()
    for place, table in enumerate(of_tables):
        among = f"WHERE entity_key = ?{place + 1}"
        selects.append(f"SELECT {place}, feature_name, value FROM {quoted(table)} {among}")
        selects.append(f"SELECT {place}, NULL, event_us FROM {_moments(table)} {among}")
    return " UNION ALL ".join(selects)


def remove(conn: sqlite3.Connection, table: str, entity_keys: Sequence[bytes]) -> int:
    """Return number of entities removed."""
    if not exists(conn, table):
        return 0
    add_moments(conn, table)
    removed = 0
    for keys in _portions(entity_keys):
        among = f"WHERE entity_key IN ({_marks(keys)})"
        conn.execute(f"DELETE FROM {quoted(table)} {among}", keys)
        removed += conn.execute(f"DELETE FROM {_moments(table)} {among}", keys).rowcount
    return removed


def remember_forgotten(conn: sqlite3.Connection, project: str, entity_keys: Sequence[bytes]) -> None:
    """Later writes leave these keys out, in all views of the project."""
    conn.execute("CREATE TABLE IF NOT EXISTS _forgotten (digest BLOB PRIMARY KEY) WITHOUT ROWID")
    digests = [(_digest(project, key),) for key in entity_keys]
    conn.executemany("INSERT OR IGNORE INTO _forgotten VALUES (?)", digests)


def drop_moments(conn: sqlite3.Connection, table: str) -> None:
    """Drop the exact timestamps of a dropped table."""
    conn.execute(f"DROP TABLE IF EXISTS {_moments(table)}")


def quoted(name: str) -> str:
    """Return an identifier in SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _forgotten(conn: sqlite3.Connection, project: str, keys: Sequence[bytes]) -> set[bytes]:
    if not exists(conn, "_forgotten"):
        return set()
    digests = {_digest(project, key): key for key in keys}
    found: set[bytes] = set()
    for some in _portions(list(digests)):
        query = f"SELECT digest FROM _forgotten WHERE digest IN ({_marks(some)})"
        found.update(digests[each] for (each,) in conn.execute(query, some))
    return found


def _digest(project: str, entity_key: bytes) -> bytes:
    return hashlib.sha256(project.encode() + b"\0" + entity_key).digest()


def _microseconds(stored: datetime | None) -> int:
    """Convert the naive UTC datetime of Feast's converter to µs since 1970."""
    return NEVER_US if stored is None else int((stored.replace(tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000


def _moments(table: str) -> str:
    return quoted(f"{table}__moments")


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _portions(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (keys[start : start + _KEYS_PER_QUERY] for start in range(0, len(keys), _KEYS_PER_QUERY))
