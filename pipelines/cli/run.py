"""`tessera run` and `tessera backfill`: launch jobs in this process and show what came of them."""

import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NoReturn

import dagster as dg
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from assets.apps import APPS, app_named, app_of_job
from models.contracts import CONTRACTS
from models.errors import TesseraError, choose_from
from pipelines import run_tags
from pipelines.cli.arguments import check_delivered, check_runs, known_day
from pipelines.cli.card import card, in_short
from pipelines.cli.console import err, out
from pipelines.cli.stopping import check_stopped
from pipelines.faults import UNEXPECTED, said, without_lines_of_dagster
from pipelines.heartbeats import night_succeeded
from pipelines.home import CODE_LOCATION_TAGS, dagster_instance
from pipelines.lost_runs import end_lost_runs
from pipelines.run_locks import held
from pipelines.run_metrics import run_metrics
from pipelines.run_notices import notify_of_run
from pipelines.run_traces import run_span, step_spans, tag_of_trace
from resources.home import only_one
from resources.stack.loader import Stack, active_stack
from resources.stack.ports import Ports


@dataclass
class Outcome:
    """Outcome of one run: metadata and checks by asset key, seconds by step, and the error that stopped it."""

    job: str
    day: date
    run_id: str
    success: bool = False
    seconds: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed_checks: dict[str, str] = field(default_factory=dict)
    passed_checks: dict[str, str] = field(default_factory=dict)
    #: Number of failed checks that are more than a warning.
    errors: int = 0
    complaint: str = ""
    #: Asset and name of each blocking check that failed.
    blocked: list[tuple[str, str]] = field(default_factory=list)
    #: The error is none that a user can act on, as far as is known.
    is_unexpected: bool = False


def run(job: str, day_text: str | None, *, verbose: bool, reingest: Sequence[str] = ()) -> int:
    """Run a job for one day; print its card. 0 if it did what it is for, else 1."""
    stack = active_stack()
    _known_job(job, stack)
    day = known_day(day_text or _day_to_check(job, stack), stack)
    asked = _reingesting(job, reingest)
    with only_one(stack, "run", f"`tessera run {job}` for {day}"), dagster_instance(stack) as instance:
        end_lost(instance, stack)
        outcome = execute(job, day, instance, verbose=verbose, ops=asked)
    _show(outcome, stack)
    return 0 if outcome.success else 1


def backfill(job: str, first_text: str, last_text: str, *, verbose: bool) -> int:
    """Run a job for each day of the range, oldest first; stop at the first day that fails."""
    stack = active_stack()
    first, last = known_day(first_text, stack), known_day(last_text, stack)
    _known_job(job, stack)
    if first > last:
        raise TesseraError(f"{first} is after {last}.", expected="--from before --to", todo="Swap the two days.")
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    with only_one(stack, "run", f"`tessera backfill {job}` {first}..{last}"), dagster_instance(stack) as instance:
        end_lost(instance, stack)
        for number, day in enumerate(days, 1):
            outcome = execute(job, day, instance, verbose=verbose)
            out.print(f"{number}/{len(days)}  {day}  {'ok' if outcome.success else 'FAILED'}  {in_short(outcome)}")
            if not outcome.success:
                _show(outcome, stack)
                return 1
            check_stopped()
    return 0


def end_lost(instance: dg.DagsterInstance, stack: Stack, *, serving: bool = False) -> None:
    """End runs whose process is gone, and report which; `serving` as in `end_lost_runs`."""
    with _without_lines_of_notices():
        for sentence in end_lost_runs(instance, Ports(stack).notifier, serving=serving).sentences():
            err.print(f"Note: {sentence}")


@contextmanager
def _without_lines_of_notices() -> Iterator[None]:
    """Keep the log of notices off the terminal, where the command says the same."""
    log = logging.getLogger("resources.notifier")
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(logging.NOTSET)


def _day_to_check(job: str, stack: Stack) -> str | None:
    """Return the last published day, for a job of checks; None leaves the day to the command."""
    app = next((app for app in APPS if job == f"{app.name}_checks"), None)
    days = stack.open("sink").published_days(app.name) if app else ()
    return days[-1].isoformat() if days else None


