"""Steps behind `fraud/stream_catch_up`: process waiting events, or process events again, without a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.fraud.stream.batch_result import BatchResult
from assets.fraud.stream.processor import GROUP, FraudProcessor, Scorer
from assets.fraud.stream.state import FraudState
from assets.stages import metadata_keys as keys
from models.errors import TesseraError
from resources.events.port import Events

if TYPE_CHECKING:
    from models.alerts import Alert

#: The lock of the process that processes events: one worker, or one run.
LOCK = "stream"
#: Offsets of one run, and of one transaction.
RUN_OFFSETS, _BATCH_EVENTS = 50_000, 500


class Cursor(BaseModel):
    """The sensor's cursor, `{"asked": 1200, "stream_at": 900}`.

    Attributes:
        asked: offset of the last event for which a run was asked.
        stream_at: where the stream stood then, never beyond.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    asked: int = Field(ge=0)
    stream_at: int = Field(ge=0)


@dataclass(frozen=True)
class Due:
    """Work to do: offsets of the first and last event of each run, and the cursor afterwards."""

    runs: tuple[tuple[int, int], ...]
    cursor: Cursor


def due(*, newest: int, waiting: int, position: int, cursor: str | None, per_run: int = RUN_OFFSETS) -> Due:
    """Return the offset ranges still to process: new events, or everything after a rewound cursor.

    Where that is nothing and events wait all the same (a run failed), one run processes what waits.

    Args:
        newest: offset of the newest event.
        waiting: number of events that are not acknowledged.
        position: offset of the newest event whose effects the stream has.
        cursor: a `Cursor` as JSON; or the offset before the first event to process again; None or "": none yet.
        per_run: offsets of one run at most.

    Raises:
        TesseraError: the cursor is none of these.
    """
    after = _processed_through(cursor, position)
    firsts = range(after + 1, newest + 1, per_run)
    runs = tuple((first, min(first + per_run - 1, newest)) for first in firsts)
    if waiting and not runs:
        runs = ((newest, newest),)
    return Due(runs, Cursor(asked=max(after, newest, position), stream_at=position))


def _processed_through(cursor: str | None, position: int) -> int:
    """Return the last offset already processed; a worker may have gone past the stored cursor."""
    if not cursor:
        return position
    if cursor.isdecimal():
        return int(cursor)
    try:
        last = Cursor.model_validate_json(cursor)
    except ValidationError:
        raise TesseraError(
            f"The cursor {cursor!r} of the sensor is no offset.",
            expected="a number: events after that offset are processed again; 0 for all that are kept",
            todo="Set it to a number, or clear it to begin at the stream's position.",
        ) from None
    return last.asked if last.asked < last.stream_at else max(last.asked, position)


@dataclass
class CaughtUp:
    """Counts of one catch-up run, and the stream's position afterwards."""

    events: int = 0
    payments: int = 0
    scored_again: int = 0
    refused: int = 0
    forgotten: int = 0
    position: int = 0
    alerts: list[Alert] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: numbers that plot."""
        return {
            keys.EVENTS: self.events,
            keys.PAYMENTS: self.payments,
            keys.SCORED_AGAIN: self.scored_again,
            keys.REJECTED: self.refused,
            keys.ERASED: self.forgotten,
            keys.ALERTS: len(self.alerts),
            keys.POSITION: self.position,
        }

    def add(self, result: BatchResult) -> None:
        """Add one more batch to the run's counts."""
        self.events += result.events
        self.payments += result.payments
        self.scored_again += result.scored_again
        self.refused += result.refused
        self.forgotten += result.forgotten
        self.alerts += result.alerts


def catch_up(
    begin: Callable[[], FraudProcessor], events: Events, store: FraudState, scorer: Scorer, *, first: int, last: int
) -> CaughtUp:
    """Process every waiting event up to offset `last`; the caller holds the lock `LOCK`.

    Everything from `first` on is delivered again, acknowledged or not: what had its effect does not have it again, and
    a store that was lost is made again.

    Args:
        begin: makes a worker that goes on at the store's position; after the replay, so that it comes in order.
        events: the queue.
        store: what the worker writes.
        scorer: the champion.
        first: offset of the first event.
        last: offset of the last event.
    """
    events.replay(GROUP, first=first)
    done, worker, reached = CaughtUp(), begin(), 0
    while reached < last:
        result = worker.process(scorer, limit=min(_BATCH_EVENTS, last - reached))
        if not result.events:  # what is left was pruned, or its group is gone
            break
        done.add(result)
        reached = result.offset
    done.position = store.position()[0]
    return done
