"""`tessera serve`: the HTTP service of the profile, until a signal stops it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from models.errors import TesseraError
from pipelines.cli.console import say
from pipelines.cli.listening import listened_on
from pipelines.cli.stopping import StopFlag, stopped_by_signals
from pipelines.garbage import kept_once_opened
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import LOOPBACK_NAMES, server_name
from resources.home import only_one
from resources.layout import check_existing
from resources.log_lines import configure_logs
from resources.stack.loader import Stack, active_stack
from resources.traces.port import recorded

if TYPE_CHECKING:
    import uvicorn

_GRACE_SECONDS = 20
_LOOK_SECONDS = 0.2


def serve(host: str, port: int, allow_hosts: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM; requests that were begun are answered first.

    Raises:
        TesseraError: the host may not be listened on, the port is taken, or another one serves this home.
    """
    stack = active_stack()
    check_existing(stack.home)
    address, is_loopback = listened_on(host, KeyFile(stack.home), has_tokens=stack.settings.service.oidc is not None)
    names = (*LOOPBACK_NAMES, server_name(address), *(server_name(name) for name in allow_hosts))
    with stopped_by_signals() as stop, _socket(address, port) as listening:
        place = f"http://{server_name(address)}:{listening.getsockname()[1]}"
        with (
            only_one(stack, "serve", f"`tessera serve` on {place}"),
            recorded(stack.home, stack.settings.traces),
            kept_once_opened() as opened,
        ):
            configure_logs(stack.settings.logs)
            server = _server(stack, is_loopback, names, opened)
            say(f"Profile {stack.name}, home {stack.home}: {place} (Ctrl-C stops it)")
            _until_stopped(server, listening, stop)
    say("Stopped.")


def _server(stack: Stack, is_open: bool, names: Sequence[str], opened: Callable[[], None]) -> uvicorn.Server:
    import uvicorn
    from uvicorn.config import LOGGING_CONFIG

    from pipelines.service.build import build_service

    settings = uvicorn.Config(
        build_service(stack, is_open=is_open, names=names, opened=opened),
        log_level="warning",
        log_config=None if stack.settings.logs.format == "json" else LOGGING_CONFIG,
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return uvicorn.Server(settings)


def _until_stopped(server: uvicorn.Server, listening: socket.socket, stop: StopFlag) -> None:
    """Serve in a thread, where uvicorn leaves signals alone: it would raise them again at the end.

    Raises:
        TesseraError: the server ended by itself.
    """
    serving = threading.Thread(target=server.run, args=([listening],), name="tessera-serve")
    serving.start()
    while not stop.wait(_LOOK_SECONDS) and serving.is_alive():
        pass
    server.should_exit = True
    serving.join()
    if stop.signal is None:
        raise TesseraError(
            "The server ended by itself.",
            expected="that it serves until a signal stops it",
            todo="Its last lines above say why; correct that and start `tessera serve` again.",
        )


def _socket(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise TesseraError(
            f"Port {port} on {host} cannot be used: {error.strerror}.",
            expected="a free port on an address of this machine",
            todo=f"Use another one: `tessera serve --port {port + 1}`.",
        ) from None
    made.listen(128)
    return made
