"""A real Redis for tests: one server per test process, empty for every test that asks for `fresh_redis`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.servers.ports import free_port

_START_SECONDS = 60


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Redis on 127.0.0.1 that lives as long as this test process."""
    with serving(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def redis_url(redis_port: int) -> str:
    """What Feast calls the `connection_string` of that Redis."""
    return f"127.0.0.1:{redis_port}"


@pytest.fixture
def fresh_redis(redis_url: str, redis_port: int) -> str:
    """The `connection_string` of that Redis, with nothing in it, no script either."""
    from redis import Redis

    with Redis(port=redis_port) as client:
        client.flushall()
        client.script_flush()
    return redis_url


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[int]:
    """A Redis in `folder`, kept in memory only; gives its port. It dies with this process, however that ends."""
    binary = _binary()
    port = free_port()
    settings = f"--bind 127.0.0.1 --port {port} --dir {folder} --logfile {folder}/log --appendonly no".split()
    # `setpriv --pdeathsig` (util-linux): the kernel ends the server when the test process is killed.
    command = ["setpriv", "--pdeathsig", "KILL", binary, *settings, "--save", "", *options]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_until_ready(server, port, folder / "log")
        yield port
    finally:
        server.kill()
        server.wait()


def _binary() -> str:
    binary = shutil.which("redis-server")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is missing in CI")
        pytest.skip("redis-server is not installed (Debian package redis-server)")
    return binary


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    from redis import ConnectionError as NoConnection
    from redis import Redis

    until = monotonic() + _START_SECONDS
    while monotonic() < until and server.poll() is None:
        with Redis(port=port) as client:
            try:
                # Not a server of somebody else that took the port in between.
                info: Any = client.info("server")
                if info["process_id"] == server.pid:
                    return
            except NoConnection:
                sleep(0.02)
    raise RuntimeError(f"redis-server did not start:\n{log.read_text() if log.exists() else 'no log'}")
