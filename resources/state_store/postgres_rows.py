"""Rows of streams in Postgres: stored as whole columns, cut, and removed. Always inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from models.alerts import Alert
from models.stream_state import Cut, Row, StateTable, StreamState
from resources.state_store import postgres_statements as sql
from resources.state_store.port import StateChanges
from resources.state_store.postgres_statements import Statements, statements

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

#: With each batch, that many old rows go, and two for each new one, so that removing keeps up with storing.
_REMOVED_AT_ONCE = 100


def run(connection: Connection, statement: str, values: Any = None) -> Cursor:
    """Return a statement of `postgres_statements`; bytes come as they are, not as digits."""
    return connection.execute(statement.encode(), values, binary=True)


def columns(many: Iterable[Sequence[Any]], count: int) -> list[list[Any]]:
    """Rows of `count` values as so many columns."""
    return [list(column) for column in zip(*many, strict=True)] or [[] for _ in range(count)]


def begun(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return generation and number of batches by stream, in the open transaction, or else in a new one."""
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status is not TransactionStatus.IDLE:
        found = run(connection, sql.LOCK)
    else:
        found = connection.execute(sql.BEGIN.encode())  # both in one round trip
        found.nextset()
    return {stream: (generation, batches) for stream, generation, batches in found}


def alert_of(row: tuple[Any, ...]) -> Alert:
    """Return the alert of a row of `ALERT`."""
    name, app, day, entity, evidence, *others = row
    return Alert(name, app, day, entity, tuple(evidence), *others)


def add_alerts(connection: Connection, alerts: Sequence[Alert], *, else_: str) -> int:
    """Return number of alerts that were added, or changed as `else_` says."""
    told = [
        (one.alert_id, one.app, one.day, one.entity_id, [*one.evidence], one.raised_for, one.score,
         one.highest_score, one.model_version, json.dumps(dict(one.reasons)), one.label)
        for one in alerts
    ]  # fmt: skip
    if not told:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(f"{sql.ADD_ALERT}{else_}".encode(), told)
        return cursor.rowcount


def store(connection: Connection, stream: StreamState, changes: StateChanges) -> None:
    """All of a batch, and some of what may be removed, in two round trips."""
    limit = _REMOVED_AT_ONCE + 2 * sum(map(len, changes.added.values()))
    old: list[tuple[StateTable, int, Cursor]] = []
    with connection.pipeline():
        run(connection, sql.SET_POSITION, [changes.position, changes.newest, stream.name])
        for name, keys in changes.removed.items():
            _many(connection, statements(stream, name).remove, keys)
        for name, rows in changes.put.items():
            last = {stream.table(name).key_of(row): row for row in rows}  # one statement changes a row once
            _many(connection, statements(stream, name).put, [*last.values()])
        for name, rows in changes.added.items():
            _many(connection, statements(stream, name).add, rows)
        add_alerts(connection, changes.alerts, else_=sql.JOIN)
        for table in stream.tables:
            if before := changes.keep_from.get(table.name):
                of = statements(stream, table.name)
                if table.cut:
                    old.append((table, before, run(connection, of.old, [before, limit])))
                else:
                    run(connection, of.remove_old, {"before": before, "limit": limit})
    for table, before, found in old:
        if cut := table.cut:
            put_cut(connection, table, statements(stream, table.name), [(row, cut(row, before)) for row in found])


def add(connection: Connection, stream: StreamState, table: str, rows: Iterable[Row]) -> None:
    """Add rows with new keys."""
    _many(connection, statements(stream, table).add, [*rows])


def _many(connection: Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        run(connection, statement, columns(rows, 0))


def put_cut(connection: Connection, table: StateTable, of: Statements, cut: Sequence[tuple[Row, Cut]]) -> int:
    """Store what is left of rows; return the number of records that went."""
    _many(connection, of.put, [left for _, (left, gone) in cut if left is not None and gone])
    _many(connection, of.remove, [table.key_of(row) for row, (left, _) in cut if left is None])
    return sum(gone for _, (_, gone) in cut)


def erase(connection: Connection, stream: StreamState, column: str, id: str) -> int:
    """Return number of records removed: all that is known of the entity."""
    named = [table.name for table in stream.tables if column in table.columns]
    found: Mapping[str, Sequence[Row]] = {
        name: run(connection, statements(stream, name).by.format(column), [id]).fetchall() for name in named
    }
    removed = 0
    for (name, key), cut in stream.mixed(column, id, found).items():
        table, of = stream.table(name), statements(stream, name)
        rows = run(connection, of.select, columns([key], 0)).fetchall()
        removed += put_cut(connection, table, of, [(row, cut(row)) for row in rows])
    removed += sum(run(connection, statements(stream, name).remove_by.format(column), [id]).rowcount for name in named)
    if column != stream.alerts_about:
        return removed
    return removed + erase_alerts(connection, stream.name, id)


def erase_alerts(connection: Connection, app: str, id: str) -> int:
    """Return number of records removed: an application's alerts of the entity, and the feedback on them."""
    return sum(run(connection, statement, [app, id]).rowcount for statement in sql.ERASE_ALERTS)
