"""Processes for tests: each is a fork of one server that imported everything once, and did nothing else.

A process of its own would import for five CPU seconds before it does anything.
"""

import multiprocessing
from multiprocessing import forkserver
from typing import Any, cast

#: One list for all tests: the first process that is asked for starts the server.
PROCESSES = multiprocessing.get_context("forkserver")
MODULES = ["tests.preloaded"]
PROCESSES.set_forkserver_preload(MODULES)

_SERVER = cast(Any, forkserver)._forkserver


def address() -> str:
    """Return where the server is reached, started if it does not run yet."""
    _SERVER.ensure_running()
    return _SERVER._forkserver_address


def use_server_at(place: str) -> None:
    """Let this process, which the server there forked, ask it for its own processes too, and start no other server."""
    _SERVER._forkserver_address = place
    _SERVER.ensure_running = lambda: None
