"""Measurement of objectives: nights by their publications, requests by the spans of the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from models.objectives import Objectives, Promise
from models.settings import Settings, objectives_of, owner_of
from pipelines.overdue import Deadline
from resources.sink.port import Sink
from resources.traces.port import ReadableTraces


@dataclass(frozen=True)
class AppObjectives:
    """The objectives of one application.

    Attributes:
        app: its name.
        owner: who acts.
        days: over which they are measured.
        promises: each objective.
    """

    app: str
    owner: str
    days: int
    promises: Sequence[Promise]


def measured(
    settings: Settings, app: str, sink: Sink, traces: ReadableTraces, deadline: Deadline | None, now: datetime
) -> AppObjectives:
    """Return what was measured of an application.

    Args:
        settings: of the profile.
        app: its name.
        sink: with its publications.
        traces: spans of the service.
        deadline: of its publications; None: nights are not measured.
        now: UTC.
    """
    wanted = objectives_of(settings, app)
    nights = _nights(wanted, sink, deadline, now) if deadline is not None else []
    promises = [*nights, *_requests(wanted, app, traces, settings.traces.sampled_share, now)]
    return AppObjectives(app, owner_of(settings, app), wanted.days, promises)


def _nights(wanted: Objectives, sink: Sink, deadline: Deadline, now: datetime) -> list[Promise]:
    """Measure the days whose deadline came after the first publication of the home, up to the newest that is due."""
    published, due = sink.published_days(deadline.app), deadline.newest_due(now)
    earliest = due - timedelta(days=wanted.days - 1)
    known = [day for day in published if day >= earliest]
    first = {day: _first_published_at(sink, deadline.app, day) for day in {*published[:1], *known}}
    begin = min(first.values(), default=now)
    window = [earliest + timedelta(days=number) for number in range(wanted.days)]
    days = [day for day in window if deadline.passed_for(day) >= begin]
    in_time = sum(day in first and first[day] <= deadline.passed_for(day) for day in days)
    records = [sink.published(deadline.app, day) for day in known if day <= due]
    fresh = sum(one is not None and one.degradation == "fresh" for one in records)
    return [
        Promise("nights_in_time", wanted.nights_in_time, in_time, len(days)),
        Promise("nights_fresh", wanted.nights_fresh, fresh, len(records)),
    ]


def _first_published_at(sink: Sink, app: str, day: date) -> datetime:
    return min(one.published_at for one in sink.history(app, day))


def _requests(
    wanted: Objectives, app: str, traces: ReadableTraces, sampled_share: float, now: datetime
) -> list[Promise]:
    """Measure the requests to routes of the application; those that did not fail stand for all that were sampled."""
    weight = 1 / sampled_share if sampled_share else 0.0
    failed = answered = in_time = 0.0
    for name, duration_ns, has_failed in traces.requests(now.date() - timedelta(days=wanted.days - 1)):
        if not name.partition(" ")[2].startswith(f"/v1/{app}/"):
            continue
        failed += has_failed
        answered += 0 if has_failed else weight
        in_time += weight if not has_failed and duration_ns <= wanted.max_latency_ms * 1e6 else 0
    return [
        Promise("requests_answered", wanted.requests_answered, answered, answered + failed),
        Promise("requests_in_time", wanted.requests_in_time, in_time, answered + failed),
    ]
