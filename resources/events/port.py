"""The events port: a queue of events for consumer groups, ordered per subject."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from models.errors import TesseraError
from models.events import MAX_EVENT_BYTES, Event
from resources.health import Health


@dataclass(frozen=True)
class Delivered:
    """An event on its way to a consumer.

    Attributes:
        event: what happened.
        offset: its place in the order of publication: 1, 2, 3, ... The offset of an erased event stays unused.
        attempt: 1 for the first delivery; more after a consumer died or gave it back.
    """

    event: Event
    offset: int
    attempt: int


@dataclass(frozen=True)
class DeadLetter:
    """An event that could not be processed, and why. `body` is the event as delivered, valid or not (see `as_text`)."""

    body: str
    reason: str
    offset: int | None
    rejected_at: datetime


class Published(int):
    """Number of events that were stored.

    Attributes:
        conflicts: positions, in the published sequence, of the events that were rejected: their `source` and `id` are
            those of an event with other content.
    """

    conflicts: tuple[int, ...]

    def __new__(cls, stored: int, conflicts: Sequence[int] = ()) -> Published:
        """Return a number with the positions of what was rejected."""
        number = super().__new__(cls, stored)
        number.conflicts = tuple(conflicts)
        return number


class TooFarBehind(TesseraError):
    """Back-pressure: nothing was stored; a publisher waits, or gives up.

    Attributes:
        room: how many new events would have found place.
    """

    def __init__(self, behind: int, limit: int) -> None:
        self.room = max(limit - behind, 0)
        super().__init__(
            f"{behind} events wait already, and no more than {limit} may.",
            expected=f"at most {self.room} new events, or consumers that keep up",
            todo="Start another consumer, or publish more slowly; `max_backlog` of events stands in stack.yaml.",
        )


class Events(ABC):
    """A durable queue, delivered at least once to each consumer group, in order for each subject.

    A *group* is one application's reading of the queue (`fraud`); its members share the events between them. What a
    member has read and not acknowledged is delivered again, to any member, once its lease has run out: so a crash loses
    nothing, and a consumer must be able to meet an event twice. A queue may be shared by threads, and used in a
    forked process too.
    """

    @abstractmethod
    def publish(self, events: Sequence[Event], *, origins: Sequence[str] = ()) -> Published:
        """Return number of events stored, all in one transaction.

        One that is stored already (`source`, `id`) is left out.

        One without a `traceparent` gets that of the current span.

        One whose `source` and `id` are those of an event with other content, stored or earlier in `events`, goes to
        the dead letters before this returns. (After a crash in between, publish again: it is rejected again.)

        Args:
            events: in the order in which they are to be delivered.
            origins: where each of them stands, for the reason of the dead letter, e.g. `a.jsonl, line 7`.

        Raises:
            TooFarBehind: with the new ones, the slowest group would be more than `max_backlog` events behind.
        """

    @abstractmethod
    def read(self, group: str, *, limit: int, wait_seconds: float = 0.0) -> Sequence[Delivered]:
        """At most `limit` events that no member of the group holds, ascending by offset; leased to the caller.

        Waits up to `wait_seconds` for the first one; empty if none comes. No event is delivered while an earlier one
        of its subject is held. A new group starts at the oldest event that is still kept.
        """

    @abstractmethod
    def acknowledge(self, group: str, offsets: Sequence[int]) -> None:
        """Acknowledge these events: they are not delivered to the group again. Acknowledging twice changes nothing."""

    @abstractmethod
    def release(self, group: str, offsets: Sequence[int]) -> None:
        """Return these events at once, as after a crash, without waiting for the lease to run out."""

    @abstractmethod
    def reclaim(self, group: str) -> int:
        """Return number of events that are given back at once, whichever member holds them.

        For an application that has one member at a time, when that starts: without waiting for its predecessor's
        leases, everything comes in the order of publication, as if the predecessor had not died.
        """

    @abstractmethod
    def reject(self, group: str, delivered: Delivered, reason: str) -> None:
        """Move the event to the dead letters with the reason, and acknowledge it, in one transaction.

        If it is acknowledged already (rejected by another member when the lease had run out), nothing happens.
        """

    @abstractmethod
    def reject_body(self, body: str, reason: str) -> None:
        """Add a body that is not a valid event (broken JSON) to the dead letters."""

    @abstractmethod
    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Return the newest first."""

    @abstractmethod
    def replay(self, group: str, *, first: int) -> int:
        """Return number of events, from offset `first` on, that are delivered to the group again: a backfill.

        What a member holds at this moment comes again only if it does not acknowledge it.
        """

    @abstractmethod
    def newest_offset(self) -> int:
        """Return the offset of the newest event, also after it was pruned; 0 when there was none."""

    @abstractmethod
    def groups(self) -> Sequence[str]:
        """Every group that ever read, by name."""

    @abstractmethod
    def backlog(self, group: str) -> int:
        """Return number of events that the group has not acknowledged."""

    @abstractmethod
    def waiting_since(self, group: str) -> datetime | None:
        """Return when the oldest event that the group has not acknowledged was published; None if there is none.

        None also for a group that never read.
        """

    @abstractmethod
    def delete_group(self, group: str) -> None:
        """Delete the group and its state; no-op if it does not exist.

        A member that is still at work makes it anew, at the oldest event that is kept.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the queue can be written and read right now."""


class ErasableEvents(Events):
    """A queue that can remove every event of one subject, for good."""

    @abstractmethod
    def undeclared(self, subject: str) -> Mapping[str, int]:
        """Count, per field that nothing declares, events and dead letters that hold the id there and nowhere else.

        See `models.erasure.tombstones.undeclared_fields`.
        """

    @abstractmethod
    def forget(self, subject: str, *, also: Collection[str] = ()) -> int:
        """Remove events and dead letters that name `subject`, even if leased or not acknowledged; return their number.

        An event names it as its subject, or in an entity's column of its data or one of the fields `also`
        (`models.erasure.tombstones.is_named_in`); a dead letter in its body. They count for no group any more, and
        their offsets stay unused. A member that holds one may acknowledge, release or reject it, which does nothing.
        Events of the subject that are published later, or again, are new ones. May be called again after it was
        interrupted.
        """


class RetainedEvents(Events):
    """A queue that can remove what every group acknowledged long ago."""

    @abstractmethod
    def prune(self, *, before: datetime) -> int:
        """Return number of events removed, oldest first: published before that moment and acknowledged by every group.

        Nothing while there is no group. A removed event, published again, is a new one. Dead letters that were rejected
        before that moment go, too, and are not counted.
        """


def conflict_reason(origins: Sequence[str], at: int) -> str:
    """Return the reason in the dead letter of the event in position `at`: another event has its `source` and `id`."""
    place = f" ({origins[at]})" if origins and origins[at] else ""
    return f"An event with this `source` and `id`, but other content, came before{place}."


def as_text(given: str) -> str:
    """`given` as every database can keep it: escaped where it is no Unicode text, and cut where it is absurdly long."""
    cut = given if len(given) <= MAX_EVENT_BYTES else f"{given[:MAX_EVENT_BYTES]}... ({len(given)} characters)"
    return cut.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
