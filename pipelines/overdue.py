"""Notices of nights that published nothing in time, by a sensor of each application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg

from assets.stages.app import App
from models.errors import TesseraError
from resources.notifier.grouping import FAULT, fault_of_night
from resources.notifier.message import message
from resources.notifier.port import Notifier
from resources.outbox import OCCASION
from resources.sink.port import DamagedScores, Sink
from resources.stack.loader import Stack
from resources.stack.ports import NotifierResource, SinkResource, SourceResource

#: Notices of one evaluation, after a daemon that was down for long; the next evaluation sends further ones.
_AT_ONCE = 14
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Deadline:
    """Deadlines of an application's publications.

    Attributes:
        app: name of the application.
        after: from the midnight (UTC) that ends a day to its deadline.
    """

    app: str
    after: timedelta

    def newest_due(self, now: datetime) -> date:
        """Return the newest day whose deadline has passed."""
        return (now - self.after).date() - _DAY

    def passed_for(self, day: date) -> datetime:
        """Return the deadline of a day, UTC."""
        return datetime.combine(day + _DAY, time(), UTC) + self.after


def deadline_of(app: App, stack: Stack, night: timedelta) -> Deadline:
    """Return the deadlines of an application whose nightly run starts at `night`, after midnight UTC."""
    return Deadline(app.name, night + timedelta(hours=stack.calendar.publish_within_hours))


@dataclass(frozen=True)
class Reported:
    """Outcome of one evaluation.

    Attributes:
        through: newest day that is settled: published, or its notice is sent.
        days: for which a notice was sent now.
        error: why the next one could not be sent, or "".
    """

    through: date
    days: tuple[date, ...] = ()
    error: str = ""

    def says(self) -> str:
        """Return one sentence for the UI."""
        if self.error:
            return f"The notice of the day after {self.through} was not delivered, and is sent again: {self.error}"
        sent = ", ".join(day.isoformat() for day in self.days)
        return f"Overdue, a notice was sent: {sent}." if sent else f"Nothing is overdue through {self.through}."


def report(sink: Sink, notifier: Notifier, deadline: Deadline, now: datetime, settled: date | None) -> Reported:
    """Send one notice for each day that is overdue and not settled.

    A day that was ever published is not overdue, also when its scores were withdrawn.

    Args:
        sink: with the application's publications.
        notifier: takes the notices.
        deadline: of the application.
        now: UTC.
        settled: newest day that an earlier evaluation settled; None at the first one, which begins after the newest
            published day, or with the next night if nothing was ever published.
    """
    due = deadline.newest_due(now)
    # A day that is settled and not due: the clock was ahead, and its notices were wrong.
    known = min(settled, due) if settled else max(sink.published_days(deadline.app), default=due)
    first = known + _DAY
    through, sent = first - _DAY, list[date]()
    while through < due and len(sent) < _AT_ONCE:
        day = through + _DAY
        if not _published(sink, deadline.app, day):
            try:
                _notify(notifier, deadline, day, _last(sink, deadline.app))
            except TesseraError as error:
                return Reported(through, tuple(sent), error.what)
            sent.append(day)
        through = day
    return Reported(through, tuple(sent))


def report_newest(sink: Sink, notifier: Notifier, deadline: Deadline, now: datetime, fault: str = "") -> int:
    """Return `missed_days`, after a notice of the newest of them: the one that the sensor sends for that day.

    Args:
        sink: with the application's publications.
        notifier: takes the notice.
        deadline: of the application.
        now: UTC.
        fault: that explains it, e.g. that no daemon runs; empty: the night itself.
    """
    if missed := missed_days(sink, deadline, now):
        _notify(notifier, deadline, deadline.newest_due(now), _last(sink, deadline.app), missed, fault)
    return missed


def missed_days(sink: Sink, deadline: Deadline, now: datetime) -> int:
    """Return the number of days since the newest published one that are overdue; 0 if nothing was ever published."""
    due, days = deadline.newest_due(now), sink.published_days(deadline.app)
    if not days or days[-1] >= due or _published(sink, deadline.app, due):
        return 0
    return (due - days[-1]).days


def _last(sink: Sink, app: str) -> str:
    """Return what users read meanwhile."""
    days = sink.published_days(app)
    return f"The newest published scores are those of {days[-1]}." if days else "No scores were ever published."


def _published(sink: Sink, app: str, day: date) -> bool:
    """Return True if the day has records of publications, also damaged ones: the next night names and repairs those."""
    try:
        return bool(sink.history(app, day))
    except DamagedScores:
        return True


def _notify(notifier: Notifier, deadline: Deadline, day: date, last: str, missed: int = 1, fault: str = "") -> None:
    app = deadline.app
    before = f" With it, {missed} days in a row are missing." if missed > 1 else ""
    happened = (
        f"Nothing was published by {deadline.passed_for(day):%Y-%m-%d %H:%M} UTC (`calendar.publish_within_hours` in"
        f" stack.yaml).{before} Open the last run of {app}_nightly, and correct what stopped it."
    )
    command = f"tessera run {app}_nightly --date {day}   (once that is corrected)"
    body = message(happened, published=last, command=command, section="A publication is overdue")
    context = {"app": app, "day": day.isoformat(), OCCASION: deadline.passed_for(day).isoformat()}
    context[FAULT] = fault or fault_of_night(app, day.isoformat())
    notifier.notify("error", f"{app} {day}: the publication is overdue", body, context)


def overdue(app: App, stack: Stack, after: timedelta = timedelta()) -> dg.SensorDefinition:
    """Return the sensor that sends a notice for each day that an application did not publish in time.

    Args:
        app: its record.
        stack: of the profile.
        after: the application's nightly job starts so much later than nights begin.
    """
    calendar = stack.calendar
    begins = datetime.combine(date.min, calendar.nightly_at) - datetime.combine(date.min, time())
    deadline = deadline_of(app, stack, begins + after)

    @dg.sensor(
        name=f"{app.name}_overdue",
        minimum_interval_seconds=300,
        description="Sends one notice for each day that was not published within `calendar.publish_within_hours`, also "
        "for days on which the daemon was down. The cursor is the newest day that is settled.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(
        context: dg.SensorEvaluationContext, sink: SinkResource, notifier: NotifierResource, source: SourceResource
    ) -> dg.SensorResult:
        delivers = source.open().tables()
        if missing := [table for table in app.made_from if table not in delivers]:
            says = f"The source of profile {stack.name} delivers no {missing[0]}: no night runs."
            return dg.SensorResult(skip_reason=says)
        settled = date.fromisoformat(context.cursor) if context.cursor else None
        found = report(sink.open(), notifier.open(), deadline, datetime.now(UTC), settled)
        return dg.SensorResult(skip_reason=found.says(), cursor=found.through.isoformat())

    return sensor
