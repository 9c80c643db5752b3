"""Sessions of processes: none of them outlives its owner."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from resources.stack.loader import ROOT

#: The owner starts a leader with two children: one may ignore SIGTERM, the other executes a run.
OWNER = """
import os, sys
from pathlib import Path
from threading import Event
from pipelines.cli.sessions import session
leader = '''
import signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.IGNORED); time.sleep(600)"
worker = "import multiprocessing.spawn, sys, time; time.sleep(600)"
children = [subprocess.Popen([sys.executable, "-c", code]) for code in (stubborn, worker)]
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
try:
    time.sleep(600)
finally:
    children[0].terminate()
'''
command = [sys.executable, "-c", leader.replace("IGNORED", sys.argv[1])]
with session(command, Path.cwd(), dict(os.environ), quiet=Event()) as process:
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["by itself", "killed", "killed with its group"])
def test_no_process_of_a_session_outlives_its_owner(end: str) -> None:
    command = [sys.executable, "-c", OWNER, "SIG_IGN" if end == "killed" else "SIG_DFL"]
    owner = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    watched = psutil.Process(owner.pid)
    deadline = time.monotonic() + 60
    while len(family := watched.children(recursive=True)) < 4:  # guardian, leader, its two children
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)  # the stubborn one needs a moment to become stubborn
    if end == "killed":
        owner.kill()
    elif end == "killed with its group":
        os.killpg(owner.pid, signal.SIGKILL)
    owner.communicate(timeout=60)
    _, left = psutil.wait_procs(family, timeout=30)
    for process in left:
        process.kill()
    assert left == []
