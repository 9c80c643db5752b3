"""Tickets answered as their events come: the same composition as at night and in `tessera ask`, each ticket once.

Answer, outputs of the steps and position change in one transaction. Whatever dies before it leaves nothing behind, and
the events come again; whatever dies after it finds the ticket known, and asks no language model a second time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from assets.stages.event_batches import BatchWork, deliver_lost, next_batch, reason_of
from assets.support.answering import Answered, answered, served
from assets.support.app import SUPPORT
from models.event_types import is_of_another
from models.support.stream_state import ANSWER, STEP, SUPPORT_STATE
from models.timestamps import to_epoch_micros
from resources.state_store.port import StateChanges, Superseded

if TYPE_CHECKING:
    from models.settings import Settings
    from models.stream_state import Row
    from resources.events.port import Delivered, Events
    from resources.stack.ports import Ports
    from resources.state_store.port import StateStore

GROUP = SUPPORT.name


@dataclass
class TicketCounts:
    """Counts of what a batch of events did.

    Attributes:
        events: read.
        offset: of the newest of them.
        answered: tickets that were read for the first time.
        again: events of tickets that were answered before; nothing changed.
        refused: events sent to the dead letters.
        forgotten: events of customers who were forgotten; nothing is left of them.
        tickets: that were answered, in order.
    """

    events: int = 0
    offset: int = 0
    answered: int = 0
    again: int = 0
    refused: int = 0
    forgotten: int = 0
    tickets: list[Answered] = field(default_factory=list)

    def add(self, other: TicketCounts, /) -> None:
        """Count a later batch, too."""
        for name in ("events", "answered", "again", "refused", "forgotten"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.offset = max(self.offset, other.offset)
        self.tickets += other.tickets


class TicketReader:
    """The champion over the profile's ports; follows the registry and the index of articles.

    Args:
        ports: of the profile.
        settings: of the profile.

    Raises:
        TesseraError: there is no champion, or it cannot be used.
    """

    def __init__(self, ports: Ports, settings: Settings) -> None:
        self._ports, self._settings = ports, settings
        self._now = self._newest()
        self._loaded, self.version = served(ports)

    def follow(self) -> bool:
        """Load the champion anew if it, or the index of articles, is another one; return True then.

        Raises:
            TesseraError: the new one cannot be used; the one before stays.
        """
        newest = self._newest()
        if newest == self._now:
            return False
        self._loaded, self.version = served(self._ports)
        self._now = newest
        return True

    def answer(self, ticket: Mapping[str, Any]) -> Answered:
        """Read one ticket (columns of its contract)."""
        return answered(self._loaded, self.version, self._ports, self._settings, ticket)

    def _newest(self) -> tuple[str | None, int | None]:
        from assets.support.knowledge_base import COLLECTION

        return self._ports.registry.champion(SUPPORT.name), self._ports.vectors.current(COLLECTION)


class TicketProcessor:
    """Answers batches of ticket events. One at a time per store; after an exception it must not be used again.

    Args:
        ports: of the profile.
        keep_days: answers of older tickets are removed from the store.
        clock: of this machine.
    """

    def __init__(
        self, ports: Ports, *, keep_days: float = 30, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._events: Events = ports.events
        self._store: StateStore = ports.state_store
        self._lake, self._clock, self._keep = ports.lake, clock, timedelta(days=keep_days)
        deliver_lost(self._events, GROUP, lambda: self._store.position(SUPPORT_STATE)[0])
        self._begin()

    def _begin(self) -> TicketCounts:
        """Load the stored position; what a predecessor held comes again in order."""
        self._events.reclaim(GROUP)
        self._generation = self._store.generation(SUPPORT_STATE)
        self._position, self._newest = self._store.position(SUPPORT_STATE)
        return TicketCounts()

    def process(self, reader: TicketReader, *, limit: int, wait_seconds: float = 0.0) -> TicketCounts:
        """Process the next events, `limit` at most, waiting up to `wait_seconds` for the first one."""
        work = BatchWork(
            process=partial(self._process, reader),
            begin_again=self._begin,
            refused=self._refused,
            was_superseded=lambda error: isinstance(error, Superseded),
        )
        return next_batch(self._events, GROUP, work, TicketCounts(), limit=limit, wait_seconds=wait_seconds)

    def _process(self, reader: TicketReader, delivered: Sequence[Delivered]) -> TicketCounts:
        from models.support.event_parsing import Unusable, customer_of, ticket_of

        done = TicketCounts(events=len(delivered), offset=delivered[-1].offset)
        gone, now = self._lake.forgotten("customer"), self._clock()
        tickets: dict[str, tuple[dict[str, Any], str]] = {}
        refused: list[tuple[Delivered, str]] = []
        for one in delivered:
            if is_of_another(one.event.type, SUPPORT.name):
                continue
            if customer_of(one.event) in gone or one.event.subject in gone:
                done.forgotten += 1
                continue
            try:
                ticket, digest = ticket_of(one.event, now), one.event.digest()
                before = self._known(ticket["ticket_id"], tickets)
                if before not in (None, digest):
                    raise Unusable(f"ticket_id {ticket['ticket_id']!r} is that of another ticket, which came before")
            except Unusable as reason:
                refused.append((one, str(reason)))
                continue
            done.again += before is not None
            if before is None:
                tickets[ticket["ticket_id"]] = ticket, digest
        done.tickets = [reader.answer(ticket) for ticket, _ in tickets.values()]
        done.answered, done.refused = len(tickets), len(refused)
        self._store_answers(list(tickets.values()), done)
        for one, reason in refused:
            self._events.reject(GROUP, one, reason)
        self._events.acknowledge(GROUP, [one.offset for one in delivered])
        return done

    def _known(self, id: str, of_batch: Mapping[str, tuple[dict[str, Any], str]]) -> str | None:
        """Return the digest of the event of a ticket that came before; None: none did."""
        if id in of_batch:
            return of_batch[id][1]
        found = self._store.rows(SUPPORT_STATE, ANSWER.name, [(id,)]).get((id,))
        return None if found is None else str(found[ANSWER.names.index("event_digest")])

    def _store_answers(self, tickets: Sequence[tuple[dict[str, Any], str]], done: TicketCounts) -> None:
        answers: list[Row] = []
        steps: list[Row] = []
        for (ticket, digest), found in zip(tickets, done.tickets, strict=True):
            id, customer, at = ticket["ticket_id"], ticket["customer_id"] or "", to_epoch_micros(ticket["opened_at"])
            row = json.dumps(dict(found.row), sort_keys=True, default=str)
            answers.append((id, customer, at, digest, found.version, row))
            steps += [(id, one["step"], customer, at, one["state"], one["output"]) for one in found.outputs]
            self._newest = max(self._newest, at)
        self._position = max(self._position, done.offset)
        oldest = self._newest - round(self._keep / timedelta(microseconds=1))
        changes = StateChanges(
            added={ANSWER.name: answers, STEP.name: steps},
            position=self._position,
            newest=self._newest,
            generation=self._generation,
            keep_from={ANSWER.name: oldest, STEP.name: oldest},
        )
        self._store.commit(SUPPORT_STATE, changes)

    def _refused(self, one: Delivered, error: Exception) -> TicketCounts:
        """Send an event that raises alone to the dead letters, unless the store does not work without it either."""
        if not self._store.check().ok:
            raise error
        self._events.reject(GROUP, one, reason_of(error))
        self._store_answers([], TicketCounts(events=1, offset=one.offset, refused=1))
        return TicketCounts(events=1, offset=one.offset, refused=1)


def stored_answer(store: StateStore, ticket_id: str) -> dict[str, Any] | None:
    """Return the row and the outputs of the steps of a ticket that the stream answered; None if it did not."""
    from models.support.composition import STEPS

    key = (ticket_id,)
    found = store.rows(SUPPORT_STATE, ANSWER.name, [key]).get(key)
    if found is None:
        return None
    steps = store.rows(SUPPORT_STATE, STEP.name, [(ticket_id, name) for name in STEPS])
    named = dict(zip(ANSWER.names, found, strict=True))
    outputs = [dict(zip(STEP.names, row, strict=True)) for row in steps.values()]
    return {**json.loads(named["row"]), "version": named["model_version"], "steps": outputs}


def read_again(stored: Mapping[str, Any]) -> Answered:
    """Return a stored answer as it was given; times and money that were spent are not stored."""
    row = {name: value for name, value in stored.items() if name not in ("version", "steps")}
    return Answered(row, (), 0.0, 0, 0.0, stored["version"], stored["steps"])
