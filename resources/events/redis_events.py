"""Events in a stream of Redis, shared by any number of machines.

Redis' own consumer groups know no order per subject, so the groups here are the scripts' own (`redis_scripts`).
What an acknowledged event survives is the server's matter: without `appendonly yes` it is lost when the server stops.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.erasure.tombstones import is_named_in
from models.errors import TesseraError
from models.events import Event
from models.timestamps import to_datetime, to_epoch_micros
from models.tracing import current_traceparent
from resources.events import redis_scripts as scripts
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
from resources.events.stored import names, stored_event, undeclared
from resources.health import Health

if TYPE_CHECKING:
    from redis import Redis

_SECONDS = 30.0
#: How long a reader without events sleeps on the server; what is given back meanwhile comes that much later.
_POLL_MILLISECONDS = 20
_PRUNED_AT_ONCE = 1_000
_SEARCHED_AT_ONCE = 1_000


class RedisEventsConfig(dg.Config):
    """Events in a Redis (version 6.2 or newer), for several machines. Needs requirements/redis.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["redis"] = "redis"
    url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="Address, `redis://` or `rediss://` (TLS). With a password in it: `{env: NAME}`.",
    )
    prefix: str = Field(default="tessera:events", min_length=1, description="Beginning of all keys of the queue.")
    lease_seconds: float = Field(
        default=30.0, gt=0, description="Events that a dead consumer held are delivered again after this time."
    )
    max_backlog: int = Field(
        default=1_000_000, ge=1, description="Publishing stops while a consumer group is this many events behind."
    )

    def open(self) -> RedisEvents:
        """Return the queue in that Redis; it is asked for nothing yet.

        Raises:
            TesseraError: the client is not installed, or `url` is none.
        """
        return RedisEvents(_client(self.url), self.prefix, self.lease_seconds, self.max_backlog)


