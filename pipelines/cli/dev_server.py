"""Process behind `tessera dev`: Dagster's webserver behind the gateway; it starts the code server and the daemon.

`dagster dev` starts the webserver as a process of its own, in front of which nothing can be put: it has no login and
takes any `Host`. The parts are the same, and so are their settings. Started as
`python -m pipelines.cli.dev_server --port 3000 [--host ADDRESS] [--allow-host NAME]`, with DAGSTER_HOME set.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.workspace.context import (  # noqa: TID251 - what the webserver is made of has no public name
    IWorkspaceProcessContext,
    WorkspaceProcessContext,
)
from dagster._core.workspace.load_target import WorkspaceFileTarget  # noqa: TID251
from dagster._utils.log import configure_loggers

from pipelines.gateway.access import AccessRules, Gateway
from pipelines.gateway.credentials import Credentials
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.limits import Limits
from pipelines.gateway.login import LOGIN, LOGOUT, LoginPages, login_instead
from pipelines.gateway.logins import Logins
from pipelines.gateway.request import PAGE_HEADERS
from pipelines.gateway.same_origin import LOOPBACK_NAMES, App, SameOrigin
from pipelines.gateway.sessions import Sessions
from pipelines.gateway.tokens import open_tokens
from resources.log_lines import configure_logs
from resources.stack.loader import ROOT, Stack, active_stack

if TYPE_CHECKING:
    import uvicorn

#: As `dagster dev` sets them: limits of the webserver's database client.
_DATABASE_LIMITS = (15_000, 3600, 20)
#: Paths where Dagster's webserver executes what a GET says.
_POST_ONLY = ("/graphql",)
#: One holder's, over many tabs: a page loads some 100 files and polls.
_PER_SECOND, _BURST, _IN_FLIGHT = 200, 2000, 200
_BODY_BYTES, _SECONDS = 10_000_000, 120
_LEAST_LOOK_SECONDS = 0.05
#: Of one address.
_LOGINS_PER_SECOND, _LOGINS_AT_ONCE = 1 / 6, 10
_GRACE_SECONDS = 3
_LOOK_SECONDS = 0.5


def guarded(context: IWorkspaceProcessContext[Any], stack: Stack, names: Sequence[str], *, is_open: bool) -> App:
    """Return Dagster's webserver as an ASGI application behind the gateway.

    Args:
        context: of Dagster.
        stack: whose home has the keys.
        names: of the server, as `Host` gives them.
        is_open: no key is needed while none was ever made: only for a server that listens on loopback.
    """
    from pipelines.gateway.dagster_webserver import webserver_by_role

    settings = stack.settings.service
    keys = KeyFile(stack.home, look_seconds=settings.look_seconds)
    tokens = open_tokens(settings.oidc, ROOT)
    logins = Logins(keys, Sessions(stack.home, seconds=settings.session_hours * 3600), tokens)
    app = LoginPages(webserver_by_role(context), logins, Limits(_LOGINS_PER_SECOND, _LOGINS_AT_ONCE, 1))
    look_seconds = max(settings.look_seconds, _LEAST_LOOK_SECONDS)
    rules = AccessRules((LOGIN, LOGOUT), _BODY_BYTES, _SECONDS, PAGE_HEADERS, login_instead, look_seconds)
    credentials = Credentials(keys, logins, tokens, is_open=is_open)
    limits = Limits(_PER_SECOND, _BURST, _IN_FLIGHT)
    return Gateway(app, credentials, limits, rules, SameOrigin(app, names, post_only=_POST_ONLY), lambda _: None)


def serve(host: str, port: int, names: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM: 0. The daemon's exit code, or 1, if it ended by itself."""
    import uvicorn
    from dagster_webserver.version import __version__
    from uvicorn.config import LOGGING_CONFIG

    os.environ["DAGSTER_IS_DEV_CLI"] = "1"
    configure_loggers(formatter="colored", log_level="INFO")
    if not configure_logs(active_stack().settings.logs):
        logging.basicConfig(format="%(asctime)s - %(name)s - %(message)s")
    logging.getLogger("tessera.gateway").setLevel(logging.INFO)  # who changes what
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        workspace = stack.enter_context(_code_server(instance))
        daemon = stack.enter_context(_daemon(workspace))
        instance.optimize_for_webserver(*_DATABASE_LIMITS)
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                version=__version__,
                workspace_load_target=WorkspaceFileTarget([str(workspace)]),
                code_server_log_level="warning",
            )
        )
        settings = uvicorn.Config(
            guarded(context, active_stack(), names, is_open=ip_address(host).is_loopback),
            host=host,
            port=port,
            log_level="warning",
            log_config=None if active_stack().settings.logs.format == "json" else LOGGING_CONFIG,
            lifespan="off",
            ws_max_size=_BODY_BYTES,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(settings)
        threading.Thread(target=_end_with, args=(daemon, server), daemon=True).start()
        server.run()
    return daemon.returncode or 1


def _end_with(daemon: subprocess.Popen[bytes], server: uvicorn.Server) -> None:
    """Stop the webserver when the daemon has ended: without it, nothing that the UI launches would start."""
    daemon.wait()
    server.should_exit = True


@contextmanager
def _code_server(instance: dg.DagsterInstance) -> Iterator[Path]:
    """Start the code server of the project's workspace; yield a workspace that names its address."""
    target = WorkspaceFileTarget([str(ROOT / "workspace.yaml")])
    with ProxyServerManager(instance, target, "warning") as manager, tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace.yaml"
        workspace.write_text(yaml.safe_dump({"load_from": list(manager.get_code_server_specs())}))
        yield workspace


@contextmanager
def _daemon(workspace: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run Dagster's daemon until the block ends."""
    command = [sys.executable, "-m", "dagster._daemon", "run", "--workspace", str(workspace)]
    command += ["--log-format", "json"] if active_stack().settings.logs.format == "json" else []
    with subprocess.Popen(command, cwd=ROOT) as daemon:  # noqa: S603
        try:
            yield daemon
        finally:
            daemon.terminate()
            daemon.wait()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # once: what follows is the orderly end
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments of the module and serve."""
    parser = argparse.ArgumentParser(prog="pipelines.cli.dev_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--allow-host", action="append", default=[])
    given = parser.parse_args(arguments)
    # A handler, unlike SIG_IGN, is not inherited by what is started here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return serve(given.host, given.port, (*LOOPBACK_NAMES, *given.allow_host))
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
