"""`tessera dev`: Dagster's UI and daemon for one home, never two of them."""

import os
import socket
import subprocess
import sys
from threading import Event as Flag

from models.errors import TesseraError
from pipelines.cli.console import err
from pipelines.cli.run import end_lost
from pipelines.cli.sessions import session
from pipelines.cli.stopping import stopped_by_signals
from pipelines.home import dagster_home, dagster_instance
from pipelines.lost_runs import cancel_launched_runs
from resources.home import only_one
from resources.stack.loader import ROOT, Stack, active_stack

_LOOK_SECONDS = 0.5


def dev(port: int) -> int:
    """Serve until SIGINT or SIGTERM, then end every process that belongs to it. 0 if a signal stopped it.

    Runs under way are canceled then; runs whose process is gone are ended as failed before and after. A second server
    on the same home would take the first one's runs from its queue.

    Raises:
        TesseraError: another one serves this home, the port is taken, or Dagster ended by itself.
    """
    stack = active_stack()
    with stopped_by_signals() as stop, only_one(stack, "dev", f"`tessera dev` on http://127.0.0.1:{port}"):
        _free(port)
        _end_lost(stack)
        environment = {**os.environ, "DAGSTER_HOME": str(dagster_home(stack)), "TESSERA_PROFILE": stack.name}
        err.print(f"Profile {stack.name}, home {stack.home}: http://127.0.0.1:{port} (Ctrl-C stops it)")
        command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
        with session(command, ROOT, environment, quiet=stop) as server:
            code = _served(server, stop)
            if code is None:
                _cancel(stack)
        _end_lost(stack)  # of runs that did not end in time
    if code is not None:
        raise TesseraError(
            f"Dagster ended by itself, with exit code {code}.",
            expected="that it serves until a signal stops it",
            todo="Its last lines above say why; correct that and start `tessera dev` again.",
        )
    err.print("Stopped; none of the processes is left.")
    return 0


def _served(server: "subprocess.Popen[bytes]", stop: Flag) -> int | None:
    """None once the flag is set, or the exit code if the server ended before."""
    while not stop.wait(_LOOK_SECONDS):
        if server.poll() is not None:
            return server.returncode
    return None


def _cancel(stack: Stack) -> None:
    with dagster_instance(stack) as instance:
        for run in cancel_launched_runs(instance):
            err.print(f"Stopping: {run} is canceled; `tessera run` does it again.")


def _end_lost(stack: Stack) -> None:
    with dagster_instance(stack) as instance:
        end_lost(instance, stack, serving=True)


def _free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise TesseraError(
                f"Port {port} on 127.0.0.1 cannot be used: {error.strerror}.",
                expected="a free port",
                todo="Use another one: `tessera dev --port 3001`.",
            ) from None
