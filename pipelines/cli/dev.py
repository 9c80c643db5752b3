"""`tessera dev`: Dagster's UI and daemon for one home, never two of them."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from threading import Event as Flag

from models.errors import TesseraError
from pipelines.cli.console import err
from pipelines.cli.listening import listened_on
from pipelines.cli.run import end_lost
from pipelines.cli.sessions import session
from pipelines.cli.stopping import stopped_by_signals
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import server_name
from pipelines.home import dagster_home, dagster_instance
from pipelines.lost_runs import cancel_launched_runs
from resources.home import only_one
from resources.stack.loader import ROOT, Stack, active_stack

_LOOK_SECONDS = 0.5


def dev(port: int, host: str = "127.0.0.1", allow_hosts: Sequence[str] = ()) -> int:
    """Serve until SIGINT or SIGTERM, then end every process that belongs to it. 0 if a signal stopped it.

    Runs under way are canceled then; runs whose process is gone are ended as failed before and after. A second server
    on the same home would take the first one's runs from its queue.

    Args:
        port: of the UI.
        host: address to listen on; one beyond loopback needs a key of the home.
        allow_hosts: further names that the UI is opened by, as a proxy passes them on.

    Raises:
        TesseraError: another one serves this home, the port is taken, the host may not be listened on, or Dagster
            ended by itself.
    """
    stack = active_stack()
    host, _ = listened_on(host, KeyFile(stack.home), has_tokens=stack.settings.service.oidc is not None)
    names = [server_name(name) for name in allow_hosts]
    address = f"http://{server_name(host)}:{port}"
    with stopped_by_signals() as stop, only_one(stack, "dev", f"`tessera dev` on {address}"):
        _free(host, port)
        _end_lost(stack)
        environment = {**os.environ, "DAGSTER_HOME": str(dagster_home(stack)), "TESSERA_PROFILE": stack.name}
        err.print(f"Profile {stack.name}, home {stack.home}: {address} (Ctrl-C stops it)")
        command = [sys.executable, "-m", "pipelines.cli.dev_server", "--host", host, "--port", str(port)]
        command += [part for name in (server_name(host), *names) for part in ("--allow-host", name)]
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


def _free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TesseraError(
                f"Port {port} on {host} cannot be used: {error.strerror}.",
                expected="a free port on an address of this machine",
                todo="Use another one: `tessera dev --port 3001`.",
            ) from None
