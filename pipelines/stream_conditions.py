"""Conditions of streams that a person should know of: events that wait too long, a worker that hangs, dead letters.

A sensor looks at them, and `tessera watch` without a daemon; both send the same notices, each once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.apps import APPS
from models.event_types import READ_BY
from resources.events.port import DeadLetter, Events
from resources.heartbeat import last_beat
from resources.home import doing_now
from resources.notifier.grouping import FAULT
from resources.notifier.message import message
from resources.notifier.port import Level, Notifier
from resources.outbox import OCCASION
from resources.stack.loader import Stack
from resources.stack.ports import EventsResource, NotifierResource

#: Application -> lock of its worker, and name of its heartbeat.
WORKERS = {"fraud": "stream", "support": "stream_support"}
#: A worker beats every few seconds; one batch may take long.
_HANGS_AFTER = timedelta(minutes=5)
#: Dead letters of so long ago are reported, and so many are looked at.
_LETTERS_OF, _LETTERS = timedelta(days=1), 1_000


@dataclass(frozen=True)
class Condition:
    """A finding, before its notice is sent.

    Attributes:
        level: of the notice.
        app: application that it is about; empty: none.
        subject: one line.
        body: what happened, and what to do.
        occasion: what is one and the same finding, however often it is looked at.
        fault: what it has in common with other findings: a worker that hangs lets events wait; empty: nothing.
        needs_daemon: a daemon that runs would end it.
    """

    level: Level
    app: str
    subject: str
    body: str
    occasion: str
    fault: str = ""
    needs_daemon: bool = False

    def send(self, notifier: Notifier, fault: str = "") -> None:
        """Send the notice, as one of `fault` (no daemon runs) if that explains it.

        Raises:
            TesseraError: it could not be stored.
        """
        about = {FAULT: (fault if self.needs_daemon else "") or self.fault} if self.fault else {}
        notifier.notify(self.level, self.subject, self.body, {"app": self.app, OCCASION: self.occasion, **about})


def stream_conditions(queue: Events, stack: Stack, now: datetime) -> Iterator[Condition]:
    """Yield the conditions of all streams of a profile.

    Raises:
        TesseraError: the queue does not answer.
    """
    streams = [app.name for app in APPS if app.streams and app.name in stack.apps]
    for app in streams:
        yield from _hanging(app, stack, now)
        yield from _late(app, queue, stack, now)
    yield from _dead(queue.dead_letters(limit=_LETTERS), now)


def _late(app: str, queue: Events, stack: Stack, now: datetime) -> Iterator[Condition]:
    since, limit = queue.waiting_since(app), getattr(stack.settings, app).stream.max_lag_minutes
    if since is None or abs(now - since) <= timedelta(minutes=limit):  # the clock may have been set back
        return
    worker = doing_now(stack, WORKERS[app])
    happened = (
        f"{queue.backlog(app):,} events wait, the oldest since {since:%Y-%m-%d %H:%M} UTC; "
        f"`settings.{app}.stream.max_lag_minutes` allows {limit:g}. "
        + (f"{worker} reads them." if worker else "No worker runs.")
    )
    command = "tessera events status" if worker else f"tessera stream {app}"
    body = message(happened, command=command, section="Events wait")
    subject, fault = f"{app}: events wait too long", f"{app} stream"
    yield Condition("error", app, subject, body, since.isoformat(), fault, needs_daemon=worker is None)


def _hanging(app: str, stack: Stack, now: datetime) -> Iterator[Condition]:
    beat, worker = last_beat(stack.home, WORKERS[app]), doing_now(stack, WORKERS[app])
    if worker is None or not worker.startswith("`tessera stream") or beat is None or abs(now - beat) <= _HANGS_AFTER:
        # Beats of a clock that was ahead are as old as those of long ago: a worker that lives writes a new one.
        return  # a run that catches up holds the lock, too, and has no heartbeat
    happened = f"{worker} lives, and has done nothing since {beat:%Y-%m-%d %H:%M:%S} UTC. Stop it, and start it again."
    command = f"tessera stream {app}   (it continues where the other one was)"
    body = message(happened, command=command, section="Events wait")
    yield Condition("error", app, f"{app}: the stream's worker hangs", body, beat.isoformat(), f"{app} stream")


def _dead(letters: Sequence[DeadLetter], now: datetime) -> Iterator[Condition]:
    by_app: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        if now - letter.rejected_at <= _LETTERS_OF:
            by_app[_reader(letter.body)].append(letter)
    for app, found in sorted(by_app.items()):
        newest = found[0].rejected_at
        happened = f"{len(found):,} events of the last day could not be processed, the newest at {newest:%H:%M:%S} UTC."
        command = "tessera events dead-letters   (the reason of each)"
        body = message(happened, command=command, section="Dead letters")
        yield Condition("warning", app, f"{app or 'events'}: dead letters", body, newest.isoformat())


def _reader(body: str) -> str:
    """Return the application that reads events of this type; empty if the body is no event, or one of no type."""
    try:
        event: Any = json.loads(body)
    except ValueError:
        return ""
    type = event.get("type") if isinstance(event, dict) else None
    return next((app for app, types in READ_BY.items() if type in types), "")


def streams_sensor(stack: Stack) -> dg.SensorDefinition:
    """Return the sensor that sends notices about the streams of a profile."""

    @dg.sensor(
        name="streams",
        minimum_interval_seconds=60,
        description="Sends one notice for events that wait longer than `stream.max_lag_minutes` of their application, "
        "for a worker that hangs, and for dead letters.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def streams(events: EventsResource, notifier: NotifierResource) -> dg.SkipReason:
        found = list(stream_conditions(events.open(), stack, datetime.now(UTC)))
        for condition in found:
            condition.send(notifier.open())
        return dg.SkipReason("; ".join(one.subject for one in found) or "No event waits too long.")

    return streams
