"""SQL statements of the SQLite state store; those of a stream follow from the tables that it declares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from models.stream_state import StateTable, StreamState
from resources.state_store.alert_rows import ALERT_COLUMNS

# ruff: noqa: S608 - names that the project declares, no values

_TYPES = {"int": "INTEGER", "float": "REAL", "text": "TEXT", "bytes": "BLOB"}
TABLES = """
CREATE TABLE alert (
    alert_id TEXT PRIMARY KEY, app TEXT NOT NULL, day TEXT NOT NULL, entity_id TEXT NOT NULL, evidence TEXT NOT NULL,
    raised_for_us INTEGER NOT NULL, score REAL NOT NULL, highest_score REAL NOT NULL,
    model_version TEXT NOT NULL, reasons TEXT NOT NULL, label TEXT
) WITHOUT ROWID;
CREATE INDEX alert_by_day ON alert (app, day);
CREATE TABLE feedback (
    alert_id TEXT, evidence_id TEXT, label TEXT, app TEXT NOT NULL, entity_id TEXT NOT NULL,
    labelled_us INTEGER NOT NULL,
    who TEXT NOT NULL, PRIMARY KEY (alert_id, evidence_id, label)
) WITHOUT ROWID;
CREATE INDEX feedback_by_moment ON feedback (labelled_us);
CREATE TABLE progress (
    stream TEXT PRIMARY KEY, position INTEGER NOT NULL, newest INTEGER NOT NULL, generation INTEGER NOT NULL
);
"""
ADD_ALERT = f"INSERT INTO alert ({ALERT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT "
JOINED = "DO UPDATE SET evidence = excluded.evidence, highest_score = excluded.highest_score"
ALERTS = f"SELECT {ALERT_COLUMNS} FROM alert"
SAID = "SELECT 1 FROM feedback WHERE alert_id = ? AND label = ?"
#: Workers of every stream have to load again.
SUPERSEDE = "UPDATE progress SET generation = generation + 1"
SET_POSITION = "UPDATE progress SET position = ?, newest = ? WHERE stream = ? AND generation = ?"
#: What people said of an application's alerts in some time.
FEEDBACK = """SELECT evidence_id, entity_id, alert_id, label, labelled_us, who FROM feedback
    WHERE labelled_us >= ? AND labelled_us < ? AND app = ?
    ORDER BY labelled_us, evidence_id, label"""
#: An application's alerts of one entity, and the feedback on them.
ERASE_ALERTS = (
    "DELETE FROM alert WHERE app = ? AND entity_id = ?",
    "DELETE FROM feedback WHERE app = ? AND entity_id = ?",
)


def tables_of(stream: StreamState) -> dict[str, str]:
    """Name -> statement that makes it, of the tables of a stream and their indexes."""
    names = {stream.stored_name(table): table for table in stream.tables}
    made = {name: _create(name, table) for name, table in names.items()}
    indexes = {
        f"{name}_by_time": f"CREATE INDEX {name}_by_time ON {name} ({table.at})"
        for name, table in names.items()
        if table.at != table.names[0]
    }
    return made | indexes


def _create(name: str, table: StateTable) -> str:
    columns = ", ".join(f"{one} {_TYPES[type_]} NOT NULL" for one, type_ in table.columns.items())
    # With a rowid, a missing key that is a number would become a new number instead of being refused.
    return f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({', '.join(table.key)})) WITHOUT ROWID"


@dataclass(frozen=True)
class Statements:
    """The statements of one table."""

    select: str
    between: str
    put: str
    add: str
    remove: str
    old: str
    oldest: str
    remove_through: str
    has_old: str


@lru_cache(maxsize=64)
def statements(stream: StreamState, name: str) -> Statements:
    """Return the statements of a table of a stream."""
    table = stream.table(name)
    at, into = table.at, stream.stored_name(table)
    values = f"INSERT INTO {into} VALUES ({', '.join('?' * len(table.columns))})"
    changed = ", ".join(f"{one} = excluded.{one}" for one in table.values)
    this = " AND ".join(f"{one} = ?" for one in table.key)
    order = ", ".join(table.order)
    return Statements(
        select=f"SELECT * FROM {into} WHERE {this}",
        between=f"SELECT * FROM {into} WHERE {at} >= ? AND {at} < ? ORDER BY {order}",
        put=f"{values} ON CONFLICT DO UPDATE SET {changed}",
        add=values,
        remove=f"DELETE FROM {into} WHERE {this}",
        old=f"SELECT * FROM {into} WHERE {at} < ? ORDER BY {at} LIMIT ?",
        oldest=f"SELECT {at} FROM {into} WHERE {at} < ? ORDER BY {at} LIMIT 1 OFFSET ?",
        remove_through=f"DELETE FROM {into} WHERE {at} <= ?",
        has_old=f"SELECT 1 FROM {into} WHERE {at} < ? LIMIT 1",
    )
