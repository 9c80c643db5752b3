"""Removal from an SQLite file of streams: rows past retention in small steps, erased entities at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from models.stream_state import Cut, Row, StateTable, StreamState
from resources.state_store.sqlite_statements import ERASE_ALERTS, Statements, statements


def remove_old(connection: sqlite3.Connection, stream: StreamState, keep_from: Mapping[str, int], size: int) -> None:
    """Remove or cut about `size` rows of each table, the oldest first, if there are any before its timestamp."""
    for table in stream.tables:
        before = keep_from.get(table.name, 0)
        if before and not (table.after and _has_old(connection, stream, table.after, before)):
            of = statements(stream, table.name)
            if table.cut is None:
                _remove_before(connection, of, before, size)
            else:
                old = connection.execute(of.old, (before, size)).fetchall()
                _store(connection, table, of, [(row, table.cut(row, before)) for row in old])


def _has_old(connection: sqlite3.Connection, stream: StreamState, table: str, before: int) -> bool:
    return connection.execute(statements(stream, table).has_old, (before,)).fetchone() is not None


def _remove_before(connection: sqlite3.Connection, of: Statements, before: int, size: int) -> None:
    """Remove `size` rows, and those of the timestamp of the last one."""
    if connection.execute(of.has_old, (before,)).fetchone():
        row = connection.execute(of.oldest, (before, size - 1)).fetchone()
        connection.execute(of.remove_through, (row[0] if row else before - 1,))


def _store(connection: sqlite3.Connection, table: StateTable, of: Statements, cut: Iterable[tuple[Row, Cut]]) -> int:
    """Store what is left of rows; return the number of records that went."""
    records = 0
    for row, (left, gone) in cut:
        records += gone
        if left is None:
            connection.execute(of.remove, table.key_of(row))
        elif gone:
            connection.execute(of.put, left)
    return records


def erase(connection: sqlite3.Connection, stream: StreamState, column: str, id: str) -> int:
    """Return the number of records removed: all that is known of the entity."""
    named = [table for table in stream.tables if column in table.columns]
    query = "SELECT * FROM {} WHERE {} = ?"
    found = {
        one.name: connection.execute(query.format(stream.stored_name(one), column), (id,)).fetchall() for one in named
    }
    removed = 0
    for (name, key), cut in stream.mixed(column, id, found).items():
        table, of = stream.table(name), statements(stream, name)
        if row := connection.execute(of.select, key).fetchone():
            removed += _store(connection, table, of, [(row, cut(row))])
    for one in named:
        of = statements(stream, one.name)
        connection.executemany(of.remove, (one.key_of(row) for row in found[one.name]))
        removed += len(found[one.name])
    if column != stream.alerts_about:
        return removed
    return removed + erase_alerts(connection, stream.name, id)


def erase_alerts(connection: sqlite3.Connection, app: str, id: str) -> int:
    """Return the number of records removed: an application's alerts of the entity, and the feedback on them."""
    return sum(connection.execute(statement, (app, id)).rowcount for statement in ERASE_ALERTS)
