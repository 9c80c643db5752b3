"""An S3-compatible server for tests: moto on 127.0.0.1, in a process that dies with the test process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException

import pytest

from tests.servers.ports import free_port

_START_SECONDS = 60
#: moto looks through the folders of its 170 services for each request, unless it remembers whose host it was.
_PROGRAM = """
import sys
from functools import cache
from moto.server import DomainDispatcherApplication, main
DomainDispatcherApplication.get_backend_for_host = cache(DomainDispatcherApplication.get_backend_for_host)
main(['-H', '127.0.0.1', '-p', sys.argv[1]])
"""


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an empty server."""
    if importlib.util.find_spec("moto") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("moto is missing in CI")
        pytest.skip("moto is not installed: `make setup-test`")
    port = free_port()
    # `setpriv --pdeathsig` (util-linux): the kernel ends the server when the test process is killed.
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-c", _PROGRAM, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(server, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(30)


def bucket(address: str, name: str) -> dict[str, str]:
    """Make a bucket; the options with which deltalake reaches it."""
    assert _answer(int(address.rpartition(":")[2]), "PUT", f"/{name}") == 200
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "aws_conditional_put": "etag",
    }


def _answer(port: int, method: str, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError(f"the S3 server ended with code {server.returncode}")
        try:
            _answer(port, "GET", "/moto-api/")
        except (HTTPException, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the S3 server does not answer")
