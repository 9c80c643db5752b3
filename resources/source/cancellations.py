"""Cancelled, voided and refunded orders of an export: the `where` that leaves them out, or the reason for none."""

# ruff: noqa: S608 - the SQL is made of quoted names and of constants.
# pyright: basic, reportAttributeAccessIssue=false

import re
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from models.contracts.readings import quoted
from resources.duckdb_connection import connect_shared

_CANCELLED_AT = ("cancelledat", "canceledat", "cancelleddate", "canceleddate")
_STATUS = ("financialstatus", "paymentstatus", "orderstatus", "status")
#: No sale: paid never, or paid back in full. WooCommerce writes `wc-` in front.
_NO_SALE = ("voided", "refunded", "cancelled", "canceled", "failed", "expired", "trash")
_PARTLY = ("partially_refunded", "partially refunded")


def cancellations(raw: pa.Table, order_id: str) -> tuple[str, list[str]]:
    """Condition on the rows that are sales (empty: on none), and the note about it.

    Systems that write an order's status on its first line alone (Shopify) leave nothing in the other lines that a
    condition on rows could read; leaving out the first line alone would score half an order.

    Args:
        raw: rows of the export as they are in the file.
        order_id: the column with the order's id.
    """
    conditions = _conditions(raw.column_names)
    if not conditions:
        return "", []
    where = " AND ".join(conditions.values())
    names = " and ".join(conditions)
    with connect_shared(threads=1) as connection:
        connection.register("rows", raw)
        found = connection.execute(
            f"SELECT count(*), count(*) FILTER (all_lines), coalesce(sum(lines), 0) FROM (SELECT count(*) AS lines, "
            f"bool_and(NOT ({where})) AS all_lines FROM rows GROUP BY {quoted(order_id)} HAVING bool_or(NOT ({where})))"
        ).fetchone()
        partly = _partly_refunded(connection, raw.column_names)
    orders, whole, lines = found or (0, 0, 0)
    more = [f"{partly:,} lines are of orders that were refunded in part: they count whole"] if partly else []
    if orders == whole:
        return where, [f"left out by `where`: cancelled, voided and refunded orders ({names}), {lines:,} lines", *more]
    told = (
        f"NOT left out: {orders:,} cancelled, voided or refunded orders, because {names} says so on the first line of "
        "an order alone; to leave them out, remove them from the export"
    )
    return "", [told, *more]


def _conditions(names: list[str]) -> dict[str, str]:
    """Return the file's column -> condition that is true for a sale, false for none, and never NULL."""
    found: dict[str, str] = {}
    if cancelled := _first(names, _CANCELLED_AT):
        found[cancelled] = f"{_text(cancelled)} = ''"
    if status := _first(names, _STATUS):
        words = _list([*_NO_SALE, *(f"wc-{word}" for word in _NO_SALE)])
        found[status] = f"lower({_text(status)}) NOT IN ({words})"
    return found


def _partly_refunded(connection: duckdb.DuckDBPyConnection, names: list[str]) -> int:
    status = _first(names, _STATUS)
    if status is None:
        return 0
    row = connection.execute(f"SELECT count(*) FROM rows WHERE lower({_text(status)}) IN ({_list(_PARTLY)})").fetchone()
    return int(row[0]) if row else 0


def _first(names: list[str], wanted: tuple[str, ...]) -> str | None:
    by_letters = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    return next((by_letters[word] for word in wanted if word in by_letters), None)


def _text(column: str) -> str:
    return f"coalesce(trim(CAST({quoted(column)} AS VARCHAR)), '')"


def _list(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
