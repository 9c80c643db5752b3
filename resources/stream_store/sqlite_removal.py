"""Removal from a stream's SQLite file: rows past retention in small steps, erased customers at once."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from struct import unpack_from

from models.features.window_state import KeyHistory
from resources.stream_store.port import Key

SET_HISTORY = "INSERT OR REPLACE INTO history VALUES (?, ?, ?)"
_NO_KEY = ("", "")


class Sweep:
    """Removes what may go in small portions, so that no batch has to wait.

    All histories are gone through for one moment, from the first key to the last; only then payments before that moment
    go. So whatever a history holds is a payment that is known.
    """

    def __init__(self) -> None:
        self._before, self._after = 0, _NO_KEY
        self._gone = {"payment": 0, "scored": 0}
        self._dropped = 0

    def portion(self, connection: sqlite3.Connection, keep_from: int, keep_scored_from: int, size: int) -> None:
        """Remove about `size` rows of payments and scores, and look through `size` histories, if there is any need.

        Args:
            connection: inside a transaction.
            keep_from: payments before that moment (µs) may go.
            keep_scored_from: what was said of payments before that moment (µs) may go.
            size: how many.
        """
        if self._dropped < keep_from:
            self._look_through(connection, keep_from, size)
        for table, before in (("payment", self._dropped), ("scored", keep_scored_from)):
            if self._gone[table] < before and remove_before(connection, table, before, size) < size:
                self._gone[table] = before

    def _look_through(self, connection: sqlite3.Connection, keep_from: int, size: int) -> None:
        if self._after == _NO_KEY:
            self._before = keep_from
        query = "SELECT key, value, packed FROM history WHERE (key, value) > (?, ?) ORDER BY key, value LIMIT ?"
        found = connection.execute(query, (*self._after, size)).fetchall()
        drop_before(connection, found, self._before)
        if len(found) < size:
            self._dropped, self._after = self._before, _NO_KEY
        else:
            self._after = found[-1][:2]


def remove_before(connection: sqlite3.Connection, table: str, before: int, size: int) -> int:
    """Return number of rows removed, the oldest first: `size`, and those of the moment of the last one."""
    query = f"SELECT micros FROM {table} WHERE micros < ? ORDER BY micros LIMIT 1 OFFSET ?"  # noqa: S608
    row = connection.execute(query, (before, size - 1)).fetchone()
    through = row[0] if row else before - 1
    return connection.execute(f"DELETE FROM {table} WHERE micros <= ?", (through,)).rowcount  # noqa: S608


def drop_before(connection: sqlite3.Connection, found: Sequence[tuple[str, str, bytes]], before: int) -> int:
    """Return number of rows dropped from these histories: all that happened before that moment (µs)."""
    dropped = 0
    for key, value, packed in found:
        if unpack_from("=q", packed)[0] < before:
            history = KeyHistory.from_bytes(packed)
            dropped += history.drop_before(before)
            put(connection, (key, value), history)
    return dropped


def forget(connection: sqlite3.Connection, customer_id: str) -> int:
    """Return number of rows removed: all that is known of the customer."""
    query = "SELECT terminal_id, transaction_id, micros FROM payment WHERE customer_id = ?"
    paid = connection.execute(query, (customer_id,)).fetchall()
    at_terminal: dict[str, set[int]] = defaultdict(set)
    for terminal, number, _ in paid:
        at_terminal[terminal].add(number)
    removed = sum(_drop_ids(connection, ("terminal_id", terminal), ids) for terminal, ids in at_terminal.items())
    scored = "DELETE FROM scored WHERE micros = ? AND transaction_id = ?"
    removed += sum(connection.execute(scored, (micros, number)).rowcount for _, number, micros in paid)
    for table in ("payment", "alert", "feedback"):
        removed += connection.execute(f"DELETE FROM {table} WHERE customer_id = ?", (customer_id,)).rowcount  # noqa: S608
    theirs = "DELETE FROM history WHERE key = 'customer_id' AND value = ?"
    return removed + connection.execute(theirs, (customer_id,)).rowcount


def _drop_ids(connection: sqlite3.Connection, key: Key, ids: set[int]) -> int:
    row = connection.execute("SELECT packed FROM history WHERE key = ? AND value = ?", key).fetchone()
    if row is None:
        return 0
    history = KeyHistory.from_bytes(row[0])
    dropped = history.drop_ids(ids)
    put(connection, key, history)
    return dropped


def put(connection: sqlite3.Connection, key: Key, history: KeyHistory) -> None:
    """Replace the stored history; of an empty one, nothing is left."""
    if history.ids:
        connection.execute(SET_HISTORY, (*key, history.to_bytes()))
    else:
        connection.execute("DELETE FROM history WHERE key = ? AND value = ?", key)
