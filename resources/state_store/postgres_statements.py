"""SQL statements of the Postgres state store; those of a stream follow from the tables that it declares.

Rows are passed as columns, one array each, so that one statement stores a whole batch. Texts sort by their bytes,
whatever the database's collation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from models.stream_state import StateTable, StreamState

# ruff: noqa: S608 - names that the project declares, no values

_TEXT = 'TEXT COLLATE "C" NOT NULL'
_TYPES = {
    "int": ("BIGINT NOT NULL", "bigint"),
    "float": ("DOUBLE PRECISION NOT NULL", "float8"),
    "text": (_TEXT, "text"),
    "bytes": ("BYTEA NOT NULL", "bytea"),
}
TABLES = f"""
CREATE TABLE alert (
    alert_id {_TEXT} PRIMARY KEY, app {_TEXT}, day DATE NOT NULL, entity_id {_TEXT}, evidence TEXT[] NOT NULL,
    raised_for TIMESTAMPTZ NOT NULL, score DOUBLE PRECISION NOT NULL, highest_score DOUBLE PRECISION NOT NULL,
    model_version {_TEXT}, reasons JSON NOT NULL, label TEXT
);
CREATE INDEX alert_by_day ON alert (app, day);
CREATE TABLE feedback (
    alert_id {_TEXT}, evidence_id {_TEXT}, label {_TEXT}, app {_TEXT}, entity_id {_TEXT},
    labelled_at TIMESTAMPTZ NOT NULL, who {_TEXT}, PRIMARY KEY (alert_id, evidence_id, label)
);
CREATE INDEX feedback_by_moment ON feedback (labelled_at);
CREATE TABLE progress (
    stream {_TEXT} PRIMARY KEY, position BIGINT NOT NULL, newest BIGINT NOT NULL,
    generation BIGINT NOT NULL, batches BIGINT NOT NULL
);
"""
BASE_TABLES = ("alert", "feedback", "progress")

#: A writer locks all rows of this table first, in one order: all writers take turns, and each sees what the one
#: before it did. The names are those of streams, no values.
LOCK = "SELECT stream, generation, batches FROM progress ORDER BY stream FOR UPDATE"
BEGIN = f"BEGIN; {LOCK}"
GENERATION = "SELECT generation, batches FROM progress WHERE stream = %s"
POSITION = "SELECT position, newest FROM progress WHERE stream = %s"
SET_POSITION = "UPDATE progress SET position = %s, newest = %s, batches = batches + 1 WHERE stream = %s"
#: Workers of every stream have to load again.
SUPERSEDE = "UPDATE progress SET generation = generation + 1"
COLUMNS = """SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s
    ORDER BY ordinal_position"""
STREAMS = "SELECT stream FROM progress ORDER BY stream"

ALERT = """alert_id, app, day, entity_id, evidence, raised_for, score, highest_score, model_version, reasons, label"""
ALERTS = f"SELECT {ALERT} FROM alert WHERE alert_id = ANY(%s)"
ALERTS_OF_DAYS = f"""SELECT {ALERT} FROM alert WHERE app = %s AND day BETWEEN %s AND %s
    ORDER BY day, highest_score DESC, alert_id"""
ALERT_DAYS = "SELECT DISTINCT day FROM alert WHERE app = %s ORDER BY day"
ALERT_APPS = "SELECT DISTINCT app FROM alert ORDER BY app"
ALERT_IDS = "SELECT alert_id FROM alert ORDER BY day DESC, alert_id"
ADD_ALERT = f"""INSERT INTO alert ({ALERT}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (alert_id) DO """
LEAVE = "NOTHING"
#: Not its label: what an analyst said stays.
JOIN = "UPDATE SET evidence = excluded.evidence, highest_score = excluded.highest_score"
LABEL = "UPDATE alert SET label = %s WHERE alert_id = %s"
SAID = "SELECT 1 FROM feedback WHERE alert_id = %s AND label = %s LIMIT 1"
ADD_FEEDBACK = """INSERT INTO feedback (alert_id, evidence_id, label, app, entity_id, labelled_at, who)
    SELECT alert_id, unnest(evidence), %s, app, entity_id, %s, %s FROM alert WHERE alert_id = %s
    ON CONFLICT DO NOTHING"""
FEEDBACK = """SELECT evidence_id, entity_id, alert_id, label, labelled_at, who FROM feedback
    WHERE labelled_at >= %s AND labelled_at < %s AND app = %s
    ORDER BY labelled_at, evidence_id, label"""
#: An application's alerts of one entity, and the feedback on them.
ERASE_ALERTS = (
    "DELETE FROM alert WHERE app = %s AND entity_id = %s",
    "DELETE FROM feedback WHERE app = %s AND entity_id = %s",
)
#: Writes the tables of alerts anew: nothing of what was removed is left in their files; others wait meanwhile.
SCRUB_ALERTS = "VACUUM (FULL, ANALYZE) alert, feedback"

ABOUT = "SELECT current_database(), current_setting('server_version'), (SELECT count(*) FROM alert)"


def tables_of(stream: StreamState) -> str:
    """Return the statements that make the tables of a stream, and its row of `progress`."""
    made = [_create(stream, table) for table in stream.tables]
    return "".join(made) + f"INSERT INTO progress VALUES ('{stream.name}', 0, 0, 0, 0);"


def scrub(stream: StreamState) -> str:
    """Return the statement that writes the tables anew: nothing is left in their files; others wait meanwhile."""
    tables = ", ".join(stream.stored_name(table) for table in stream.tables)
    return f"{SCRUB_ALERTS}, {tables}"


def _create(stream: StreamState, table: StateTable) -> str:
    """Most packed values are one or two KB: kept in their row, not compressed, which would take longer than storing."""
    name = stream.stored_name(table)
    columns = ", ".join(f"{one} {_TYPES[type_][0]}" for one, type_ in table.columns.items())
    packed = [one for one, type_ in table.columns.items() if type_ == "bytes"]
    made = f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({', '.join(table.key)}))"
    made += " WITH (toast_tuple_target = 8160);" if packed else ";"
    made += "".join(f"ALTER TABLE {name} ALTER {one} SET STORAGE MAIN;" for one in packed)
    return made + ("" if table.at == table.names[0] else f"CREATE INDEX {name}_by_time ON {name} ({table.at});")


@dataclass(frozen=True)
class Statements:
    """The statements of one table."""

    select: str
    between: str
    put: str
    add: str
    remove: str
    old: str
    remove_old: str
    by: str
    remove_by: str


@lru_cache(maxsize=64)
def statements(stream: StreamState, name: str) -> Statements:
    """Return the statements of a table of a stream."""
    table = stream.table(name)
    into, at, key = stream.stored_name(table), table.at, ", ".join(table.key)
    arrays = {one: f"%b::{_TYPES[type_][1]}[]" for one, type_ in table.columns.items()}
    keys = f"unnest({', '.join(arrays[one] for one in table.key)}) AS asked ({key})"
    same = " AND ".join(f"{into}.{one} = asked.{one}" for one in table.key)
    values = f"INSERT INTO {into} SELECT * FROM unnest({', '.join(arrays.values())})"
    changed = ", ".join(f"{one} = excluded.{one}" for one in table.values)
    own = ", ".join(f"{into}.{one}" for one in table.names)
    after = f"AND NOT EXISTS (SELECT 1 FROM {_after(stream, table)} < %(before)s)" if table.after else ""
    return Statements(
        select=f"SELECT {own} FROM {into} JOIN {keys} USING ({key})",
        between=f"SELECT * FROM {into} WHERE {at} >= %s AND {at} < %s ORDER BY {', '.join(table.order)}",
        put=f"{values} ON CONFLICT ({key}) DO UPDATE SET {changed}",
        add=values,
        remove=f"DELETE FROM {into} USING {keys} WHERE {same}",
        old=f"SELECT * FROM {into} WHERE {at} < %s ORDER BY {at} LIMIT %s",
        remove_old=f"""DELETE FROM {into} USING (
            SELECT {key} FROM {into} WHERE {at} < %(before)s {after} ORDER BY {at} LIMIT %(limit)s
        ) AS asked WHERE {same}""",
        by=f"SELECT * FROM {into} WHERE {{}} = %s",
        remove_by=f"DELETE FROM {into} WHERE {{}} = %s",
    )


def _after(stream: StreamState, table: StateTable) -> str:
    earlier = stream.table(table.after)
    return f"{stream.stored_name(earlier)} WHERE {earlier.at}"
