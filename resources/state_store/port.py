"""The state store port: keyed state of streams, with the position of each and the alerts that they raise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from models.alerts import Alert
from models.errors import TesseraError
from models.stream_state import Key, Row, StreamState
from resources.alert_store.port import AlertStore
from resources.health import Health


class Superseded(Exception):
    """Somebody else changed the state since the worker loaded it: nothing was stored, it has to begin anew."""


@dataclass
class StateChanges:
    """Everything that one batch of events changes.

    Attributes:
        put: table -> rows; they replace those with the same key.
        added: table -> rows whose keys are new, e.g. of ids that are processed once.
        removed: table -> keys of rows that go.
        alerts: raised or changed, whole; what people said of them stays as it is in the store.
        position: offset of the newest event of the batch.
        newest: newest timestamp of any event so far, µs since 1970, UTC.
        generation: that the worker loaded.
        keep_from: table -> timestamp (µs); what is older can be removed.
    """

    put: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    added: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    removed: Mapping[str, Sequence[Key]] = field(default_factory=dict)
    alerts: Sequence[Alert] = ()
    position: int = 0
    newest: int = 0
    generation: int = 0
    keep_from: Mapping[str, int] = field(default_factory=dict)


class StateStore(ABC):
    """Rows by stream, table and key: they, the position of the stream and its alerts change together or not at all.

    The application declares the tables of its stream (`models.stream_state.StreamState`); the store knows no
    application. One worker at a time changes a stream; others may look.
    """

    @property
    @abstractmethod
    def alerts_beside(self) -> AlertStore:
        """The alerts that are stored in the transaction of the state."""

    @abstractmethod
    def rows(self, stream: StreamState, table: str, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """Return the rows of those of `keys` that have one."""

    @abstractmethod
    def between(self, stream: StreamState, table: str, first: int, end: int) -> Sequence[Row]:
        """Return the rows with a timestamp (µs) in `[first, end)`, ascending by timestamp and key."""

    @abstractmethod
    def position(self, stream: StreamState) -> tuple[int, int]:
        """Offset of the newest event whose effects are stored, and newest timestamp of any (µs); 0 at first."""

    @abstractmethod
    def generation(self, stream: StreamState) -> int:
        """Return the generation: a change beside the worker of what it may hold in memory raises it."""

    @abstractmethod
    def seeding(self, stream: StreamState, rows: Iterable[tuple[str, Iterable[Row]]]) -> AbstractContextManager[None]:
        """Inside, the worker sees a state that begins with these; it lasts once a batch is committed inside.

        Args:
            stream: that has no row yet.
            rows: table and rows of it, in portions; the keys are new.
        """

    @abstractmethod
    def commit(self, stream: StreamState, changes: StateChanges) -> None:
        """Store everything that a batch changes, in one transaction.

        Some of what may be removed is removed, too: as much as does not delay the next batch.

        Raises:
            Superseded: the generation is not the batch's.
            RefusedValue: a value is missing, or an added key is there already; nothing is stored.
        """

    @abstractmethod
    def streams(self) -> Sequence[str]:
        """Return the names of the streams that have tables here, ascending."""

    @abstractmethod
    def check(self) -> Health:
        """Report if the store can be written and read right now."""


class ErasableStateStore(StateStore):
    """A state store that can remove what names an entity."""

    @abstractmethod
    def erase(self, stream: StreamState, column: str, id: str) -> int:
        """Return the number of records removed: rows and alerts that name an entity, and its part of other rows.

        Nothing of them is left in files. Raises the generation, so that no worker writes back what it remembers.

        Args:
            stream: whose state it is.
            column: that holds ids of such entities, e.g. `customer_id`.
            id: of the entity.
        """


def require_one_transaction(store: StateStore, alerts: AlertStore) -> None:
    """Check that the alerts people read are those of the state's transaction.

    Raises:
        TesseraError: they are kept elsewhere, where no alert of the stream would arrive.
    """
    if alerts.place != store.alerts_beside.place:
        raise TesseraError(
            f"The port alert_store reads alerts of {alerts.place}, the stream stores them in "
            f"{store.alerts_beside.place}, in one transaction with its state.",
            expected="alert_store as state_store, or left out of the profile",
            todo="Take `alert_store` out of the profile in stack.yaml; it follows `state_store` then.",
        )
