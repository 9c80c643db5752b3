"""Initial window state of a new stream: rows of the payments before a timestamp, for every key at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.features.fraud import exact
from models.features.label_history import statements
from models.features.window_state import NOT_KNOWN, KeyHistory
from models.fraud.labels import all_labels

# ibis gives the columns of a table no static types, pyarrow has none.
# pyright: basic

Ints = NDArray[np.int64]
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
    """Return the rows of all histories of a kind: `key`, `micros`, `transaction_id`, `cents`, `known`; in their order.

    A payment has one row for each statement about it, in `known`; `NOT_KNOWN` if there is none.

    Args:
        payments: with `paid_at` (µs UTC) and `amount` (EUR).
        labels: of the source, as `models.fraud.labels.all_labels` takes them.
        feedback: of analysts, likewise.
        key: `customer_id` or `terminal_id`; only terminals' windows know labels.
        first: moment from which payments are taken, µs since 1970, UTC.
        before: moment before which they are taken.
    """
    paid = _paid(payments, first, before)
    if key == "terminal_id":
        told: Any = paid.left_join(statements(all_labels(labels, feedback)), "transaction_id")
        paid = told.mutate(known=ibis.coalesce(told.said, NOT_KNOWN))
    else:
        paid = paid.mutate(known=ibis.literal(NOT_KNOWN, "int64"))
    return paid.select(key, *_ROW).order_by([key, "micros", "transaction_id", "known"])


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
            _extend(history, *(column[start:end] for column in columns))
    if open_key is not None:
        yield open_key, history


def _extend(history: KeyHistory, micros: Ints, ids: Ints, values: Ints, known: Ints) -> None:
    """Add rows behind the last one; of rows of one payment, those after the first are its later statements."""
    last = history.ids[-1] if history.ids else None
    repeated = np.concatenate(([ids[0] == last], ids[1:] == ids[:-1]))
    history.append(*(column[~repeated].tobytes() for column in (micros, ids, values, known)))
    history.append_later(*(column[repeated].tobytes() for column in (micros, ids, known)))


def _paid(payments: Any, first: int, before: int) -> Any:
    paid = exact(payments)
    return paid.filter(paid.micros >= first, paid.micros < before)
