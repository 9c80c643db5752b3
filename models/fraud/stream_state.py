"""The state of the fraud stream: histories by key, payments by id, scores by time."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import unpack_from
from typing import TYPE_CHECKING

from models.features.fraud_definitions import FEATURES
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.alerts import Scored
from models.stream_state import Cut, Key, Row, StateTable, StreamState

if TYPE_CHECKING:
    import pyarrow as pa

HISTORY, PAYMENT, SCORED = "history", "payment", "scored"
#: `("customer_id", "596")`: whose history it is.
HistoryKey = tuple[str, str]
_FEATURE_BYTES = 8 * len(FEATURES)


def history_row(key: HistoryKey, history: KeyHistory) -> Row:
    """Return the row of a history that is not empty."""
    return *key, history.micros[0], history.to_bytes()


def payment_row(payment: Payment, *, is_seed: bool) -> Row:
    """Return the row of a payment; `is_seed`: it is known from the lake only, no event of it came yet."""
    return (
        payment.transaction_id, payment.customer_id, payment.terminal_id, payment.micros, payment.cents, int(is_seed),
    )  # fmt: skip


def scored_row(one: Scored) -> Row:
    """Return the row of a payment's score, with the features that the model was given."""
    payment, features = one.payment, array("d", one.features).tobytes()
    key = payment.micros, payment.transaction_id
    return *key, payment.customer_id, payment.terminal_id, one.score, one.model_version, features


def scored_table(rows: Sequence[Row]) -> pa.Table:
    """Scores and features as columns.

    `transaction_id` (int64), `customer_id`, `terminal_id`, `event_timestamp` (µs UTC), `score` (float64),
    `model_version`, then `models.features.fraud_definitions.FEATURES` (float64), in the order of the rows; rows with
    another number of features are left out.
    """
    import numpy as np
    import pyarrow as pa

    of_today = [row for row in rows if len(row[-1]) == _FEATURE_BYTES]
    micros, ids, customers, terminals, scores, versions, packed = zip(*of_today, strict=True) if of_today else [()] * 7
    features = np.frombuffer(b"".join(packed), np.float64).reshape(-1, len(FEATURES))
    columns = {
        "transaction_id": pa.array(ids, pa.int64()),
        "customer_id": pa.array(customers, pa.string()),
        "terminal_id": pa.array(terminals, pa.string()),
        "event_timestamp": pa.array(micros, pa.timestamp("us", "UTC")),
        "score": pa.array(scores, pa.float64()),
        "model_version": pa.array(versions, pa.string()),
    }
    return pa.table(columns | {name: pa.array(features[:, at]) for at, name in enumerate(FEATURES)})


def _without_old(row: Row, before: int) -> Cut:
    """Drop what happened before a timestamp (µs) from a history."""
    if unpack_from("=q", row[-1])[0] >= before:
        return row, 0
    history = KeyHistory.from_bytes(row[-1])
    return _left(row, history, history.drop_before(before))


def _without_payments(ids: set[int], row: Row) -> Cut:
    """Drop payments from a terminal's history."""
    history = KeyHistory.from_bytes(row[-1])
    return _left(row, history, history.drop_ids(ids))


def _left(row: Row, history: KeyHistory, dropped: int) -> Cut:
    return (history_row(row[:2], history) if history.ids else None), dropped


def _mixed(column: str, id: str, rows: Mapping[str, Sequence[Row]]) -> Mapping[tuple[str, Key], Callable[[Row], Cut]]:
    """Return the history of a customer, and those of the terminals at which the customer paid."""
    if column != "customer_id":
        return {}
    paid: dict[str, set[int]] = defaultdict(set)
    for number, _, terminal, *_ in rows[PAYMENT]:
        paid[terminal].add(number)
    theirs: dict[tuple[str, Key], Callable[[Row], Cut]] = {(HISTORY, ("customer_id", id)): lambda _: (None, 1)}
    at_terminals = {
        (HISTORY, ("terminal_id", terminal)): partial(_without_payments, ids) for terminal, ids in paid.items()
    }
    return theirs | at_terminals


FRAUD_STATE = StreamState(
    "fraud",
    (
        StateTable(
            HISTORY,
            {"key": "text", "value": "text", "oldest": "int", "packed": "bytes"},
            key_columns=2,
            at="oldest",
            cut=_without_old,
        ),
        StateTable(
            PAYMENT,
            {
                "transaction_id": "int", "customer_id": "text", "terminal_id": "text", "micros": "int", "cents": "int",
                "is_seed": "int",
            },
            key_columns=1,
            at="micros",
            after=HISTORY,  # so that whatever a history holds is a payment that is known
        ),
        StateTable(
            SCORED,
            {
                "micros": "int", "transaction_id": "int", "customer_id": "text", "terminal_id": "text",
                "score": "float", "model_version": "text", "features": "bytes",
            },
            key_columns=2,
            at="micros",
        ),
    ),
    _mixed,
    alerts_about="customer_id",
)  # fmt: skip
