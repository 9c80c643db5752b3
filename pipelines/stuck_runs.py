"""Stuck runs: their process lives, and has not worked for minutes. It is killed; the run fails and is repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import BaseModel, ConfigDict, TypeAdapter

from models.errors import TesseraError
from pipelines import run_tags
from pipelines.lost_runs import CODE_SERVER
from pipelines.run_locks import process_of
from resources.notifier.grouping import FAULT, fault_of_run
from resources.notifier.message import message
from resources.notifier.port import Notifier
from resources.stack.loader import Stack
from resources.stack.ports import NotifierResource

if TYPE_CHECKING:
    import psutil

#: Seconds of CPU that threads of a process take that only waits.
_IDLE_SECONDS = 2.0


class Idle(BaseModel):
    """CPU seconds of a run's process and its children, and since when they have hardly grown."""

    model_config = ConfigDict(frozen=True)

    cpu_seconds: float
    since: datetime


_SEEN = TypeAdapter(dict[str, Idle])


def end_stuck_runs(
    instance: dg.DagsterInstance, notifier: Notifier, seen: Mapping[str, Idle], now: datetime, limit: timedelta
) -> tuple[dict[str, Idle], list[str]]:
    """Kill the process of each run that a server launched here and that took hardly any CPU for `limit`.

    The sensor `lost_runs` ends the run then, and it is repeated like any failed one. Runs of `tessera run` go on: a
    person may have stopped them for a while.

    Args:
        instance: whose runs are looked at.
        notifier: takes a notice of each.
        seen: what was seen at the last look.
        now: UTC.
        limit: of the time without work.

    Returns the state for the next look, and the runs that were ended, in words.
    """
    import psutil

    found, ended = dict[str, Idle](), list[str]()
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        process = process_of(instance, run.run_id) if CODE_SERVER in run.tags else None
        if process is None:
            continue
        with suppress(psutil.Error):
            cpu, before = _cpu_seconds(process), seen.get(run.run_id)
            worked = before is None or cpu - before.cpu_seconds > _IDLE_SECONDS
            if before is None or worked or before.since > now:  # the clock may have been set back
                found[run.run_id] = Idle(cpu_seconds=cpu, since=now)
            elif now - before.since < limit:
                found[run.run_id] = before
            else:
                process.kill()
                ended.append(_notify(notifier, run, before.since))
    return found, ended


def _cpu_seconds(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


def _notify(notifier: Notifier, run: dg.DagsterRun, since: datetime) -> str:
    day = run.tags.get(run_tags.PARTITION, "")
    named = f"{run.job_name}{f' of {day}' if day else ''}"
    happened = f"The process of run {run.run_id[:8]} had not worked since {since:%H:%M} UTC, and was killed."
    command = f"tessera run {run.job_name} --date {day}   (if it is not repeated)" if day else ""
    app = run.tags.get(run_tags.APP, "")
    context = {"app": app, "day": day, "run_id": run.run_id, FAULT: fault_of_run(run.job_name, app, day)}
    with suppress(TesseraError):  # the run is ended all the same
        body = message(happened, command=command, section="A run failed")
        notifier.notify("error", f"{named} was stuck", body, context)
    return named


def stuck_runs(stack: Stack) -> dg.SensorDefinition:
    """Return the sensor that ends stuck runs of a home."""
    limit = timedelta(minutes=stack.settings.storage.max_idle_minutes)

    @dg.sensor(
        name="stuck_runs",
        minimum_interval_seconds=60,
        description="Kills the process of a run that has taken no CPU for `storage.max_idle_minutes`, so that the run "
        "fails and is repeated. The cursor is what was seen at the last look.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext, notifier: NotifierResource) -> dg.SensorResult:
        seen = _SEEN.validate_json(context.cursor) if context.cursor else {}
        found, ended = end_stuck_runs(context.instance, notifier.open(), seen, datetime.now(UTC), limit)
        says = f"Ended: {', '.join(ended)}." if ended else "Every run works."
        return dg.SensorResult(skip_reason=says, cursor=json.dumps(_SEEN.dump_python(found, mode="json")))

    return sensor
