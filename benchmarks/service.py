"""CPU of the service per request, over loopback: published scores beside a handler that does nothing.

python -m benchmarks.service [--entities 100000] [--requests 3000]

One server, and one client that keeps its connection; the kinds of requests take turns, so that load meets all of them.
Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import yaml

from benchmarks.report import replace_section
from pipelines.gateway.keys import KeyFile
from resources.conformance import score_sets
from resources.stack.loader import ROOT, load_stack

_ROUNDS = 6
_LIMITS = {"requests_per_second": 1e6, "burst": 1_000_000}


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        key = _home(Path(folder), chosen.entities)
        with _server(Path(folder)) as (process, port):
            found = _measured(process, port, key, chosen.entities, chosen.requests)
    _write(found, chosen.entities, chosen.requests)


def _home(folder: Path, entities: int) -> str:
    """Publish a day of churn and return a key."""
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    document["profiles"]["local"].setdefault("settings", {})["service"] = _LIMITS
    (folder / "stack.yaml").write_text(yaml.safe_dump(document))
    stack = load_stack(folder / "stack.yaml", "local", str(folder / "home"), os.environ)
    stack.open("notifier")
    rows = score_sets.score_rows(np.random.default_rng(1).random(entities).tolist(), contacts=entities // 10)
    sink, attempt = stack.open("sink"), score_sets.digest(rows)[:16]
    sink.write_attempt("churn", score_sets.DAY, attempt, rows.to_reader())
    score_sets.audit_and_publish(sink, score_sets.publication(attempt, rows))
    return KeyFile(folder / "home").create("benchmark", "viewer")


@contextmanager
def _server(folder: Path) -> Iterator[tuple[psutil.Process, int]]:
    told = {"TESSERA_STACK": str(folder / "stack.yaml"), "TESSERA_HOME": str(folder / "home")}
    command = [str(Path(sys.executable).parent / "tessera"), "serve", "--port", "0"]
    with subprocess.Popen(command, env={**os.environ, **told}, cwd=ROOT, stderr=subprocess.DEVNULL) as served:
        try:
            yield psutil.Process(served.pid), _port(folder / "home" / "locks" / "serve.holder")
        finally:
            served.terminate()


def _port(holder: Path) -> int:
    for _ in range(1200):
        if holder.exists() and "http" in (text := holder.read_text()):
            return int(text.split("http://")[1].split(",")[0].rpartition(":")[2])
        time.sleep(0.1)
    raise SystemExit("the server does not serve")


def _measured(server: psutil.Process, port: int, key: str, entities: int, requests: int) -> dict[str, list[float]]:
    """Return ms of the server's CPU per request, one value for each round and kind."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    draws = np.random.default_rng(2)
    found: dict[str, list[float]] = {"empty handler, no key": [], "published score": []}
    for round_number in range(_ROUNDS + 1):  # the first warms up
        for kind, values in found.items():
            paths = ["/v2/health/live"] * requests
            if kind == "published score":
                paths = [f"/v1/churn/scores/c{id:06d}" for id in draws.integers(0, entities, requests)]
            before = sum(server.cpu_times()[:2])
            for path in paths:
                _ask(client, path, key)
            if round_number:
                values.append((sum(server.cpu_times()[:2]) - before) / requests * 1000)
    return found


def _ask(client: http.client.HTTPConnection, path: str, key: str) -> None:
    client.request("GET", path, headers={"X-API-Key": key})
    answer = client.getresponse()
    answer.read()
    assert answer.status == 200, (path, answer.status)


def _write(found: dict[str, list[float]], entities: int, requests: int) -> None:
    lines = ["## Requests to the service", ""]
    about = (
        f"{entities:,} published scores of churn; {_ROUNDS} rounds of {requests:,} requests of each kind, one client."
    )
    heading = "| request | CPU ms of the server, median of rounds (least to most) | requests per CPU second |"
    lines += [about, "", heading, "|---|---|---|"]
    for kind, values in found.items():
        middle = statistics.median(values)
        lines.append(f"| {kind} | {middle:.3f} ({min(values):.3f} to {max(values):.3f}) | {1000 / middle:,.0f} |")
    replace_section("service", "\n".join(lines), libraries=["fastapi", "uvicorn", "starlette"])
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
