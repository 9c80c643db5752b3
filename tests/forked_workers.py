"""Workers of pytest-xdist as forks of one process that imported everything: each would import for ten CPU seconds.

execnet starts a worker as `python -c "<read a line and execute it>"` at the ends of two pipes; here a fork of the
server of tests/fork_server.py reads that line.
"""

import atexit
import json
import os
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from execnet import gateway_io
from execnet.gateway_base import Popen2IO

from tests.fork_server import MODULES, PROCESSES, address, use_server_at

#: Names the variable with the files and folders of tests, as JSON, for tests/preloaded_tests.py.
PLACES = "TESSERA_TEST_PLACES"


def fork_workers(asked_for: Sequence[str]) -> None:
    """Let xdist fork the workers that it starts on this machine from now on, for the tests at these paths or ids."""
    os.environ[PLACES] = json.dumps([place.partition("::")[0] for place in asked_for])
    PROCESSES.set_forkserver_preload([*MODULES, "tests.preloaded_tests"])
    started_otherwise = gateway_io.create_io

    def create_io(spec: Any, execmodel: Any) -> Any:
        return _ForkedIO(execmodel) if spec.popen and not spec.python else started_otherwise(spec, execmodel)

    gateway_io.create_io = create_io


class _ForkedIO(Popen2IO):
    """The ends of a worker's pipes, and its process, as execnet asks for them."""

    def __init__(self, execmodel: Any) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        ends = (Connection(theirs_in, writable=False), Connection(theirs_out, readable=False))
        self._process = PROCESSES.Process(target=_serve, args=(*ends, address()))
        self._process.start()
        for end in ends:
            end.close()
        super().__init__(os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb"), execmodel=execmodel)

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


def _serve(lines: Connection, answers: Connection, server: str) -> None:
    """Be a worker until its pipes are closed."""
    use_server_at(server)
    for end, number in ((lines, 0), (answers, 1)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open as long as the process
    try:
        exec(eval(sys.stdin.readline()), {"__name__": "__main__"})  # noqa: S102, S307 - execnet's own first line
    finally:
        atexit._run_exitfuncs()  # a fork of multiprocessing leaves them out
