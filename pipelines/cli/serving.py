"""`tessera dev`: Dagster's UI and daemon for one home, never two of them."""

import os
import signal
import socket
import subprocess
import sys
from types import FrameType

from models.errors import TesseraError
from pipelines.cli.console import err
from pipelines.home import dagster_home
from resources.home import only_one
from resources.stack import ROOT, active_stack


def dev(port: int) -> int:
    """Serves until interrupted. A second server on the same home would take the first one's runs from its queue.

    Raises:
        TesseraError: another one serves this home, or the port is taken.
    """
    stack = active_stack()
    with only_one(stack, "dev", f"`tessera dev` on http://127.0.0.1:{port}"):
        _free(port)
        environment = {**os.environ, "DAGSTER_HOME": str(dagster_home(stack)), "TESSERA_PROFILE": stack.name}
        err.print(f"Profile [bold]{stack.name}[/], home {stack.home}: http://127.0.0.1:{port} (Ctrl-C stops it)")
        command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(command, cwd=ROOT, env=environment) as server:  # noqa: S603 - our own interpreter

            def stop(number: int, _: FrameType | None) -> None:
                server.send_signal(number)

            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            return server.wait()


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
