"""Notices of runs: one for a run that failed, and one for each check that failed or warns, however it was launched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.apps import app_of_job
from models.errors import TesseraError
from pipelines import run_tags
from pipelines.faults import said
from resources.notifier.grouping import BETWEEN, FAULT, fault_of_run
from resources.notifier.message import message, page
from resources.notifier.port import Level, Notifier
from resources.sink.port import Sink

#: Check -> the command that helps with a finding of it; of any other the job is run again.
_COMMANDS = {
    "quarantined_share": "tessera quarantine {table}   (the rows and their reasons)",
    "anomalies": "tessera run {job} --date {day} --reingest {table}   (once the delivery is corrected)",
    "freshness": "tessera run {job} --date {day}   (once the delivery is there)",
    "unusual_night": "tessera scores {app} --date {day}   (what was published)",
    "estimated_quality": "tessera run {app}_training   (a challenger on the newest rows)",
    "drift": "tessera run {app}_training   (a challenger on the newest rows)",
    "performance": "tessera run {app}_training   (a challenger on the newest rows)",
    "shares": "tessera run {app}_training   (a challenger on the newest rows)",
    "gate": "tessera models {app}   (the candidate and why it was refused)",
    "labels_arrived": "tessera run {app}_nightly --date {day}   (once they have arrived)",
}
#: Job -> the command that helps where none of a check does; of a job whose partitions are no days, `day` is one.
_OF_JOB = {"experiment_report": "tessera experiments {day}   (its effects, and what was decided)"}
_AGAIN = "tessera run {job} --date {day}   (once that is corrected)"
_FINDINGS = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}


@dataclass(frozen=True)
class RunNotice:
    """A notice of a run, before it is sent.

    Attributes:
        faults: what it is about; see `resources.notifier.grouping`.
    """

    level: Level
    subject: str
    body: str
    faults: tuple[str, ...]


def run_notices(run: dg.DagsterRun, events: Iterable[dg.DagsterEvent], stands: str = "") -> Sequence[RunNotice]:
    """Return the notices of a run that has ended: its failure first, then a check each.

    A check that warns night after night is one notice, since its subject names no day; a failure names its day. What
    other checks say of an asset that stopped the run is part of its notice.

    Args:
        run: as it ended. Of one that is repeated, the repetition is reported.
        events: of the run.
        stands: the scores that are published for its day, in words.
    """
    if run.tags.get(run_tags.WILL_RETRY) == "true" and run.tags.get(run_tags.LAUNCHED_BY) != run_tags.CLI:
        return ()
    found = list(events)
    checks = [
        event.asset_check_evaluation_data
        for event in found
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
        and not event.asset_check_evaluation_data.passed
    ]
    blocking = [one for one in checks if one.blocking and one.severity == dg.AssetCheckSeverity.ERROR]
    fails = run.status == dg.DagsterRunStatus.FAILURE
    stopped = {one.asset_key for one in blocking} if fails else set[dg.AssetKey]()
    of_it = [one for one in checks if one not in blocking and one.asset_key in stopped]
    failed = [_failure(run, found, blocking, of_it, stands)] if fails else []
    return [*failed, *(_of_check(run, one, stands) for one in checks if one not in (*blocking, *of_it))]


def notify_of_run(instance: dg.DagsterInstance, run_id: str, notifier: Notifier, sink: Sink) -> Sequence[str]:
    """Send the notices of a run that has ended; return their subjects. A run's notices are sent once.

    Raises:
        TesseraError: the notices could not be stored.
    """
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}:
        return ()
    entries = instance.all_logs(run_id, of_type=_FINDINGS)
    events = [entry.dagster_event for entry in entries if entry.dagster_event is not None]
    app, day = app_of_job(run.job_name), run.tags.get(run_tags.PARTITION, "")
    notices = run_notices(run, events, _standing(sink, app, day) if app and day else "")
    context = {"app": app or run.tags.get(run_tags.APP, ""), "day": day, "job": run.job_name, "run_id": run_id}
    for notice in notices:
        notifier.notify(notice.level, notice.subject, notice.body, context | {FAULT: BETWEEN.join(notice.faults)})
    return [notice.subject for notice in notices]


def _failure(
    run: dg.DagsterRun, events: Sequence[dg.DagsterEvent], blocking: Sequence[Any], of_it: Sequence[Any], stands: str
) -> RunNotice:
    day = run.tags.get(run_tags.PARTITION, "")
    of_day = f" of {day}" if day else ""
    if blocking:
        names = ", ".join(sorted({one.check_name for one in blocking}))
        subject = f"{run.job_name}{of_day} was stopped by: {names}"
        says = "\n".join(
            f"{_asset(one)}: {one.description or one.check_name} ({_page(one)})" for one in (*blocking, *of_it)
        )
    else:
        subject, says = f"{run.job_name}{of_day} failed", _complaint(events)
    again = _OF_JOB.get(run.job_name, _AGAIN).format(job=run.job_name, day=day) if day else ""
    body = message(says, published=stands, command=again, section="A run failed")
    return RunNotice("error", subject, body, _faults(run, blocking))


def _faults(run: dg.DagsterRun, blocking: Sequence[Any]) -> tuple[str, ...]:
    """Return what a failed run is about: itself, and the shared tables that stopped it and others, too."""
    app, day = app_of_job(run.job_name), run.tags.get(run_tags.PARTITION, "")
    shared = {f"{_asset(one)} {day}" for one in blocking if one.asset_key.path[0] != app}
    return (fault_of_run(run.job_name, app, day), *sorted(shared))


def _complaint(events: Sequence[dg.DagsterEvent]) -> str:
    for event in events:
        data: Any = event.event_specific_data
        if (event.is_step_failure or event.is_job_failure) and data.error is not None:
            return said(data.error)
    return "The run ended without an error of a step."


def _of_check(run: dg.DagsterRun, check: Any, stands: str) -> RunNotice:
    warns = check.severity == dg.AssetCheckSeverity.WARN
    day = run.tags.get(run_tags.PARTITION, "")
    subject = f"{_asset(check)}: {check.check_name} " + ("warns" if warns else f"failed{f' on {day}' if day else ''}")
    happened = f"{check.description or check.check_name}\nIn {run.job_name}{f' of {day}' if day else ''}."
    command = _command(run, check, day)
    body = message(happened, published=stands, command=command, section=check.check_name)
    return RunNotice("warning" if warns else "error", subject, body, (subject,))


def _command(run: dg.DagsterRun, check: Any, day: str) -> str:
    if not day:
        return ""
    asset = check.asset_key.path
    found = _COMMANDS.get(check.check_name) or _OF_JOB.get(run.job_name, _AGAIN)
    return found.format(app=asset[0], table=asset[-1], job=run.job_name, day=day)


def _asset(check: Any) -> str:
    return check.asset_key.to_user_string()


def _page(check: Any) -> str:
    return page(check.check_name)


def _standing(sink: Sink, app: str, day: str) -> str:
    """Return the scores that are published for a day, in words; empty for an application that publishes none."""
    from datetime import date

    from assets.apps import APPS

    if not any(one.name == app and one.publishes for one in APPS):
        return ""
    try:
        published = sink.published(app, date.fromisoformat(day))
    except TesseraError as error:
        return f"What is published for {day} cannot be read: {error.what}"
    if published is None:
        return f"Nothing is published for {day}."
    return f"Published for {day}: {published.rows:,} rows, {published.degradation}, version {published.model_version}."
