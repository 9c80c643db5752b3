"""A queue of a third party: lists in the memory of one process."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import dagster as dg

from models.events import Event
from resources.conformance.capabilities import Gap
from resources.events.port import (
    DeadLetter,
    Delivered,
    Events,
    Published,
    TooFarBehind,
    as_text,
    conflict_reason,
)
from resources.health import Health


@dataclass
class Group:
    """Offset -> end of its lease (s); offset -> number of deliveries; offsets that are done."""

    held: dict[int, float] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)


@dataclass
class Shelf:
    """What all who open a queue of one name share."""

    lock: Any = field(default_factory=threading.RLock)
    events: list[Event] = field(default_factory=list)
    at: list[datetime] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)


_SHELVES: dict[str, Shelf] = {}


class ListedEventsConfig(dg.Config):
    """Events in memory."""

    gaps: ClassVar = {"erasable": Gap("a list only grows"), "retained": Gap("a list only grows")}

    kind: Literal["listed"] = "listed"
    name: str
    lease_seconds: float = 60
    max_backlog: int = 1_000_000

    def open(self) -> "ListedEvents":
        return ListedEvents(_SHELVES.setdefault(self.name, Shelf()), self.lease_seconds, self.max_backlog)


class ListedEvents(Events):
    def __init__(self, shelf: Shelf, lease_seconds: float, max_backlog: int) -> None:
        self._shelf, self._lease, self._max = shelf, lease_seconds, max_backlog

    def publish(self, events: Sequence[Event], *, origins: Sequence[str] = ()) -> Published:
        with self._shelf.lock:
            known = {(one.source, one.id): one for one in self._shelf.events}
            new, conflicts = list[Event](), list[int]()
            for at, one in enumerate(events):
                other = known.get((one.source, one.id))
                if other is None:
                    known[one.source, one.id] = one
                    new.append(one)
                elif other.digest() != one.digest():
                    conflicts.append(at)
            behind = max((self.backlog(name) for name in self._shelf.groups), default=len(self._shelf.events))
            if new and behind + len(new) > self._max:
                raise TooFarBehind(behind, self._max)
            self._shelf.events += new
            self._shelf.at += [datetime.now(UTC)] * len(new)
            for at in conflicts:
                self.reject_body(events[at].to_json(), conflict_reason(origins, at))
            return Published(len(new), conflicts)

    def read(self, group: str, *, limit: int, wait_seconds: float = 0.0) -> Sequence[Delivered]:
        until = time.monotonic() + wait_seconds
        while True:
            if (found := self._read(group, limit)) or time.monotonic() >= until:
                return found
            time.sleep(0.01)

    def _read(self, name: str, limit: int) -> list[Delivered]:
        with self._shelf.lock:
            group, now = self._group(name), time.monotonic()
            group.held = {offset: end for offset, end in group.held.items() if end > now}
            busy = {self._shelf.events[offset - 1].subject: offset for offset in sorted(group.held, reverse=True)}
            found = list[Delivered]()
            for offset, one in enumerate(self._shelf.events, 1):
                blocked = busy.get(one.subject, offset + 1) < offset
                if len(found) == limit or offset in group.done or offset in group.held or blocked:
                    continue
                group.tries[offset] = group.tries.get(offset, 0) + 1
                found.append(Delivered(one, offset, group.tries[offset]))
            group.held |= {one.offset: now + self._lease for one in found}
            return found

    def acknowledge(self, group: str, offsets: Sequence[int]) -> None:
        with self._shelf.lock:
            known = self._group(group)
            for offset in offsets:
                known.held.pop(offset, None)
                if 1 <= offset <= len(self._shelf.events):
                    known.done.add(offset)

    def release(self, group: str, offsets: Sequence[int]) -> None:
        with self._shelf.lock:
            for offset in offsets:
                self._group(group).held.pop(offset, None)

    def reclaim(self, group: str) -> int:
        with self._shelf.lock:
            given_back = len(self._group(group).held)
            self._group(group).held.clear()
            return given_back

    def reject(self, group: str, delivered: Delivered, reason: str) -> None:
        with self._shelf.lock:
            if delivered.offset not in self._group(group).done:
                self._add(delivered.event.to_json(), reason, delivered.offset)
                self.acknowledge(group, [delivered.offset])

    def reject_body(self, body: str, reason: str) -> None:
        self._add(body, reason, None)

    def _add(self, body: str, reason: str, offset: int | None) -> None:
        self._shelf.letters.insert(0, DeadLetter(as_text(body), as_text(reason), offset, datetime.now(UTC)))

    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        return self._shelf.letters[:limit]

    def replay(self, group: str, *, first: int) -> int:
        with self._shelf.lock:
            known = self._group(group)
            known.done = {offset for offset in known.done if offset < first}
            return max(0, len(self._shelf.events) - max(first, 1) + 1)

    def newest_offset(self) -> int:
        return len(self._shelf.events)

    def groups(self) -> Sequence[str]:
        return sorted(self._shelf.groups)

    def backlog(self, group: str) -> int:
        known = self._shelf.groups.get(group, Group())
        return len(self._shelf.events) - len(known.done)

    def waiting_since(self, group: str) -> datetime | None:
        known = self._shelf.groups.get(group)
        waiting = (at for offset, at in enumerate(self._shelf.at, 1) if known and offset not in known.done)
        return next(waiting, None)

    def delete_group(self, group: str) -> None:
        self._shelf.groups.pop(group, None)

    def check(self) -> Health:
        return Health(True, f"{len(self._shelf.events)} events in memory")

    def _group(self, name: str) -> Group:
        return self._shelf.groups.setdefault(name, Group())
