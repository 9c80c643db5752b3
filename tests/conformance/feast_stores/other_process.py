"""A second process on the same stores, in New York: what it answers must not depend on where it is, nor on when."""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conformance.feast_stores.rows import values
from tests.conformance.feast_stores.stores import Repo, Servers, quiet
from tests.fork_server import PROCESSES
from tests.servers.postgres_server import PostgresDatabase

_TIME_ZONE = "America/New_York"


class OtherProcess:
    """Started once; answers requests about any repository."""

    def __init__(self, requests: Connection) -> None:
        self._requests = requests

    def ask(self, what: str, repo: Repo, view: str, rows: pa.Table) -> None:
        """Starts `historical` (with entity rows) or `push` (of feature rows); `answer` waits for it."""
        file = repo.folder / "request.parquet"
        pq.write_table(rows, file)
        where = {"folder": str(repo.folder), "servers": asdict(repo.servers), "project": repo.project}
        stores = {"offline": repo.offline, "online": repo.online_name}
        self._requests.send({"what": what, **where, **stores, "view": view, "rows": str(file)})

    def answer(self) -> Any:
        """What the request that was asked first gave."""
        return self._requests.recv()


@contextmanager
def started() -> Iterator[OtherProcess]:
    """The process, which ends with the block."""
    ours, theirs = cast(tuple[Connection, Connection], PROCESSES.Pipe())
    process = PROCESSES.Process(target=_serve, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield OtherProcess(ours)
    finally:
        process.kill()
        process.join()


def _answer(request: dict[str, Any], repos: dict[str, Repo]) -> Any:
    key = request["folder"]
    if key not in repos:
        servers = Servers(request["servers"]["redis"], PostgresDatabase(**request["servers"]["postgres"]))
        repos[key] = Repo(Path(key), servers, request["offline"], request["online"], project=request["project"])
    repo, rows = repos[key], pq.read_table(request["rows"])
    repo.feast.refresh_registry()
    view = repo.feast.get_feature_view(request["view"])
    if request["what"] == "push":
        return repo.push(view, rows)
    with quiet():
        return values(repo.historical(rows, view, filter_by_created_timestamp=True).to_arrow())


def _serve(requests: Connection) -> None:
    """Answers until the other end is closed."""
    os.environ["TZ"] = _TIME_ZONE
    time.tzset()
    assert time.tzname == ("EST", "EDT")
    warnings.simplefilter("ignore")
    repos: dict[str, Repo] = {}
    while True:
        try:
            request = requests.recv()
        except EOFError:
            return
        requests.send(_answer(request, repos))
