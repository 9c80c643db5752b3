"""A queue of events in tables of SQL: what SQLite and Postgres share. An adapter adds connections and transactions."""

from __future__ import annotations

import json
import re
import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from typing_extensions import override

from models.erasure.tombstones import is_named_in
from models.events import Event
from models.timestamps import to_datetime, to_epoch_micros
from models.tracing import current_traceparent
from resources.events import sql_statements as sql
from resources.events.port import (
    DeadLetter,
    Delivered,
    ErasableEvents,
    Published,
    RetainedEvents,
    TooFarBehind,
    as_text,
    conflict_reason,
)
from resources.events.stored import names, now_us, stored_event, undeclared

#: Values in one statement that asks which events are known: far below the limits of both databases.
_ASKED_AT_ONCE = 500
_PRUNED_AT_ONCE = 5_000
_LETTERS_AT_ONCE = 1_000

Row = tuple[Any, ...]


class Statements(Protocol):
    """Statements of `sql_statements` that an adapter runs inside one transaction."""

    def rows(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """Run a query and return its rows."""
        ...

    def run(self, statement: str, values: Mapping[str, Any]) -> int:
        """Run a statement and return the number of rows it changed."""
        ...

    def run_many(self, statement: str, values: Sequence[Mapping[str, Any]]) -> None:
        """Run the statement once for each set of values."""
        ...


@dataclass(frozen=True)
class _Found:
    """Rows for a member, rows put off because their subject is leased, and the cursor after both."""

    taken: list[Row]
    put_off: list[Row]
    through: int


class SqlEvents(ErasableEvents, RetainedEvents):
    """The port in terms of statements; each call is one transaction."""

    def __init__(self, lease_seconds: float, max_backlog: int, poll_seconds: float) -> None:
        self._lease_us = int(lease_seconds * 1e6)
        self._max_backlog = max_backlog
        self._poll_seconds = poll_seconds

    @abstractmethod
    def _transaction(self, *, lasting: bool = False) -> AbstractContextManager[Statements]:
        """Return a transaction that writes; a `lasting` one is worth waiting for the disk, if the adapter is set so."""

    @abstractmethod
    def _look(self) -> AbstractContextManager[Statements]:
        """Statements that only read, each for itself."""

    @override
    def publish(self, events: Sequence[Event], *, origins: Sequence[str] = ()) -> Published:
        if not events:
            return Published(0)
        given: dict[tuple[str, str], Event] = {}
        for event in events:
            given.setdefault((event.source, event.id), event)
        with self._transaction(lasting=True) as do:
            newest = do.rows(sql.LOCK_NEWEST)[0][0]
            known = _known(do, list(given))
            fresh = [event for name, event in given.items() if name not in known]
            conflicts = _conflicts(events, given | known)
            behind = max((row[0] for row in do.rows(sql.BACKLOG)), default=None)
            if behind is None:
                behind = _waiting(do, _oldest(do, newest) - 1)
            if fresh and behind + len(fresh) > self._max_backlog:
                raise TooFarBehind(behind, self._max_backlog)
            now = now_us()
            for at in conflicts:
                body, reason = as_text(events[at].to_json()), as_text(conflict_reason(origins, at))
                do.run(sql.REFUSE, {"body": body, "reason": reason, "number": None, "now": now})
            trace = current_traceparent()
            do.run_many(sql.INSERT_EVENT, [_values(event, newest + 1 + i, now, trace) for i, event in enumerate(fresh)])
            do.run(sql.SET_NEWEST, {"number": newest + len(fresh)})
        return Published(len(fresh), conflicts)

    @override
    def read(self, group: str, *, limit: int, wait_seconds: float = 0.0) -> Sequence[Delivered]:
        until = time.monotonic() + wait_seconds
        while True:
            found = self._read(group, limit) if self._has_anything(group) else []
            if found or time.monotonic() >= until:
                return found
            time.sleep(self._poll_seconds)

    @override
    def acknowledge(self, group: str, offsets: Sequence[int]) -> None:
        with self._transaction() as do:
            _settle(do, group, offsets)

    @override
    def release(self, group: str, offsets: Sequence[int]) -> None:
        with self._transaction() as do:
            _locked(do, group)
            do.run_many(sql.RELEASE, [{"name": group, "number": offset} for offset in offsets])

    @override
    def reclaim(self, group: str) -> int:
        with self._transaction() as do:
            _locked(do, group)
            return do.run(sql.TAKE_OVER, {"name": group})

    @override
    def reject(self, group: str, delivered: Delivered, reason: str) -> None:
        asked = {"name": group, "number": delivered.offset}
        with self._transaction() as do:
            through = _locked(do, group)
            if do.rows(sql.IS_DELIVERED, asked) or do.rows(sql.IS_FRESH, {**asked, "through": through}):
                body, number = as_text(delivered.event.to_json()), delivered.offset
                do.run(sql.REFUSE, {"body": body, "reason": as_text(reason), "number": number, "now": now_us()})
                _settle(do, group, [delivered.offset])

    @override
    def reject_body(self, body: str, reason: str) -> None:
        with self._transaction(lasting=True) as do:
            do.run(sql.REFUSE, {"body": as_text(body), "reason": as_text(reason), "number": None, "now": now_us()})

    @override
    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        with self._look() as do:
            rows = do.rows(sql.LETTERS, {"limit": limit})
        return [DeadLetter(body, reason, offset, to_datetime(at)) for body, reason, offset, at in rows]

    @override
    def replay(self, group: str, *, first: int) -> int:
        with self._transaction() as do:
            through = _locked(do, group)
            newest = do.rows(sql.NEWEST)[0][0]
            start = max(first, _oldest(do, newest))
            do.run(sql.REPLAY_DELIVERED, {"name": group, "first": start, "now": now_us()})
            do.run(sql.REPLAY_AHEAD, {"name": group, "first": start})
            do.run(sql.SET_THROUGH, {"name": group, "through": min(through, start - 1)})
            return max(_waiting(do, start - 1), 0)

    @override
    def newest_offset(self) -> int:
        with self._look() as do:
            return int(do.rows(sql.NEWEST)[0][0])

    @override
    def groups(self) -> Sequence[str]:
        with self._look() as do:
            return [row[0] for row in do.rows(sql.READERS)]

    @override
    def backlog(self, group: str) -> int:
        with self._look() as do:
            rows = do.rows(f"{sql.BACKLOG} WHERE r.name = :name", {"name": group})
            if rows:
                return int(rows[0][0])
            return _waiting(do, _oldest(do, do.rows(sql.NEWEST)[0][0]) - 1)

    @override
    def waiting_since(self, group: str) -> datetime | None:
        with self._look() as do:
            rows = do.rows(sql.WAITING_SINCE, {"name": group})
        return to_datetime(rows[0][0]) if rows else None

    @override
    def prune(self, *, before: datetime) -> int:
        removed = 0
        while count := self._prune_some(to_epoch_micros(before)):
            removed += count
        with self._transaction() as do:
            do.run(sql.PRUNE_LETTERS, {"before": to_epoch_micros(before)})
        return removed

    def _prune_some(self, before: int) -> int:
        with self._transaction() as do:
            newest = do.rows(sql.LOCK_NEWEST)[0][0]
            cursors = [row[0] for row in do.rows(sql.LOCK_READERS)]
            oldest = _oldest(do, newest)
            bounds = [min(cursors, default=0), oldest - 1 + _PRUNED_AT_ONCE]
            for (first,) in (*do.rows(sql.FIRST_DELIVERED), *do.rows(sql.FIRST_KEPT, {"before": before})):
                bounds += [] if first is None else [first - 1]
            do.run(sql.PRUNE_HOLES, {"through": min(bounds)})
            return do.run(sql.PRUNE, {"through": min(bounds)})

    @override
    def undeclared(self, subject: str) -> Mapping[str, int]:
        with self._look() as do:
            rows = do.rows(sql.MENTIONS, {"subject": subject, "pattern": _pattern(subject)})
            return undeclared([row[1:] for row in rows], (body for _, body in _letters(do)), subject)

    @override
    def forget(self, subject: str, *, also: Collection[str] = ()) -> int:
        removed = self._forget_events(subject, also) + self._forget_letters(subject, also)
        self._scrub()
        return removed

    @override
    def delete_group(self, group: str) -> None:
        with self._transaction() as do:
            do.rows(sql.LOCK_READER, {"name": group})
            for statement in sql.DROP:
                do.run(statement, {"name": group})

    def _forget_events(self, subject: str, also: Collection[str]) -> int:
        with self._transaction(lasting=True) as do:
            do.rows(sql.LOCK_NEWEST)
            do.rows(sql.LOCK_READERS)
            rows = do.rows(sql.MENTIONS, {"subject": subject, "pattern": _pattern(subject)})
            found = [number for number, whose, data in rows if names(whose, data, subject, also)]
            do.run_many(sql.ADD_HOLE, [{"number": number} for number in found])
            for statement in sql.CLEAR_HOLES:
                do.run(statement, {})
        return len(found)

    def _forget_letters(self, subject: str, also: Collection[str]) -> int:
        with self._look() as do:
            found = [{"place": place} for place, body in _letters(do) if is_named_in(body, subject, also)]
        with self._transaction(lasting=True) as do:
            do.run_many(sql.REMOVE_LETTER, found)
        return len(found)

    @abstractmethod
    def _scrub(self) -> None:
        """No byte of what was forgotten is left, as far as that is in our hands."""

    def _has_anything(self, group: str) -> bool:
        with self._look() as do:
            return bool(do.rows(sql.ANYTHING, {"name": group, "now": now_us()})[0][0])

    def _read(self, group: str, limit: int) -> list[Delivered]:
        with self._transaction() as do:
            found = _found(do, group, limit, now := now_us())
            until = now + self._lease_us
            leases = [_lease(group, row, row[-1], until) for row in found.taken]
            do.run_many(sql.LEASE, leases + [_lease(group, row, 0, 0) for row in found.put_off])
            do.run(sql.SET_THROUGH, {"name": group, "through": found.through})
            do.run(sql.CLEAR_AHEAD, {"name": group, "through": found.through})
        return [_delivered(row) for row in sorted(found.taken)]


def _found(do: Statements, group: str, limit: int, now: int) -> _Found:
    asked: dict[str, Any] = {"name": group, "now": now}
    through = _locked(do, group)
    newest = do.rows(sql.NEWEST)[0][0]
    taken = do.rows(sql.AGAIN, {**asked, "limit": limit})
    held = dict(do.rows(sql.HELD, asked)) if len(taken) < limit else {}
    put_off: list[Row] = []
    while len(taken) < limit and through < newest:
        wanted = limit - len(taken)
        fresh = do.rows(sql.FRESH, {"name": group, "through": through, "last": newest, "limit": wanted})
        for row in fresh:
            (put_off if held.get(row[5], row[0]) < row[0] else taken).append(row)
        through = fresh[-1][0] if len(fresh) == wanted else newest
    return _Found(taken, put_off, through)


def _locked(do: Statements, group: str) -> int:
    """Return the group's cursor, locked; a new group stands before the oldest event that is kept."""
    rows = do.rows(sql.LOCK_READER, {"name": group})
    if not rows:
        start = _oldest(do, do.rows(sql.LOCK_NEWEST)[0][0]) - 1
        do.run(sql.NEW_READER, {"name": group, "through": start})
        rows = do.rows(sql.LOCK_READER, {"name": group})
    return int(rows[0][0])


def _settle(do: Statements, group: str, offsets: Sequence[int]) -> None:
    through = _locked(do, group)
    do.run_many(sql.SETTLE, [{"name": group, "number": offset} for offset in offsets])
    do.run_many(sql.SETTLE_AHEAD, [{"name": group, "number": offset} for offset in offsets if offset > through])


def _oldest(do: Statements, newest: int) -> int:
    """Return the oldest event that is kept; if none is, the next one."""
    rows = do.rows(sql.OLDEST)
    return int(rows[0][0]) if rows else newest + 1


def _waiting(do: Statements, through: int) -> int:
    """Return number of events after that one."""
    return int(do.rows(sql.WAITING, {"through": through})[0][0])


def _letters(do: Statements) -> Iterator[Row]:
    """Place and body of every dead letter, oldest first."""
    place = 0
    while rows := do.rows(sql.LETTERS_AFTER, {"place": place, "limit": _LETTERS_AT_ONCE}):
        yield from rows
        place = rows[-1][0]


def _pattern(subject: str) -> str:
    """For `LIKE`: data that may name it. Data is written by us, so there is one spelling."""
    letters = re.sub("[%_!]", r"!\g<0>", json.dumps(subject)[1:-1])
    return f"%{letters}%"


def _conflicts(events: Sequence[Event], holders: Mapping[tuple[str, str], Event]) -> list[int]:
    """Positions of events with other content than the one that has their `source` and `id`."""
    pairs = [(at, event, holders[event.source, event.id]) for at, event in enumerate(events)]
    return [at for at, event, holder in pairs if event is not holder and event.digest() != holder.digest()]


def _known(do: Statements, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Event]:
    """Those that are stored. One statement per source: `IN` over pairs cannot use the index in SQLite."""
    found: dict[tuple[str, str], Event] = {}
    for source in dict.fromkeys(source for source, _ in names):
        ids = [name for other, name in names if other == source]
        for part in _parts(ids, _ASKED_AT_ONCE):
            places = ", ".join(f":id{i}" for i in range(len(part)))
            columns = "source, id, type, time_us, subject, data"
            query = f"SELECT {columns} FROM event WHERE source = :source AND id IN ({places})"  # noqa: S608 - no values
            values = {"source": source, **{f"id{i}": name for i, name in enumerate(part)}}
            found.update(((row[0], row[1]), stored_event(*row)) for row in do.rows(query, values))
    return found


def _parts(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _values(event: Event, number: int, now: int, trace: str) -> dict[str, Any]:
    return {
        "number": number,
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time_us": to_epoch_micros(event.time),
        "subject": event.subject,
        "data": json.dumps(event.data, allow_nan=False),
        "published_us": now,
        "traceparent": event.traceparent or trace,
    }


def _lease(group: str, row: Row, attempt: int, until: int) -> dict[str, Any]:
    return {"name": group, "number": row[0], "subject": row[5], "attempt": attempt, "until": until}


def _delivered(row: Row) -> Delivered:
    offset, *event, attempt = row
    return Delivered(stored_event(*event), offset, attempt)
