"""Counts of what one batch of payment events did."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.alerts import Alert


@dataclass
class BatchResult:
    """Result of processing one batch of events.

    Attributes:
        events: read.
        offset: of the newest of them.
        payments: scored for the first time.
        scored_again: earlier payments whose features changed, because something came late.
        refused: events sent to the dead letters.
        forgotten: events of customers who were forgotten; nothing is left of them.
        seeded: payments that a new stream knew before its first event; None when it was not new.
        alerts: raised by this batch, in order.
    """

    events: int = 0
    offset: int = 0
    payments: int = 0
    scored_again: int = 0
    refused: int = 0
    forgotten: int = 0
    seeded: int | None = None
    alerts: list[Alert] = field(default_factory=list)

    def add(self, other: BatchResult) -> None:
        """Count a later batch, too."""
        for name in ("events", "payments", "scored_again", "refused", "forgotten"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.offset = max(self.offset, other.offset)
        self.seeded = other.seeded if self.seeded is None else self.seeded
        self.alerts += other.alerts
