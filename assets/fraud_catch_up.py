"""Steps behind `fraud/stream`: take in events that no worker took in, or take events in again, without a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assets.fraud_stream import GROUP, FraudStream, Scorer, Step
from models.errors import TesseraError
from resources.events.port import Events
from resources.stream_store.port import StreamStore

if TYPE_CHECKING:
    from models.alerts import Alert

#: The lock of whoever takes in events: one worker, or one run.
LOCK = "stream"
#: Offsets of one run, and of one transaction.
RUN_OFFSETS, _STEP_EVENTS = 50_000, 500


@dataclass(frozen=True)
class Due:
    """What is to be taken in: offsets of the first and last event of each run, and where the cursor stands then."""

    runs: tuple[tuple[int, int], ...]
    cursor: int


def due(*, newest: int, position: int, cursor: str | None, per_run: int = RUN_OFFSETS) -> Due:
    """The runs that take in everything after the cursor.

    Args:
        newest: offset of the newest event.
        position: offset of the newest event whose effects the stream has.
        cursor: offset of the last event for which a run was asked; None or "": where the stream stands. One that
            was set back asks for events that were taken in already.
        per_run: offsets of one run at most.

    Raises:
        TesseraError: the cursor is no offset.
    """
    after = offset_of(cursor, position)
    firsts = range(after + 1, newest + 1, per_run)
    return Due(tuple((first, min(first + per_run - 1, newest)) for first in firsts), max(after, newest))


def offset_of(cursor: str | None, position: int) -> int:
    """The offset that a cursor names; `position` if it names none.

    Raises:
        TesseraError: the cursor is no offset.
    """
    if not cursor:
        return position
    if not cursor.isdecimal():
        raise TesseraError(
            f"The cursor {cursor!r} of the sensor is no offset.",
            expected="a number: events after that offset are taken in (again); 0 for all that are kept",
            todo="Set it to a number, or clear it to begin where the stream stands.",
        )
    return int(cursor)


@dataclass
class CaughtUp:
    """What a run took in, and how far the stream is now."""

    events: int = 0
    payments: int = 0
    scored_again: int = 0
    refused: int = 0
    forgotten: int = 0
    replayed: int = 0
    position: int = 0
    alerts: list[Alert] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it: numbers that plot."""
        return {
            "events": self.events,
            "payments": self.payments,
            "scored again": self.scored_again,
            "refused": self.refused,
            "of forgotten customers": self.forgotten,
            "replayed": self.replayed,
            "alerts": len(self.alerts),
            "position": self.position,
        }

    def add(self, step: Step) -> None:
        """The run with one more batch."""
        self.events += step.events
        self.payments += step.payments
        self.scored_again += step.scored_again
        self.refused += step.refused
        self.forgotten += step.forgotten
        self.alerts += step.alerts


def catch_up(
    begin: Callable[[], FraudStream], events: Events, store: StreamStore, scorer: Scorer, *, first: int, last: int
) -> CaughtUp:
    """What taking in everything up to offset `last` did; the caller holds the lock `LOCK`.

    Where the stream is at `first` or beyond already, everything from `first` on is delivered again first: what had its
    effect does not have it again.

    Args:
        begin: makes a worker that goes on where the store stands; after the replay, so that it comes in order.
        events: the queue.
        store: what the worker writes.
        scorer: the model in charge.
        first: offset of the first event.
        last: offset of the last event.
    """
    done = CaughtUp(replayed=events.replay(GROUP, first=first) if first <= store.position()[0] else 0)
    worker, reached = begin(), first - 1
    while reached < last:
        step = worker.step(scorer, limit=min(_STEP_EVENTS, last - reached))
        if not step.events:  # what is left was pruned, or is nobody's any more
            break
        done.add(step)
        reached = step.offset
    done.position = store.position()[0]
    return done
