"""Runs whose process is gone are ended at once, and no other run is ever touched."""

import json
import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG  # noqa: TID251 - Dagster gives it to runs, and we read it

from pipelines import run_locks
from pipelines.definitions import defs
from pipelines.lost_runs import LOST, cancel_launched_runs, end_lost_runs
from resources.notifier.log import LogNotifier, LogNotifierConfig
from resources.stack.ports import NotifierResource

S = dg.DagsterRunStatus
WITHOUT_PROCESS = [S.STARTING, S.STARTED, S.CANCELING, S.NOT_STARTED]
ELSEWHERE = {"boot": "another boot", "machine": "another machine"}


class Notices(NotifierResource):
    backend: LogNotifierConfig


@dg.job(name="churn_nightly")
def nightly() -> None:
    """Only its name matters."""


@pytest.fixture
def notices(tmp_path: Path) -> Path:
    return tmp_path / "notices.jsonl"


def begun(instance: dg.DagsterInstance, status: dg.DagsterRunStatus = S.STARTED, **tags: str) -> str:
    """The id of a run with this status."""
    tags = {"tessera/app": "churn", "dagster/partition": "2026-03-01", **tags}
    run = instance.create_run_for_job(nightly, status=status, tags=tags)
    return run.run_id


def left_behind(instance: dg.DagsterInstance, run_id: str, **says: str) -> None:
    """What a process leaves that held the run's lock and was killed."""
    with run_locks.held(instance, run_id):
        record = run_locks._record(run_locks._folder(instance), run_id)
        text = json.dumps(json.loads(record.read_text()) | says)
    record.write_text(text)


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.slow
def test_the_run_of_a_killed_process_fails_with_a_sentence_and_a_notice(
    instance: dg.DagsterInstance, notices: Path
) -> None:
    run_id = begun(instance)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        run_locks.hold_until_exit(instance, run_id)
        os.write(writer, b"held")
        signal.pause()
    assert os.read(reader, 4) == b"held"
    try:
        assert end_lost_runs(instance, LogNotifier(notices)).ended == ()
        assert status(instance, run_id) == S.STARTED
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    (ended,) = end_lost_runs(instance, LogNotifier(notices)).ended
    assert "churn_nightly of 2026-03-01" in ended
    assert status(instance, run_id) == S.FAILURE
    (failure,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert failure.get_dagster_event().message == LOST
    assert end_lost_runs(instance, LogNotifier(notices)).ended == ()
    (notice,) = [json.loads(line) for line in notices.read_text().splitlines()]
    assert notice["level"] == "error"
    assert "tessera run churn_nightly --date 2026-03-01" in notice["body"]
    assert notice["context"] == {
        "app": "churn",
        "day": "2026-03-01",
        "run_id": run_id,
        "fault": "churn night 2026-03-01",
    }


@pytest.mark.parametrize("began", WITHOUT_PROCESS)
@pytest.mark.slow
def test_whatever_a_lost_run_was_about_to_do_it_ends(instance: dg.DagsterInstance, began: dg.DagsterRunStatus) -> None:
    run_id = begun(instance, began)
    left_behind(instance, run_id)
    assert len(end_lost_runs(instance, None).ended) == 1
    assert status(instance, run_id) == (S.CANCELED if began == S.CANCELING else S.FAILURE)
    assert list(Path(instance.root_directory, "run_locks").iterdir()) == []


@pytest.mark.slow
def test_a_lost_run_leaves_its_pool_to_the_next(instance: dg.DagsterInstance) -> None:
    run_id = begun(instance)
    storage = instance.event_log_storage
    storage.set_concurrency_slots("shop", 1)
    assert storage.claim_concurrency_slot("shop", run_id, "step").is_claimed
    left_behind(instance, run_id)
    end_lost_runs(instance, None)
    assert storage.claim_concurrency_slot("shop", begun(instance), "step").is_claimed


@pytest.mark.parametrize("serving", [False, True])
@pytest.mark.slow
def test_no_run_is_ended_that_may_be_alive(instance: dg.DagsterInstance, serving: bool) -> None:
    """Each status, with a process that lives, with one of another machine, and with none that is known."""
    statuses = [*WITHOUT_PROCESS, S.SUCCESS, S.FAILURE, S.CANCELED]
    alive, elsewhere, unknown = ({began: begun(instance, began) for began in statuses} for _ in range(3))
    with ExitStack() as stack:
        for run_id in alive.values():
            stack.enter_context(run_locks.held(instance, run_id))
        for run_id in elsewhere.values():
            left_behind(instance, run_id, **ELSEWHERE)
        swept = end_lost_runs(instance, None, serving=serving)
    if serving:  # nothing is left that could start a run that no code server was given
        assert status(instance, unknown.pop(S.STARTING)) == S.FAILURE
    assert len(swept.ended) == serving
    for runs in (alive, elsewhere, unknown):
        assert {began: status(instance, run_id) for began, run_id in runs.items()} == {began: began for began in runs}
    told = [*(elsewhere[began] for began in WITHOUT_PROCESS), unknown[S.STARTED], unknown[S.CANCELING]]
    assert sorted(one.split("run ")[1].rstrip(")") for one in swept.unknown) == sorted(run_id[:8] for run_id in told)
    assert sum("may run on another machine" in sentence for sentence in swept.sentences()) == len(told)


@pytest.mark.slow
def test_a_restart_of_the_machine_ends_what_ran_on_it(instance: dg.DagsterInstance) -> None:
    locked, unlocked = begun(instance), begun(instance, S.STARTING)
    left_behind(instance, locked, boot="the one before")
    assert len(end_lost_runs(instance, None).ended) == 1
    assert (status(instance, locked), status(instance, unlocked)) == (S.FAILURE, S.STARTING)


@pytest.mark.slow
def test_what_began_before_the_machine_did_is_over(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, booted = begun(instance, S.STARTING), psutil.boot_time()
    assert end_lost_runs(instance, None).ended == ()
    monkeypatch.setattr(psutil, "boot_time", lambda: booted + 10**9)
    assert len(end_lost_runs(instance, None).ended) == 1
    assert status(instance, run_id) == S.FAILURE


def test_a_run_given_to_a_code_server_that_is_gone_ends_where_dev_starts_anew(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    path = str(tmp_path / "server")
    run_id = begun(instance, S.STARTING, **{GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": path})})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert end_lost_runs(instance, None, serving=True).ended == ()
    assert end_lost_runs(instance, None).ended == ()
    assert len(end_lost_runs(instance, None, serving=True).ended) == 1
    assert status(instance, run_id) == S.FAILURE


def test_the_sensor_ends_lost_runs_under_a_bare_dagster_dev(instance: dg.DagsterInstance, notices: Path) -> None:
    left_behind(instance, begun(instance))
    sensor = defs.resolve_sensor_def("lost_runs")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    told = {"notifier": Notices(backend=LogNotifierConfig(path=str(notices)))}
    with dg.build_sensor_context(instance=instance, resources=told) as context:
        says = sensor(context)
        assert isinstance(says, dg.SkipReason)
        assert "ended without a word" in str(says.skip_message)
        assert str(sensor(context).skip_message) == "Every run under way has a process."
    assert len(notices.read_text().splitlines()) == 1


def test_a_server_that_stops_cancels_what_it_launched_and_nothing_else(instance: dg.DagsterInstance) -> None:
    gone = json.dumps({"host": "localhost", "socket": "/no/such/socket"})
    launched, elsewhere = (begun(instance, S.STARTED, **{GRPC_INFO_TAG: gone}) for _ in range(2))
    of_the_command_line = begun(instance)
    with run_locks.held(instance, launched), run_locks.held(instance, of_the_command_line):
        (named,) = cancel_launched_runs(instance)
    assert named == f"churn_nightly of 2026-03-01 (run {launched[:8]})"
    found = [status(instance, run_id) for run_id in (launched, elsewhere, of_the_command_line)]
    assert found == [S.CANCELING, S.STARTED, S.STARTED]
