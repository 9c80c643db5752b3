"""A session of processes that ends with its owner, however the owner ends.

`python -m pipelines.cli.sessions ID` is the guardian: it waits until its standard input is closed, at the latest by the
kernel when the owner is killed, and then stops the session.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import IO

import psutil

#: Time that processes have to end by themselves before they are killed, in seconds.
GRACE_SECONDS = 8.0
_LOOK_SECONDS = 0.1
#: In the command line of a process that executes one run of Dagster.
_RUN_WORKER = "multiprocessing.spawn"


@contextmanager
def session(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], *, quiet: Flag
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start `command` as the leader of a new session; none of its processes outlives the block or this process.

    What they write is shown on standard error until `quiet` is set: how they were interrupted is no news then.
    """
    # A handler, unlike SIG_IGN, is not inherited: the leader can be stopped also if this process was started to ignore.
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as leader:
        shown = Thread(target=_show, args=(leader.stdout, quiet), daemon=True)
        shown.start()
        guard = [sys.executable, "-m", "pipelines.cli.sessions", str(leader.pid)]
        with subprocess.Popen(guard, cwd=folder, stdin=subprocess.PIPE, start_new_session=True):  # noqa: S603
            try:
                yield leader
            finally:
                stop_session(leader.pid)
                leader.wait()
                shown.join()


def _show(stream: IO[bytes], quiet: Flag) -> None:
    """Pass on what is written to `stream` until `quiet` is set; read on, so that no writer has to wait."""
    for line in stream:
        if not quiet.is_set():
            sys.stderr.write(line.decode(errors="replace"))
            sys.stderr.flush()


def stop_session(identity: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """End every process of the session: its leader and the run workers are asked to, all that are left are killed.

    The leader stops its other processes itself, in order; a run worker marks its run as failed first.
    """
    deadline = time.monotonic() + grace_seconds
    asked: set[int] = set()
    while (members := _members(identity)) and time.monotonic() < deadline:
        for process in members:
            if process.pid not in asked and (process.pid == identity or _executes_a_run(process)):
                asked.add(process.pid)
                _send(process, signal.SIGTERM)
        time.sleep(_LOOK_SECONDS)
    while members := _members(identity):
        for process in members:
            _send(process, signal.SIGKILL)
        time.sleep(_LOOK_SECONDS)


def _members(identity: int) -> list[psutil.Process]:
    """Process of the session that are alive; one that ended and was not waited for is not."""
    return [process for process in psutil.process_iter() if _is_member(process, identity)]


def _is_member(process: psutil.Process, identity: int) -> bool:
    try:
        return os.getsid(process.pid) == identity and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False


def _executes_a_run(process: psutil.Process) -> bool:
    try:
        return any(_RUN_WORKER in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)


if __name__ == "__main__":
    for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(_number, signal.SIG_IGN)  # it ends with its owner
    sys.stdin.buffer.read()
    stop_session(int(sys.argv[1]))