def _known_job(name: str, stack: Stack) -> None:
    from pipelines.definitions import build_definitions

    defs = build_definitions(stack)
    checks = {f"{app.name}_checks" for app in APPS}
    is_there = defs.get_repository_def().has_job(name) and not name.startswith("__")
    job = defs.resolve_job_def(name) if is_there else None
    if job is None or not (_is_daily(job) or name in checks):
        check_runs(app_of_job(name), stack)
        _refuse(name, job, [one for one in defs.resolve_all_job_defs() if _is_daily(one) or one.name in checks])
    app = job.tags.get(run_tags.APP, "")
    if app in {one.name for one in APPS}:
        check_delivered(app_named(app), stack)


def _refuse(name: str, job: dg.JobDefinition | None, daily: Sequence[dg.JobDefinition]) -> NoReturn:
    names = sorted(one.name for one in daily if not one.name.startswith("__"))
    if job is not None:
        raise TesseraError(
            f"The job {name!r} works on no day, but on what a sensor finds.",
            expected=choose_from(name, names),
            todo="Leave it to its sensor; for events: `tessera stream fraud --until-empty`.",
        )
    raise TesseraError(f"There is no job {name!r}.", expected=choose_from(name, names), todo="Correct the name.")


def _is_daily(job: dg.JobDefinition) -> bool:
    return isinstance(job.partitions_def, dg.TimeWindowPartitionsDefinition)


def _reingesting(job: str, tables: Sequence[str]) -> dict[str, Any]:
    """Return the config of the steps that must ingest their table from the start."""
    from pipelines.definitions import build_definitions

    defs = build_definitions(active_stack())
    nodes = {node.name for node in defs.resolve_job_def(job).nodes_in_topological_order}
    ingested = {table for table in CONTRACTS if f"shop__{table}" in nodes}
    for table in tables:
        if table not in ingested:
            raise TesseraError(
                f"{job} ingests no table {table!r}.",
                expected=choose_from(table, ingested),
                todo="Correct `--reingest`, or choose the job that ingests the table.",
            )
    return {f"shop__{table}": {"config": {"reingest": True}} for table in tables}


def execute(
    job: str,
    day: date,
    instance: dg.DagsterInstance,
    *,
    verbose: bool,
    ops: Mapping[str, Any] | None = None,
    partition: str | None = None,
    works_for: str = "",
) -> Outcome:
    """One run of `job` for `day` in this process, recorded in the instance like a run of the UI.

    `partition` is that of a job whose partitions are no days; `ops` then gives its steps the day. `works_for`: the
    application whose owner hears of the run, where the job is of none.
    """
    from pipelines.definitions import build_definitions

    definition = build_definitions(active_stack()).resolve_job_def(job)
    outcome = Outcome(job, day, str(uuid.uuid4()))
    steps = [node.name for node in definition.nodes_in_topological_order]
    level = "DEBUG" if verbose else "CRITICAL"
    # A job of checks alone has no partitions: each of its steps gets the day.
    partition = partition or (day.isoformat() if definition.partitions_def else None)
    ops = ops if partition else {step: {"config": {"day": day.isoformat()}} for step in steps}
    started = time.monotonic()
    quiet = nullcontext() if verbose else without_lines_of_dagster()
    tags = {**definition.tags, run_tags.PARTITION: day.isoformat()}
    with (
        quiet,
        held(instance, outcome.run_id),
        run_span(active_stack(), job, outcome.run_id, tags) as traced,
        step_spans(instance, outcome.run_id, traced),
        run_metrics(instance, active_stack().home, job, outcome.run_id, day.isoformat()),
        _progress(job, day, steps, hidden=verbose) as follow,
    ):
        instance.add_event_listener(outcome.run_id, follow)
        result = definition.execute_in_process(
            partition_key=partition,
            instance=instance,
            run_id=outcome.run_id,
            raise_on_error=False,
            # A given run_config replaces the one the job was defined with, so the job's own must be part of it.
            run_config={
                **(own := definition.get_run_config_for_partition_key(partition) if partition else {}),
                "ops": {**own.get("ops", {}), **(ops or {})},
                "loggers": {"console": {"config": {"log_level": level}}},
            },
            tags={
                "tessera/profile": active_stack().name,
                run_tags.LAUNCHED_BY: run_tags.CLI,
                **({run_tags.APP: works_for} if works_for else {}),
                **tag_of_trace(),
                **CODE_LOCATION_TAGS,
            },
        )
    if not result.success:
        check_stopped()
    outcome.seconds = time.monotonic() - started
    outcome.success = result.success
    _notify(instance, outcome.run_id)
    for event in result.all_events:
        _take(outcome, event)
    # Checks that run alone block nothing: the command says by its exit code that one found an error.
    outcome.success = outcome.success and (partition is not None or not outcome.errors)
    return outcome


