"""Where a stream keeps what it knows: the state of its windows, its alerts, and how far it has read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.alerts import Alert, Scored
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from resources.health import Health

#: `("customer_id", "596")`: whose history it is.
Key = tuple[str, str]


@dataclass
class Batch:
    """Everything that one batch of events changes.

    Attributes:
        histories: the state of each key that changed, whole.
        payments: new ones.
        scored: every payment that was scored, also those scored again.
        alerts: raised or joined by more payments, whole.
        position: offset of the newest event of the batch.
        newest: moment of the newest payment so far, µs since 1970, UTC.
    """

    histories: dict[Key, KeyHistory] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    alerts: dict[str, Alert] = field(default_factory=dict)
    position: int = 0
    newest: int = 0


class StreamStore(ABC):
    """State, alerts and position change together or not at all; one worker at a time."""

    @abstractmethod
    def histories(self, keys: Sequence[Key]) -> Mapping[Key, KeyHistory]:
        """The stored histories of those of `keys` that have one."""

    @abstractmethod
    def payments(self, ids: Sequence[int]) -> Mapping[int, Payment]:
        """Those of the payments that are known."""

    @abstractmethod
    def alerts(self, ids: Sequence[str]) -> Mapping[str, Alert]:
        """Those of the alerts that were raised."""

    @abstractmethod
    def position(self) -> tuple[int, int]:
        """Offset of the newest event whose effects are stored, and moment of the newest payment (µs); 0 at first."""

    @abstractmethod
    def commit(self, batch: Batch) -> None:
        """Everything the batch changes, in one transaction."""

    @abstractmethod
    def check(self) -> Health:
        """Whether it can be written and read right now."""
