"""A command that serves an imported model ends with Tessera, also when that is killed and the command never looks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from models.errors import TesseraError
from resources.legacy_model.line_process import LineProcess

#: Answers once, starts a process of its own, and never reads the end of its input.
COMMAND = """
import os, subprocess, sys, time
own = subprocess.Popen(["sleep", "600"])
sys.stdin.readline()
print(os.getpid(), own.pid, flush=True)
time.sleep(600)
"""
PARENT = """
import sys, time
from resources.legacy_model.line_process import LineProcess
process = LineProcess([sys.executable, "-I", "-S", "-c", sys.argv[1]], network=sys.argv[2], pass_env=(), memory_mb=4000)
print(process.ask("x", 30), end="", flush=True)
time.sleep(600)
"""


def ended(pid: int) -> bool:
    """Wait up to 10 s until there is no such process, or only what nobody has reaped."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("network", ["allowed", "none_if_possible"])
def test_a_command_and_what_it_started_end_with_a_killed_parent(network: str) -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, COMMAND, network], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(one) for one in parent.stdout.readline().split()]
        assert [psutil.pid_exists(one) for one in pids] == [True, True]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert [ended(one) for one in pids] == [True, True]


def test_a_command_that_is_stopped_leaves_no_process_and_one_that_ends_says_so() -> None:
    process = LineProcess([sys.executable, "-I", "-S", "-c", COMMAND], network="allowed", pass_env=(), memory_mb=4000)
    pids = [int(one) for one in process.ask("x", 30).split()]
    children = [one.pid for one in psutil.Process().children(recursive=True)]
    session = [one for one in children if os.getsid(one) == pids[0]]
    assert set(pids) < set(session), "and the process that watches"
    process.stop()
    assert [ended(one) for one in session] == [True] * 3
    short = LineProcess(["/bin/sh", "-c", "exit 3"], network="allowed", pass_env=(), memory_mb=4000)
    with pytest.raises(TesseraError, match="exit code 3"):
        short.ask("x", 30)
    with pytest.raises(TesseraError, match="cannot be started: No such file"):
        LineProcess(["/no/such"], network="allowed", pass_env=(), memory_mb=4000).ask("x", 30)