def _notify(instance: dg.DagsterInstance, run_id: str) -> None:
    """Send the run's notices, and its heartbeat, as the daemon's sensor does for those that it launches."""
    ports = Ports(active_stack())
    try:
        with _without_lines_of_notices():
            notify_of_run(instance, run_id, ports.notifier, ports.sink)
    except TesseraError as error:
        err.print(f"Note: {error.what} {error.todo}")
    if problem := night_succeeded(ports.stack, instance.get_run_by_id(run_id)):
        err.print(f"Note: {problem}")


def _take(outcome: Outcome, event: dg.DagsterEvent) -> None:
    if event.event_type_value == "STEP_SUCCESS" and event.step_key:
        outcome.steps[event.step_key] = event.step_success_data.duration_ms / 1000
    elif event.event_type_value == "ASSET_MATERIALIZATION":
        done = event.step_materialization_data.materialization
        outcome.metadata[done.asset_key.to_user_string()] = {k: v.value for k, v in done.metadata.items()}
    elif event.event_type_value == "ASSET_CHECK_EVALUATION":
        check = event.asset_check_evaluation_data
        name = f"{check.asset_key.to_user_string()}: {check.check_name}"
        if check.passed:
            outcome.passed_checks[name] = str(check.description or "passed")
        else:
            outcome.errors += check.severity == dg.AssetCheckSeverity.ERROR
            outcome.failed_checks[name] = str(check.description or "")
            if check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
                outcome.blocked.append((check.asset_key.to_user_string(), check.check_name))
    elif event.is_step_failure and event.step_failure_data.error is not None and not outcome.complaint:
        outcome.complaint = said(event.step_failure_data.error)
        outcome.is_unexpected = outcome.complaint.endswith(UNEXPECTED)
    elif event.is_job_failure and event.job_failure_data.error is not None and not outcome.complaint:
        outcome.complaint = said(event.job_failure_data.error)  # outside of any step
        outcome.is_unexpected = outcome.complaint.endswith(UNEXPECTED)


class _Follower:
    """Moves the bar as steps start and end; shows the last line a step logged."""

    def __init__(self, bar: Progress, total: int, title: str) -> None:
        self.bar = bar
        self.title = title
        self.task = bar.add_task(title, total=total, step="starting")
        self.started = time.monotonic()
        #: A log file or a pipe shows no bar: it gets a line per step, and each line that a step logs.
        self.writes_lines = not err.is_terminal and not bar.disable

    def __call__(self, record: Any) -> None:
        event = record.dagster_event
        if self.writes_lines:
            self._write_line(record.user_message if event is None else _step_line(event))
        if event is None:
            self.bar.update(self.task, step=record.user_message[:60])
        elif event.event_type_value == "STEP_START":
            self.bar.update(self.task, step=(event.step_key or "").replace("__", "/"))
        elif event.event_type_value in {"STEP_SUCCESS", "STEP_SKIPPED"}:
            self.bar.advance(self.task)

    def _write_line(self, text: str) -> None:
        if text:
            err.print(f"{self.title}  {time.monotonic() - self.started:6.1f} s  {text}")


def _step_line(event: dg.DagsterEvent) -> str:
    """Return the start or the end of a step, in words; nothing for other events."""
    step = (event.step_key or "").replace("__", "/")
    ending = {"STEP_SKIPPED": "skipped", "STEP_FAILURE": "failed"}
    if event.event_type_value == "STEP_START":
        return f"{step}: started"
    if event.event_type_value == "STEP_SUCCESS":
        return f"{step}: done in {event.step_success_data.duration_ms / 1000:.1f} s"
    return f"{step}: {ending[event.event_type_value]}" if event.event_type_value in ending else ""


#: A step's log names what it reads: it is no markup.
_LAST_LINE = TextColumn("{task.fields[step]}", markup=False)


class _progress:
    def __init__(self, job: str, day: date, steps: list[str], *, hidden: bool) -> None:
        columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), _LAST_LINE]
        self.bar = Progress(*columns, TimeElapsedColumn(), console=err, transient=True, disable=hidden)
        self.total, self.title = len(steps), f"{job} {day}"

    def __enter__(self) -> _Follower:
        self.bar.start()
        return _Follower(self.bar, self.total, self.title)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def _show(outcome: Outcome, stack: Stack) -> None:
    out.print(card(outcome, stack))
