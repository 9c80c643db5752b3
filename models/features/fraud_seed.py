"""What windows already hold when a stream begins: rows of the payments before a moment, for every key at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from models.features.fraud import epoch_us, exact
from models.features.window_state import NOT_KNOWN, KeyHistory
from models.labels import known_frauds

# ibis gives the columns of a table no static types, pyarrow has none.
# pyright: basic

_ROW = ("micros", "transaction_id", "cents", "known")


def seed_payments(payments: ir.Table, *, first: int, before: int) -> ir.Table:
    """`transaction_id`, `customer_id`, `terminal_id`, `micros`, `cents` of the payments in `[first, before)`, in µs.

    Ascending by id, which is how a store takes them fastest.
    """
    paid = _paid(payments, first, before)
    return paid.select("transaction_id", "customer_id", "terminal_id", "micros", "cents").order_by("transaction_id")


def seed_rows(
    payments: ir.Table, labels: ir.Table, feedback: ir.Table, *, key: str, first: int, before: int
) -> ir.Table:
    """The rows of all histories of a kind: `key`, `micros`, `transaction_id`, `cents`, `known`; in their order.

    Args:
        payments: with `paid_at` (µs UTC) and `amount` (EUR).
        labels: of the source, as `models.labels.known_frauds` takes them.
        feedback: of analysts, likewise.
        key: `customer_id` or `terminal_id`; only terminals' windows know frauds.
        first: moment from which payments are taken, µs since 1970, UTC.
        before: moment before which they are taken.
    """
    paid = _paid(payments, first, before)
    if key == "terminal_id":
        frauds = known_frauds(labels, feedback)
        told: Any = paid.left_join(frauds.select("transaction_id", "labelled_at"), "transaction_id")
        paid = told.mutate(known=ibis.coalesce(epoch_us(told.labelled_at), NOT_KNOWN))
    else:
        paid = paid.mutate(known=ibis.literal(NOT_KNOWN, "int64"))
    return paid.select(key, *_ROW).order_by([key, "micros", "transaction_id"])


def histories(rows: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, KeyHistory]]:
    """Key and history, from batches of `seed_rows`; no more than a batch and a history are held at once."""
    open_key, history = None, KeyHistory()
    for batch in rows:
        keys = batch.column(0).dictionary_encode()
        codes = keys.indices.to_numpy(zero_copy_only=False)
        columns = [batch.column(name).to_numpy() for name in _ROW]
        starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        for start, end in pairwise(starts):
            key = keys.dictionary[codes[start]].as_py()
            if key != open_key:
                if open_key is not None:
                    yield open_key, history
                open_key, history = key, KeyHistory()
            history.append(*(column[start:end].tobytes() for column in columns))
    if open_key is not None:
        yield open_key, history


def _paid(payments: Any, first: int, before: int) -> Any:
    paid = exact(payments)
    return paid.filter(paid.micros >= first, paid.micros < before)
