"""Rows of a stream's tables in Postgres: stored as whole columns, cut, and removed. Always inside a transaction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from models.features.window_state import KeyHistory
from models.fraud.alerts import Alert
from resources.stream_store import postgres_statements as sql
from resources.stream_store import sql_rows as rows
from resources.stream_store.port import Batch, Key

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


def begun(connection: Connection) -> tuple[int, int]:
    """Return generation and number of batches, in the transaction in which the connection is, or else in a new one."""
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status is not TransactionStatus.IDLE:
        found = run(connection, sql.LOCK)
    else:
        found = connection.execute(sql.BEGIN.encode())  # both in one round trip
        found.nextset()
    ((generation, batches),) = found
    return generation, batches


def alert_of(row: tuple[Any, ...]) -> Alert:
    """Return the alert of a row of `ALERT`."""
    name, day, customer, transactions, *others = row
    return Alert(name, day, customer, tuple(transactions), *others)


def add_alerts(connection: Connection, alerts: Sequence[Alert], *, else_: str) -> int:
    """Return number of alerts that were added, or changed as `else_` says."""
    told = [
        (one.alert_id, one.day, one.customer_id, [*one.transactions], one.raised_for, one.score, one.highest_score,
         one.model_version, json.dumps(dict(one.reasons)), one.label)
        for one in alerts
    ]  # fmt: skip
    if not told:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(f"{sql.ADD_ALERT}{else_}".encode(), told)
        return cursor.rowcount


def store(connection: Connection, batch: Batch) -> None:
    """All of a batch, and some of what may be removed, in two round trips."""
    with connection.pipeline():
        run(connection, sql.SET_POSITION, [batch.position, batch.newest])
        put(connection, batch.histories)
        paid = ((p.transaction_id, p.customer_id, p.terminal_id, p.micros, p.cents) for p in batch.payments)
        run(connection, sql.ADD_PAYMENTS, [False, *columns(paid, 5)])
        run(connection, sql.SET_SCORED, columns(map(rows.scored_row, batch.scored), 5))
        new = {one.transaction_id for one in batch.payments}
        again = [one.payment.transaction_id for one in batch.scored if one.payment.transaction_id not in new]
        if again:
            run(connection, sql.IS_SCORED, [again])
        add_alerts(connection, [*batch.alerts.values()], else_=sql.JOIN)
        limit = _REMOVED_AT_ONCE + 2 * len(batch.payments)
        run(connection, sql.REMOVE_PAYMENTS, {"before": batch.keep_from, "limit": limit})
        run(connection, sql.REMOVE_SCORED, {"before": batch.keep_scored_from, "limit": limit})
        old = run(connection, sql.HISTORIES_BEFORE, [batch.keep_from, limit])
    drop_before(connection, old, batch.keep_from)


def put(connection: Connection, histories: Mapping[Key, KeyHistory]) -> None:
    """Replace the stored histories; of an empty one, nothing is left."""
    kept = [(*key, one.micros[0], one.to_bytes()) for key, one in histories.items() if one.ids]
    gone = [key for key, one in histories.items() if not one.ids]
    if kept:
        run(connection, sql.SET_HISTORIES, columns(kept, 4))
    if gone:
        run(connection, sql.REMOVE_HISTORIES, columns(gone, 2))


def drop_before(connection: Connection, found: Iterable[tuple[str, str, bytes]], before: int) -> int:
    """Return number of rows dropped from these histories: all that happened before that moment (µs)."""
    cut = {(key, value): KeyHistory.from_bytes(packed) for key, value, packed in found}
    dropped = sum(history.drop_before(before) for history in cut.values())
    put(connection, cut)
    return dropped


def prune(connection: Connection, before: int) -> tuple[int, int]:
    """Remove payments, scored rows and history rows from before that timestamp (µs); return both numbers."""
    dropped = drop_before(connection, run(connection, sql.HISTORIES_BEFORE, [before, None]), before)
    everything = {"before": before, "limit": None}
    removed = sum(run(connection, one, everything).rowcount for one in (sql.REMOVE_PAYMENTS, sql.REMOVE_SCORED))
    return removed, dropped


def forget(connection: Connection, customer_id: str) -> int:
    """Return number of rows removed: all that is known of the customer."""
    at_terminal: dict[Key, set[int]] = defaultdict(set)
    for terminal, number in run(connection, sql.PAID_BY, [customer_id]):
        at_terminal["terminal_id", terminal].add(number)
    found = run(connection, sql.HISTORIES, columns(at_terminal, 2))
    cut = {(key, value): KeyHistory.from_bytes(packed) for key, value, packed in found}
    removed = sum(history.drop_ids(at_terminal[key]) for key, history in cut.items())
    put(connection, cut)
    return removed + sum(run(connection, statement, [customer_id]).rowcount for statement in sql.FORGET)
