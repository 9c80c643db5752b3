"""The state of the fraud stream in a keyed state store: histories, payments, scores, alerts and position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import pyarrow as pa

from models.alerts import Alert
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.alerts import Scored
from models.fraud.stream_state import (
    FRAUD_STATE,
    HISTORY,
    PAYMENT,
    SCORED,
    HistoryKey,
    history_row,
    payment_row,
    scored_row,
    scored_table,
)
from models.stream_state import Row
from models.timestamps import to_epoch_micros
from resources.alert_store.port import AlertStore
from resources.health import Health
from resources.state_store.port import StateChanges, StateStore, require_one_transaction

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow has no static types.


@dataclass
class Batch:
    """Everything that one batch of events changes.

    Attributes:
        histories: the state of each key that changed, whole.
        payments: new ones.
        scored: every payment that was scored, also those scored again.
        alerts: raised or joined by more payments, whole; what an analyst said of them stays as it is in the store.
        position: offset of the newest event of the batch.
        newest: timestamp of the newest payment so far, µs since 1970, UTC.
        generation: that the worker loaded.
        keep_from: payments before that timestamp (µs), and what histories hold of them, can be removed.
        keep_scored_from: scores of payments before that timestamp (µs) can be removed.
    """

    histories: dict[HistoryKey, KeyHistory] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    position: int = 0
    newest: int = 0
    generation: int = 0
    keep_from: int = 0
    keep_scored_from: int = 0


class FraudState:
    """Histories, payments, scores and alerts of the fraud stream in a state store, as `FRAUD_STATE` declares them."""

    def __init__(self, store: StateStore, alerts: AlertStore | None = None) -> None:
        """Take the store, and the alerts that people read: they must be those of the store's transactions.

        Raises:
            TesseraError: they are kept elsewhere.
        """
        if alerts is not None:
            require_one_transaction(store, alerts)
        self.store = store

    def histories(self, keys: Sequence[HistoryKey]) -> Mapping[HistoryKey, KeyHistory]:
        """Return the stored histories of those of `keys` that have one."""
        found = self.store.rows(FRAUD_STATE, HISTORY, keys)
        return {(kind, value): KeyHistory.from_bytes(packed) for kind, value, _, packed in found.values()}

    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        """Return those of the payments that are known."""
        return {row[0]: Payment(*row[:-1]) for row in self._payment_rows(ids)}

    def unscored(self, ids: Sequence[int]) -> frozenset[int]:
        """Return those of the payments that are known from `seeding` only: no event of them came yet."""
        return frozenset(row[0] for row in self._payment_rows(ids) if row[-1])

    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        """Return those of the alerts that were raised."""
        return self.store.alerts_beside.alerts(ids)

    def position(self) -> tuple[int, int]:
        """Offset of the newest event whose effects are stored, and time of the newest payment (µs); 0 at first."""
        return self.store.position(FRAUD_STATE)

    def generation(self) -> int:
        """Return the generation: a change beside the worker of what it may hold in memory raises it."""
        return self.store.generation(FRAUD_STATE)

    def seeding(
        self, payments: Iterable[pa.RecordBatch], histories: Iterable[tuple[HistoryKey, KeyHistory]]
    ) -> AbstractContextManager[None]:
        """Inside, the worker sees a state that begins with these; it lasts once a batch is committed inside.

        Args:
            payments: `transaction_id`, `customer_id`, `terminal_id`, `micros`, `cents`; known, but not scored.
            histories: with the rows of these payments.
        """
        return self.store.seeding(FRAUD_STATE, _seed_rows(payments, histories))

    def commit(self, batch: Batch) -> None:
        """Store everything the batch changes, in one transaction; as `StateStore.commit`."""
        new = {one.transaction_id for one in batch.payments}
        again = (one.payment for one in batch.scored if one.payment.transaction_id not in new)
        changes = StateChanges(
            put={
                HISTORY: [history_row(key, one) for key, one in batch.histories.items() if one.ids],
                SCORED: [*map(scored_row, batch.scored)],
                PAYMENT: [payment_row(one, is_seed=False) for one in again],
            },
            added={PAYMENT: [payment_row(one, is_seed=False) for one in batch.payments]},
            removed={HISTORY: [key for key, one in batch.histories.items() if not one.ids]},
            alerts=[*batch.alerts.values()],
            position=batch.position,
            newest=batch.newest,
            generation=batch.generation,
            keep_from={HISTORY: batch.keep_from, PAYMENT: batch.keep_from, SCORED: batch.keep_scored_from},
        )
        self.store.commit(FRAUD_STATE, changes)

    def scored(self, first: date, last: date) -> pa.Table:
        """Return scores of the payments paid on these days (UTC), as `scored_table`, ascending by timestamp and id."""
        days = (first, last + timedelta(days=1))
        start, end = (to_epoch_micros(datetime.combine(day, time(), UTC)) for day in days)
        return scored_table(self.store.between(FRAUD_STATE, SCORED, start, end))

    def check(self) -> Health:
        """Report if the store can be written and read right now."""
        return self.store.check()

    def _payment_rows(self, ids: Sequence[int]) -> Iterable[Row]:
        return self.store.rows(FRAUD_STATE, PAYMENT, [(number,) for number in ids]).values()


def _seed_rows(
    payments: Iterable[pa.RecordBatch], histories: Iterable[tuple[HistoryKey, KeyHistory]]
) -> Iterator[tuple[str, Iterable[Row]]]:
    names = ("transaction_id", "customer_id", "terminal_id", "micros", "cents")
    for batch in payments:
        columns = [batch.column(name).to_pylist() for name in names]
        yield PAYMENT, zip(*columns, [1] * batch.num_rows, strict=True)
    yield HISTORY, (history_row(key, history) for key, history in histories)
