"""Batches of events of one group: each event has its effect once, and one that cannot be processed is refused alone.

When a batch raises an error that an event can cause, its events come again one by one, and the one that raises alone
goes to the dead letters. When another process changed the state meanwhile, the batch begins anew.
"""

from __future__ import annotations

import time
import traceback
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from opentelemetry.trace import SpanKind

from models.errors import RefusedValue, TesseraError
from models.tracing import current_traceparent, span, trace_id_of
from resources.events.port import Delivered, Events
from resources.state_store.port import Superseded

#: A database, disk, queue, registry or package that does not answer, and a lack of memory: no event is at fault.
_OUTSIDE = (TesseraError, OSError, MemoryError, ImportError, Superseded)


#: Traces of a batch whose events get a span of their own.
_LINKS = 64
#: Letters that are looked at for refused events after the position of a store.
_LETTERS = 1_000


class Counted(Protocol):
    """Counts of what a batch did; `offset` is that of its newest event."""

    events: int
    offset: int

    @abstractmethod
    def add(self, other: Self, /) -> None:
        """Count a later batch, too."""


R = TypeVar("R", bound=Counted)


@dataclass(frozen=True)
class BatchWork(Generic[R]):
    """Work on the events of one group.

    Attributes:
        process: has the effect of events, stores it with the position, and acknowledges them.
        begin_again: loads the stored position after an error; returns what was refused and not stored before it.
        refused: refuses an event that raises alone; raises the error if the event is not at fault.
        was_superseded: True if another process changed the state meanwhile.
    """

    process: Callable[[Sequence[Delivered]], R]
    begin_again: Callable[[], R]
    refused: Callable[[Delivered, Exception], R]
    was_superseded: Callable[[Exception], bool]


def next_batch(events: Events, group: str, work: BatchWork[R], done: R, *, limit: int, wait_seconds: float = 0.0) -> R:
    """Process the next events of a group and return the counts, added to `done`.

    Args:
        events: where they wait.
        group: that reads them.
        work: on them.
        done: counts of nothing.
        limit: events at most.
        wait_seconds: how long to wait for the first one.

    Raises:
        Exception: of a part that no event can be at fault for; every event waits.
    """
    last = 0  # up to offset `last`, events come one by one
    while delivered := events.read(group, limit=1 if last else limit, wait_seconds=0 if last else wait_seconds):
        try:
            with _in_traces(group, delivered):
                done.add(work.process(delivered))
        except Exception as error:  # of any type: an event can be wrong in ways that no list covers
            superseded = work.was_superseded(error)
            if not superseded and not may_be_of_an_event(error):
                raise
            done.add(work.begin_again())
            if superseded:
                continue
            if last:
                done.add(work.refused(delivered[0], error))
            last = max(last, delivered[-1].offset)
        if done.events and done.offset >= last:
            break
    return done


@contextmanager
def _in_traces(group: str, delivered: Sequence[Delivered]) -> Iterator[None]:
    """Record a batch as a span, and its events as a span in each trace that published some of them.

    A trace that published many events has one span for all of them in the batch, so that their number costs nothing.
    """
    traces: dict[str, str] = {}
    counts = Counter[str]()
    for one in delivered:
        if one.event.traceparent:
            trace_id = trace_id_of(one.event.traceparent)
            traces.setdefault(trace_id, one.event.traceparent)
            counts[trace_id] += 1
    began, name = time.time_ns(), f"process events of {group}"
    with span(f"batch of {group}", {"tessera.events": len(delivered)}, links=[*traces.values()][:_LINKS]):
        batch = current_traceparent()
        yield
    for trace_id, traceparent in [*traces.items()][:_LINKS]:
        about = {"tessera.events": counts[trace_id]}
        with span(name, about, kind=SpanKind.CONSUMER, parent=traceparent, links=[batch], start_ns=began):
            pass


def deliver_lost(events: Events, group: str, position: Callable[[], int]) -> int:
    """Deliver again what was acknowledged and is not in the store; return number of events, 0 if nothing is lost.

    A store that was put back from a backup, or lost its last transactions with the power, is behind its queue: events
    after its position had their effect in what was lost. Those that still have it do not have it again. Refused events
    have none, and are counted as processed.

    Args:
        events: the queue.
        group: that reads them.
        position: gives the offset of the newest event whose effect is in the store.
    """
    newest, waiting = events.newest_offset(), events.backlog(group)  # before the position: another worker goes on
    stored = position()
    refused = {letter.offset for letter in events.dead_letters(limit=_LETTERS) if (letter.offset or 0) > stored}
    return events.replay(group, first=stored + 1) if waiting + len(refused) < newest - stored else 0


def may_be_of_an_event(error: Exception) -> bool:
    """Return False for errors that no event can cause: the worker stops with them, and every event waits."""
    return isinstance(error, RefusedValue) or not isinstance(error, _OUTSIDE)


def reason_of(error: Exception) -> str:
    """Return the reason in a dead letter: type, words and place of the error, one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    words = " ".join(str(error).split())
    return f"the event cannot be processed: {type(error).__name__}: {words}{place}"
