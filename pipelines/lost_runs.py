"""Lost runs: their process is gone (power cut, `kill -9`), and they are ended as failed.

Dagster's run monitoring finds none of them: the default launcher has no health check, so a lost run stays STARTED and
keeps its place in the queue and its pools until `max_runtime`.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass

import dagster as dg

from models.errors import TesseraError
from pipelines import run_tags
from pipelines.run_locks import Holder, holder, remove_records
from resources.notifier.grouping import FAULT, fault_of_run
from resources.notifier.message import message
from resources.notifier.port import Notifier

#: Message of the event that ends a lost run.
LOST = "The process of this run ended without a word (power cut or kill)."
#: Message of the event that cancels a run with its server.
STOPPED = "`tessera dev` was stopped."
_UNDER_WAY = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
#: Tag that Dagster's launcher gives a run: address of the code server that starts it.
CODE_SERVER = ".dagster/grpc_info"
#: The clock may have been set since the machine started.
_CLOCK_SECONDS = 60


@dataclass(frozen=True)
class Swept:
    """Runs that were ended because their process is gone, and those whose process may be on another machine."""

    ended: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """One sentence per run."""
        return [
            *(f"{run} is ended: its process ended without a word (power cut or kill)." for run in self.ended),
            *(
                f"{run} is left alone: it may run on another machine. If not, terminate it in the UI."
                for run in self.unknown
            ),
        ]


def end_lost_runs(instance: dg.DagsterInstance, notifier: Notifier | None, *, serving: bool = False) -> Swept:
    """End every run whose process is gone: as failed, or as canceled if that was asked for. Sends a notice for each.

    The queue, retries and failure sensors see an ordinary failure then. A live run is never touched.

    Args:
        instance: Dagster's instance, whose runs are looked at.
        notifier: receives the notices; None: no notices.
        serving: the caller holds the lock of `tessera dev`, so a code server that does not answer will never start the
            runs that were given to it.
    """
    ended, unknown = [], []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNDER_WAY)):
        run_id = record.dagster_run.run_id
        with holder(instance, run_id) as process:
            # Read again: it may have ended meanwhile, or another process may have found it lost.
            run = instance.get_run_by_id(run_id)
            if run is None or run.status not in _UNDER_WAY:
                continue
            if process == "gone" or (process == "none known" and _never_began(instance, record, serving=serving)):
                _end(instance, run)
                ended.append(run)
            elif _may_be_elsewhere(process, run):
                unknown.append(run)
    remove_records(instance)
    for run in ended:
        _notify(notifier, run)
    return Swept(tuple(map(_named, ended)), tuple(map(_named, unknown)))


def cancel_launched_runs(instance: dg.DagsterInstance) -> list[str]:
    """Report the runs that Dagster launched in this home as about to be canceled; name them.

    Their processes then end them as canceled when they are stopped, and none is repeated or counted as a fault. Runs
    of `tessera run` go on, and so do queued ones, with the next server.
    """
    named = []
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=statuses)):
        if CODE_SERVER not in run.tags:
            continue
        with holder(instance, run.run_id) as process:
            begins = process == "none known" and not _code_server_is_gone(run)
            now = instance.get_run_by_id(run.run_id)
            if now is not None and now.status in statuses and (process == "alive" or begins):
                instance.report_run_canceling(now, STOPPED)
                named.append(_named(now))
    return named


def _never_began(instance: dg.DagsterInstance, record: dg.RunRecord, *, serving: bool) -> bool:
    """Return True for a run that did not get as far as its lock, and never will.

    An embedded database (SQLite) is used on one machine only: what began before this machine started is over.
    """
    if "Sqlite" not in type(instance.run_storage).__name__:
        return False
    import psutil

    if record.update_timestamp.timestamp() < psutil.boot_time() - _CLOCK_SECONDS:
        return True
    # A worker that is alive nevertheless refuses to execute a run that has failed meanwhile.
    return serving and _code_server_is_gone(record.dagster_run)


def _code_server_is_gone(run: dg.DagsterRun) -> bool:
    """Return True if no code server listens at the address that starts the run, or none was ever assigned."""
    address = json.loads(run.tags.get(CODE_SERVER, "{}"))
    if path := address.get("socket"):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(path) != 0
    if port := address.get("port"):
        with socket.socket() as probe:
            return probe.connect_ex((address.get("host", "localhost"), port)) != 0
    return run.status == dg.DagsterRunStatus.STARTING  # which only a launcher reports


def _may_be_elsewhere(process: Holder, run: dg.DagsterRun) -> bool:
    """Return True if nothing here says.

    A run that is only about to start is none of these: Dagster has a limit for it.
    """
    started = run.status in {dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}
    return process == "unknown" or (process == "none known" and started)


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, LOST)
    else:
        instance.report_run_failed(run, LOST)
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _notify(notifier: Notifier | None, run: dg.DagsterRun) -> None:
    if notifier is None:
        return
    day = run.tags.get(run_tags.PARTITION, "")
    happened = f"{LOST} Run {run.run_id} is ended as failed; `tessera dev` repeats it once if it launched it."
    command = f"tessera run {run.job_name} --date {day}   (if it is not repeated)" if day else ""
    body = message(happened, command=command, section="A run failed")
    app = run.tags.get(run_tags.APP, "")
    context = {"app": app, "day": day, "run_id": run.run_id, FAULT: fault_of_run(run.job_name, app, day)}
    with suppress(TesseraError):  # the run is ended all the same, and its own log says why
        notifier.notify("error", f"{_named(run)} ended without a word", body, context)


def _named(run: dg.DagsterRun) -> str:
    day = run.tags.get(run_tags.PARTITION)
    return f"{run.job_name}{f' of {day}' if day else ''} (run {run.run_id[:8]})"
