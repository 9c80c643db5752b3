"""Commands that are killed, told to stop, or run out of room: exit codes, a sentence, and a home that goes on."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import dagster as dg
import psutil
import pytest
from in_process import exit_code
from shop_home import Home

from pipelines import run_locks
from pipelines.definitions import defs
from pipelines.home import dagster_home
from resources.stack.loader import ROOT
from tests.fork_server import PROCESSES
from tests.servers.ports import free_port

FIRST, SECOND = "2026-03-01", "2026-03-02"
PATIENCE = 180.0
#: Time in which everything must have ended after a signal, on a machine that is not busy half of it.
SOON = 25.0


@pytest.fixture
def waiting(empty: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home whose runs wait in their first step until somebody ends them."""
    monkeypatch.syspath_prepend(
        ROOT / "tests" / "faults"
    )  # a stack is checked also where a test only looks at its home
    return empty.with_stack(
        tmp_path / "waiting.yaml", {"ports": {"source": {"kind": "waiting_source.WaitingSourceConfig"}}}
    )


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that appears once a run waits."""
    return tmp_path / "waits"


def settings(mark: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT / "tests" / "faults"), "WAITING_MARK": str(mark)}


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


@contextmanager
def records(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(dagster_home(home.opened()))) as instance:
        yield instance


def statuses(home: Home) -> dict[str, str]:
    """The status of the newest run of each day."""
    with records(home) as instance:
        return {run.tags["dagster/partition"]: run.status.value for run in reversed(instance.get_runs())}


def notices(home: Home) -> list[str]:
    file = home.folder / "notices.jsonl"
    return [json.loads(line)["subject"] for line in file.read_text().splitlines()] if file.exists() else []


def ended_by(number: signal.Signals, home: Home, mark: Path, day: str) -> tuple[int, str]:
    """Exit code and standard error of a nightly run that gets the signal while it waits in a step."""
    mark.unlink(missing_ok=True)
    process = home.fork("run", "churn_nightly", "--date", day, **settings(mark))
    until(mark.exists)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err


def test_a_killed_run_is_ended_by_the_next_command_and_a_stopped_one_by_itself(waiting: Home, mark: Path) -> None:
    assert ended_by(signal.SIGKILL, waiting, mark, FIRST)[0] == -signal.SIGKILL
    assert statuses(waiting) == {FIRST: "STARTED"}
    code, err = ended_by(signal.SIGTERM, waiting, mark, SECOND)
    assert code == 143
    assert "Traceback" not in err
    assert f"churn_nightly of {FIRST}" in err
    assert "ended without a word" in err
    assert "Stopped: by SIGTERM" in err
    assert statuses(waiting) == {FIRST: "FAILURE", SECOND: "FAILURE"}
    assert len(notices(waiting)) == 1
    assert list((waiting.folder / "dagster" / "run_locks").glob("*.json")) == []
    assert list((waiting.folder / "locks").glob("*.holder")) == []


def test_a_process_without_room_for_open_files_says_so_while_it_imports(empty: Home) -> None:
    command = [Path(sys.executable).parent / "tessera", "run", "churn_nightly", "--date", FIRST]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=empty.environment(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: _limit(resource.RLIMIT_NOFILE, 16),
    )
    assert done.returncode == 1
    _says(done.stdout + done.stderr, "Too many files are open")


def test_a_process_whose_files_may_not_grow_says_so(empty: Home, tmp_path: Path) -> None:
    said = tmp_path / "said.txt"
    process = PROCESSES.Process(target=_run_with_small_files, args=(empty.environment(), said))
    process.start()
    process.join()
    assert process.exitcode == 1
    _says(said.read_text(), "larger than this process may write")


def _run_with_small_files(environment: dict[str, str], said: Path) -> None:
    output = os.open(said, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    _limit(resource.RLIMIT_FSIZE, 30_000)
    sys.exit(exit_code(["tessera", "run", "churn_nightly", "--date", FIRST], environment))


def _limit(limit: int, value: int) -> None:
    resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


def _says(output: str, words: str) -> None:
    assert "Traceback" not in output
    assert words in " ".join(output.replace("│", " ").split())


@pytest.fixture
def port() -> int:
    return free_port()


def test_dev_from_a_script_ends_lost_runs_starts_the_next_night_and_stops_whole(
    waiting: Home, mark: Path, port: int
) -> None:
    """A script's `&` makes a process ignore SIGINT, and everything that it starts."""
    lost = _lost_run(waiting)
    script = f"{Path(sys.executable).parent / 'tessera'} dev --port {port} & wait $!"
    shell = Popen(["bash", "-c", script], cwd=ROOT, env=waiting.environment(settings(mark)), stderr=subprocess.PIPE)
    until(lambda: _answers(port))
    (dev,) = psutil.Process(shell.pid).children()
    _launch(port, SECOND)
    launched = time.monotonic()
    until(mark.exists)
    assert time.monotonic() - launched < 60, "it waited for the lost run"
    with records(waiting) as instance:
        run = instance.get_run_by_id(lost)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.FAILURE
    assert len(notices(waiting)) == 1

    family = dev.children(recursive=True)
    assert len(family) >= 6
    dev.send_signal(signal.SIGINT)
    _, left = psutil.wait_procs([dev, *family], timeout=SOON)
    for process in left:
        process.kill()
    shown = shell.communicate(timeout=60)[1].decode()
    assert left == []
    assert shell.returncode == 0
    assert statuses(waiting)[SECOND] == "CANCELED"
    assert f"churn_nightly of {SECOND} (run" in shown.splitlines()[-2]
    assert "Stack Trace" not in shown


def _lost_run(home: Home) -> str:
    """A run whose process was killed yesterday."""
    with records(home) as instance:
        run = instance.create_run_for_job(
            defs.resolve_job_def("churn_nightly"),
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": FIRST},
        )
        with run_locks.held(instance, run.run_id):
            (record,) = Path(instance.root_directory, "run_locks").glob("*.json")
            text = record.read_text()
        record.write_text(text)
        return run.run_id


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _launch(port: int, day: str) -> None:
    mutation = "mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) { __typename } }"
    selector = {
        "repositoryName": "__repository__",
        "repositoryLocationName": "tessera",
        "pipelineName": "churn_nightly",
    }
    tags = [{"key": "dagster/partition", "value": day}]
    params = {"selector": selector, "executionMetadata": {"tags": tags}, "runConfigData": {}}
    body = json.dumps({"query": mutation, "variables": {"p": params}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - our own server
        assert json.load(answer)["data"]["launchPipelineExecution"]["__typename"] == "LaunchRunSuccess"
