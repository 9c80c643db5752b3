"""Metrics of the last run of a job, in a file of the home: outcome, stages, rows, checks, gate, drift."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from assets.stages import metadata_keys as keys
from models.metrics import Sample, sample
from resources.metric_files import read_samples, write_samples

_OUTCOMES = {"kept": keys.ROWS_KEPT, "quarantined": keys.ROWS_QUARANTINED, "late": keys.ROWS_LATE}


@contextmanager
def run_metrics(instance: dg.DagsterInstance, home: Path, job: str, run_id: str, day: str) -> Iterator[None]:
    """Write the file of the job when the block ends.

    Args:
        instance: whose run it is.
        home: of the profile.
        job: its name.
        run_id: of the run, which is executed within the block by this thread.
        day: that the run works for (YYYY-MM-DD); "": none.
    """
    numbers = _Numbers(job)
    instance.add_event_listener(run_id, numbers)
    began, ended = time.monotonic(), False
    try:
        yield
        ended = True
    finally:
        numbers.has_failed |= not ended
        numbers.is_over = True
        name = f"run_{job}"
        before = {one.name: one.value for one in read_samples(home, name)}
        of_run = _of_run(job, day, before, succeeded=not numbers.has_failed, seconds=time.monotonic() - began)
        write_samples(home, name, [*of_run, *numbers.samples.values()])


def _of_run(job: str, day: str, before: dict[str, float], *, succeeded: bool, seconds: float) -> Iterator[Sample]:
    now, last, newest = (
        time.time(),
        "tessera_run_last_success_timestamp_seconds",
        "tessera_run_last_day_timestamp_seconds",
    )
    yield sample("tessera_run_succeeded", succeeded, job=job)
    yield sample("tessera_run_seconds", seconds, job=job)
    yield sample("tessera_run_last_end_timestamp_seconds", now, job=job)
    if succeeded or last in before:
        yield sample(last, now if succeeded else before[last], job=job)
    days = [before[newest]] if newest in before else []
    if succeeded and day:
        days.append(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    if days:
        yield sample(newest, max(days), job=job)


class _Numbers:
    """Takes numbers out of the events of a run as they come by."""

    def __init__(self, job: str) -> None:
        self._job = job
        self.samples: dict[tuple[str, str], Sample] = {}
        self.has_failed = self.is_over = False

    def __call__(self, record: Any) -> None:
        event = record.dagster_event
        if event is None or self.is_over:
            return
        if event.is_step_failure or event.is_job_failure:
            self.has_failed = True
        elif event.event_type_value == "STEP_SUCCESS":
            seconds = event.step_success_data.duration_ms / 1000
            self._add("tessera_step_seconds", seconds, step=event.step_key.replace("__", "/"))
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            done = event.step_materialization_data.materialization
            self._of_asset(done.asset_key.path, {key: value.value for key, value in done.metadata.items()})
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            self._of_check(event.asset_check_evaluation_data)

    def _of_asset(self, key: list[str], found: dict[str, Any]) -> None:
        if keys.ROWS_IN in found:
            for outcome, name in _OUTCOMES.items():
                self._add("tessera_table_rows", found.get(name, 0), table=key[-1], outcome=outcome)
        if keys.QUARANTINED_SHARE in found:
            self._add("tessera_quarantined_share", found[keys.QUARANTINED_SHARE], table=key[-1])
        if found.get(keys.MAX_PSI) is not None:
            self._add("tessera_drift_psi", found[keys.MAX_PSI], app=key[0])

    def _of_check(self, check: Any) -> None:
        asset, passed = check.asset_key.to_user_string(), bool(check.passed)
        severity = check.severity.value.lower()
        self._add("tessera_check_passed", passed, asset=asset, check=check.check_name, severity=severity)
        if check.check_name == "gate":
            self._add("tessera_gate_passed", passed, app=check.asset_key.path[0])

    def _add(self, name: str, value: float, **labels: str) -> None:
        self.samples[name, "\0".join(labels.values())] = sample(name, value, job=self._job, **labels)