class RedisEvents(ErasableEvents, RetainedEvents):
    """Every call is one script on the server, so any number of processes may take part."""

    def __init__(self, client: Redis, prefix: str, lease_seconds: float, max_backlog: int) -> None:
        self._client, self._prefix = client, prefix
        self._lease_us = int(lease_seconds * 1e6)
        self._max_backlog = max_backlog
        self._scripts: dict[str, Any] = {}

    @override
    def publish(self, events: Sequence[Event], *, origins: Sequence[str] = ()) -> Published:
        if not events:
            return Published(0)
        trace = current_traceparent()
        given = [part for event in events for part in (*_fields(event), event.digest(), event.traceparent or trace)]
        stored, behind, conflicts = self._run(scripts.PUBLISH, self._max_backlog, *given)
        if stored < 0:
            raise TooFarBehind(behind, self._max_backlog)
        for at in conflicts:
            self.reject_body(events[at].to_json(), conflict_reason(origins, at))
        return Published(stored, conflicts)

    @override
    def read(self, group: str, *, limit: int, wait_seconds: float = 0.0) -> Sequence[Delivered]:
        until = time.monotonic() + wait_seconds
        while True:
            newest, found = self._run(scripts.READ, group, self._lease_us, limit)
            left = until - time.monotonic()
            if found or left <= 0:
                return [_delivered(*one) for one in found]
            self._wait(newest, min(left, _POLL_MILLISECONDS / 1000))

    @override
    def acknowledge(self, group: str, offsets: Sequence[int]) -> None:
        self._run(scripts.SETTLE, group, *offsets)

    @override
    def release(self, group: str, offsets: Sequence[int]) -> None:
        self._run(scripts.RELEASE, group, *offsets)

    @override
    def reclaim(self, group: str) -> int:
        return self._run(scripts.TAKE_OVER, group)

    @override
    def reject(self, group: str, delivered: Delivered, reason: str) -> None:
        self._run(scripts.REFUSE, group, delivered.offset, as_text(delivered.event.to_json()), as_text(reason))

    @override
    def reject_body(self, body: str, reason: str) -> None:
        self._run(scripts.REFUSE_BODY, as_text(body), as_text(reason))

    @override
    def dead_letters(self, *, limit: int = 100) -> Sequence[DeadLetter]:
        with self._answering():
            found: Any = self._client.xrevrange(f"{self._prefix}:letters", count=limit)
        return [_letter(**fields) for _, fields in found]

    @override
    def replay(self, group: str, *, first: int) -> int:
        return self._run(scripts.REPLAY, group, first)

    @override
    def newest_offset(self) -> int:
        with self._answering():
            found: Any = self._client.get(f"{self._prefix}:newest")
        return int(found or 0)

    @override
    def groups(self) -> Sequence[str]:
        with self._answering():
            found: Any = self._client.hkeys(f"{self._prefix}:readers")
        return sorted(found)

    @override
    def backlog(self, group: str) -> int:
        return self._run(scripts.BACKLOG, group)

    @override
    def waiting_since(self, group: str) -> datetime | None:
        found = self._run(scripts.WAITING_SINCE, group)
        return to_datetime(int(found)) if found else None

    @override
    def prune(self, *, before: datetime) -> int:
        removed = 0
        while count := self._run(scripts.PRUNE, to_epoch_micros(before), _PRUNED_AT_ONCE):
            removed += count
        with self._answering():  # a letter's id begins with the millisecond in which it was refused
            self._client.xtrim(f"{self._prefix}:letters", minid=to_epoch_micros(before) // 1000, approximate=False)
        return removed

    @override
    def undeclared(self, subject: str) -> Mapping[str, int]:
        events = ((one["subject"], one["data"]) for page in self._pages("events") for _, one in page)
        letters = (one["body"] for page in self._pages("letters") for _, one in page)
        return undeclared(events, letters, subject)

    @override
    def forget(self, subject: str, *, also: Collection[str] = ()) -> int:
        """See `Events`. The server's files keep the bytes until it writes them anew: `BGREWRITEAOF`, `BGSAVE`."""
        removed = 0
        for page in self._pages("events"):
            found = [id.partition("-")[0] for id, one in page if names(one["subject"], one["data"], subject, also)]
            removed += self._run(scripts.FORGET, *found) if found else 0
        for page in self._pages("letters"):
            found = [id for id, one in page if is_named_in(one["body"], subject, also)]
            removed += self._removed("letters", found) if found else 0
        return removed

    @override
    def delete_group(self, group: str) -> None:
        self._run(scripts.DROP, group)

    @override
    def check(self) -> Health:
        try:
            with self._answering():
                info: Any = self._client.info()
                kept: Any = self._client.xlen(f"{self._prefix}:events")
            self.release("check", [])  # a script runs
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        lasting = "" if info.get("aof_enabled") else "; lost when the server stops (`appendonly no`)"
        return Health(True, f"Redis {info['redis_version']} events at {self._place()}, {kept} kept{lasting}")

    def _run(self, script: str, *arguments: str | int) -> Any:
        with self._answering():
            known = self._scripts.setdefault(script, self._client.register_script(script))
            return known(keys=[self._prefix], args=arguments)

    def _pages(self, stream: str) -> Iterator[list[tuple[str, dict[str, str]]]]:
        """Yield the entries of a stream, oldest first, also those that are added meanwhile."""
        after = "-"
        while True:
            with self._answering():
                page: Any = self._client.xrange(f"{self._prefix}:{stream}", min=after, count=_SEARCHED_AT_ONCE)
            if not page:
                return
            yield page
            after = f"({page[-1][0]}"

    def _removed(self, stream: str, ids: Sequence[str]) -> int:
        with self._answering():
            removed: Any = self._client.xdel(f"{self._prefix}:{stream}", *ids)
        return removed

    def _wait(self, newest: int, seconds: float) -> None:
        """Until there is an event after `newest`, or that long."""
        with self._answering():
            self._client.xread({f"{self._prefix}:events": f"{newest}-0"}, count=1, block=max(int(seconds * 1000), 1))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except RedisError as error:
            raise TesseraError(
                f"The Redis of the events at {self._place()} does not work: {error}.",
                expected="a Redis 6.2 or newer that lets us in and has room",
                todo="Start it, or correct `url` of events in stack.yaml.",
            ) from error

    def _place(self) -> str:
        """Without the password."""
        to: Any = self._client.get_connection_kwargs()
        return to.get("path") or f"{to.get('host', 'localhost')}:{to.get('port', 6379)}/{to.get('db') or 0}"


def _client(url: str) -> Redis:
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise TesseraError(
            f"Events of kind 'redis' need a package that is not installed: {error}.",
            expected="the Redis client in .venv",
            todo="Install requirements/redis.lock into .venv, or choose another `kind` of events in stack.yaml.",
        ) from error
    # Not tried again behind our back: what a lost connection carried may have been done.
    settings = {"retry": Retry(NoBackoff(), 0), "socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS}
    try:
        return Redis.from_url(url, decode_responses=True, **settings)
    except ValueError as error:
        raise TesseraError(
            f"The events' `url` begins with {urlsplit(url).scheme!r}.",
            expected="redis://HOST:PORT/DATABASE, rediss:// or unix://",
            todo="Correct `url` of events in stack.yaml.",
        ) from error


def _fields(event: Event) -> tuple[str | int, ...]:
    data = json.dumps(event.data, allow_nan=False)
    return event.source, event.id, event.type, to_epoch_micros(event.time), event.subject, data


def _delivered(number: int, attempt: int, fields: Sequence[str]) -> Delivered:
    source, name, kind, time_us, subject, data = fields[1:12:2]
    trace = fields[15] if len(fields) > 15 else ""
    return Delivered(stored_event(source, name, kind, int(time_us), subject, data, trace), number, attempt)


def _letter(body: str, reason: str, number: str, at: str) -> DeadLetter:
    return DeadLetter(body, reason, int(number) if number else None, to_datetime(int(at)))
