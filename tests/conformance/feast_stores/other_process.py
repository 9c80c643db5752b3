"""A second process on the same stores, in New York: what it answers must not depend on where it is, nor on when.

`python -m tests.conformance.feast_stores.other_process` reads one JSON request per line and answers each with one line.
"""

# Feast is only partly typed.
# pyright: basic

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conformance.feast_stores.rows import values
from tests.conformance.feast_stores.stores import Repo, Servers, quiet
from tests.servers.postgres_server import PostgresDatabase

_ROOT = Path(__file__).resolve().parents[3]


class OtherProcess:
    """Started once; answers requests about any repository."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, what: str, repo: Repo, view: str, rows: pa.Table) -> None:
        """Starts `historical` (with entity rows) or `push` (of feature rows); `answer` waits for it."""
        file = repo.folder / "request.parquet"
        pq.write_table(rows, file)
        where = {"folder": str(repo.folder), "servers": asdict(repo.servers), "project": repo.project}
        stores = {"offline": repo.offline, "online": repo.online_name}
        request = {"what": what, **where, **stores, "view": view, "rows": str(file)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What the request that was asked first gave."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the other process has died"
        return json.loads(line)


@contextmanager
def started() -> Iterator[OtherProcess]:
    """The process, which ends with the block."""
    command = [sys.executable, "-m", "tests.conformance.feast_stores.other_process"]
    environment = {**os.environ, "TZ": "America/New_York"}
    process = subprocess.Popen(
        command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield OtherProcess(process)
        finally:
            process.kill()


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


def main() -> None:
    """Answers until the input ends."""
    warnings.simplefilter("ignore")
    repos: dict[str, Repo] = {}
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line), repos)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
