"""Runs whose process lives and does not work are killed and ended; all others go on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines import run_locks
from pipelines.lost_runs import CODE_SERVER, end_lost_runs
from pipelines.stuck_runs import end_stuck_runs
from resources.notifier.log import LogNotifier
from resources.outbox import Outbox

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LIMIT = timedelta(minutes=15)


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "notices.db", LogNotifier(tmp_path / "notices.jsonl"))


@contextmanager
def waiting(instance: dg.DagsterInstance, **tags: str) -> Iterator[str]:
    """A run whose process only waits."""
    given = {"dagster/partition": "2026-03-01", "tessera/app": "churn", **tags}
    run = instance.add_run(dg.DagsterRun(job_name="churn_nightly", status=dg.DagsterRunStatus.STARTED, tags=given))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        run_locks.hold_until_exit(instance, run.run_id)
        os.write(writer, b"held")
        signal.pause()
    assert os.read(reader, 4) == b"held"
    try:
        yield run.run_id
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


@pytest.mark.slow
def test_a_run_that_does_not_work_is_killed_and_ended(instance: dg.DagsterInstance, outbox: Outbox) -> None:
    with waiting(instance, **{CODE_SERVER: "{}"}) as run_id:
        seen, ended = end_stuck_runs(instance, outbox, {}, NOW, LIMIT)
        assert (list(seen), ended) == ([run_id], [])
        seen, ended = end_stuck_runs(instance, outbox, seen, NOW + timedelta(minutes=14), LIMIT)
        assert (seen[run_id].since, ended) == (NOW, [])
        seen, ended = end_stuck_runs(instance, outbox, seen, NOW + LIMIT, LIMIT)
        assert (seen, ended) == ({}, ["churn_nightly of 2026-03-01"])
    assert len(end_lost_runs(instance, None).ended) == 1
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    (notice,) = outbox.notices()
    assert (notice.subject, notice.level) == ("churn_nightly of 2026-03-01 was stuck", "error")
    assert "had not worked since 04:00 UTC" in notice.body


@pytest.mark.slow
def test_a_run_that_worked_since_the_last_look_goes_on(instance: dg.DagsterInstance, outbox: Outbox) -> None:
    with waiting(instance, **{CODE_SERVER: "{}"}) as run_id:
        seen, _ = end_stuck_runs(instance, outbox, {}, NOW, LIMIT)
        before = {run_id: seen[run_id].model_copy(update={"cpu_seconds": seen[run_id].cpu_seconds - 60})}
        seen, ended = end_stuck_runs(instance, outbox, before, NOW + 2 * LIMIT, LIMIT)
        assert (seen[run_id].since, ended) == (NOW + 2 * LIMIT, [])


@pytest.mark.slow
def test_a_run_of_the_command_line_is_never_killed(instance: dg.DagsterInstance, outbox: Outbox) -> None:
    with waiting(instance):
        assert end_stuck_runs(instance, outbox, {}, NOW, LIMIT) == ({}, [])
