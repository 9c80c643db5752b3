"""The stream store port: window state, scores and the read position of a stream, with its alerts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa

from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.alerts import Alert, Scored
from resources.alert_store.port import AlertStore

#: `("customer_id", "596")`: whose history it is.
Key = tuple[str, str]


class Superseded(Exception):
    """Somebody else changed the state since the worker loaded it: nothing was stored, it has to begin anew."""


@dataclass
class Batch:
    """Everything that one batch of events changes.

    Attributes:
        histories: the state of each key that changed, whole.
        payments: new ones.
        scored: every payment that was scored, also those scored again.
        alerts: raised or joined by more payments, whole; what an analyst said of them stays as it is in the store.
        position: offset of the newest event of the batch.
        newest: moment of the newest payment so far, µs since 1970, UTC.
        generation: that the worker loaded.
        keep_from: payments before that moment (µs), and what histories hold of them, can be removed.
        keep_scored_from: what was said of payments before that moment (µs) can be removed.
    """

    histories: dict[Key, KeyHistory] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    position: int = 0
    newest: int = 0
    generation: int = 0
    keep_from: int = 0
    keep_scored_from: int = 0


class StreamStore(AlertStore):
    """A stream's state and the alerts that it raises: they and the position change together or not at all.

    One worker at a time changes the state; others may look, and answer alerts. It is an alert store as well, because a
    payment is scored once only if state, position and alerts are of one transaction.
    """

    @abstractmethod
    def histories(self, keys: Sequence[Key]) -> Mapping[Key, KeyHistory]:
        """Return the stored histories of those of `keys` that have one."""

    @abstractmethod
    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        """Those of the payments that are known."""

    @abstractmethod
    def unscored(self, ids: Sequence[int]) -> frozenset[int]:
        """Those of the payments that are known from `seeding` only: no event of them came yet."""

    @abstractmethod
    def position(self) -> tuple[int, int]:
        """Offset of the newest event whose effects are stored, and moment of the newest payment (µs); 0 at first."""

    @abstractmethod
    def generation(self) -> int:
        """Return raised by whoever changes, beside the worker, what a worker may hold in memory."""

    @abstractmethod
    def seeding(
        self, payments: Iterable[pa.RecordBatch], histories: Iterable[tuple[Key, KeyHistory]]
    ) -> AbstractContextManager[None]:
        """Inside, the worker sees a state that begins with these; it lasts once a batch is committed inside.

        Args:
            payments: `transaction_id`, `customer_id`, `terminal_id`, `micros`, `cents`; known, but not scored.
            histories: with the rows of these payments.
        """

    @abstractmethod
    def commit(self, batch: Batch) -> None:
        """Everything the batch changes, in one transaction.

        Some of what may be removed is removed, too: as much as does not delay the next batch.

        Raises:
            Superseded: the generation is not the batch's.
        """

    @abstractmethod
    def scored(self, first: date, last: date) -> pa.Table:
        """Return scores of the payments paid on these days, with the features the model was given.

        `transaction_id` (int64), `customer_id`, `terminal_id`, `event_timestamp` (µs UTC), `score` (float64),
        `model_version`, then `models.features.fraud_definitions.FEATURES` (float64). Ascending by timestamp and id.
        """

    @abstractmethod
    def forget(self, customer_id: str) -> int:
        """Rows removed: the customer's payments and scores, alerts and feedback, in their history and in others'.

        Nothing of them is left in files. Raises the generation, so that no worker writes back what it remembers.
        """

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Payments and scored rows removed that were paid before; windows no longer see them. Raises the generation."""
