"""Requests to the service while the champion changes, the online store's database is cut off, and the server is killed.

python -m benchmarks.service_load [--requests 10000]

A home of the simulated shop with churn's champion and one earlier version; online features in PostgreSQL, reached over
a forwarder that can cut it off. Every answer is compared with the scores of the version that it names. Writes its
section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.cut_database import CutDatabase
from benchmarks.report import replace_section
from models.scoring.output import shortest
from pipelines.gateway.keys import KeyFile
from resources.stack.loader import ROOT, load_stack
from resources.stack.ports import Ports
from tests.servers.ports import free_port
from tests.servers.postgres_server import serving

_CLIENTS = 8
#: Seconds that the database is cut off, and that a client goes on asking a server that is not there.
_CUT_SECONDS, _PATIENCE_SECONDS = 3.0, 120.0
_PHASES = ("quiet", "another champion", "the database is cut off", "the server is killed")
_SETTINGS = {"requests_per_second": 1e6, "burst": 1_000_000, "in_flight": 64, "champion_seconds": 1}
TESSERA = str(Path(sys.executable).parent / "tessera")


@dataclass
class World:
    """The home, its server, and what right answers are.

    Attributes:
        folder: of the home and its stack.yaml.
        key: that requests bring.
        port: of the server.
        published: customer -> published score.
        scores: version -> customer -> score now.
        server: the process that serves.
    """

    folder: Path
    key: str
    port: int
    published: dict[str, float] = field(default_factory=dict[str, float])
    scores: dict[str, dict[str, float]] = field(default_factory=dict[str, "dict[str, float]"])
    server: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment of commands on the home."""
        return {
            **os.environ,
            "TESSERA_STACK": str(self.folder / "stack.yaml"),
            "TESSERA_HOME": str(self.folder / "home"),
        }

    def run(self, *arguments: str) -> None:
        """Run a command on the home."""
        subprocess.run([TESSERA, *arguments], env=self.environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def serve(self) -> None:
        """Start the server."""
        command = [TESSERA, "serve", "--port", str(self.port)]
        with (self.folder / "serve.log").open("ab") as log:
            self.server = subprocess.Popen(command, env=self.environment, cwd=ROOT, stderr=log)

    def client(self) -> httpx.Client:
        """Return a client of the server."""
        address = f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=address, headers={"X-API-Key": self.key}, timeout=60)


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tessera-load-"))
    try:
        with serving() as database, CutDatabase(database.port) as cut:
            world = _made(folder, {**database.online_store, "port": cut.port, "type": "postgres"})
            with _served(world):
                _learn_right_answers(world)
                found = _asked(world, cut, chosen.requests)
    finally:
        shutil.rmtree(folder)
    body = _section(found, chosen.requests)
    print(body)
    if not chosen.dry:
        replace_section("service-load", body, libraries=["fastapi", "uvicorn", "psycopg", "mlflow"])


def _made(folder: Path, online_store: Mapping[str, Any]) -> World:
    """Publish a night of churn, train twice, and bring the features online."""
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    local = document["profiles"]["local"]
    local["ports"]["feature_store"]["online_store"] = dict(online_store)
    local.setdefault("settings", {})["service"] = _SETTINGS
    local["apps"] = ["churn"]
    (folder / "stack.yaml").write_text(yaml.safe_dump(document))
    world = World(folder, "", free_port())
    world.run("run", "churn_nightly")
    world.run("run", "churn_online")
    world.key = KeyFile(folder / "home").create("load", "viewer")
    return world


@contextmanager
def _served(world: World) -> Iterator[None]:
    world.serve()
    try:
        yield
    finally:
        if world.server is not None:
            world.server.terminate()
            world.server.wait(60)


def _learn_right_answers(world: World) -> None:
    """Read published scores from the sink, and ask each version that may answer for its scores."""
    ports = Ports(load_stack(world.folder / "stack.yaml", "local", str(world.folder / "home"), os.environ))
    day = ports.sink.published_days("churn")[-1]
    rows = ports.sink.scores("churn", day)[1].read_all().select(["customer_id", "score"]).to_pylist()
    world.published = {row["customer_id"]: shortest(row["score"]) for row in rows}
    passed = [one.version for one in ports.registry.versions("churn") if one.tags.get("gate", "").startswith("passed")]
    ids = [*world.published]
    with world.client() as client:
        for version in passed:
            world.scores[version] = {}
            for start in range(0, len(ids), 1000):
                body = {"ids": ids[start : start + 1000]}
                answer = _patiently(lambda: client.post(f"/v1/churn/score?version={version}", json=body))  # noqa: B023
                found = answer.raise_for_status().json()["rows"]
                world.scores[version] |= {row["id"]: row["score"] for row in found if row["score"] is not None}


def _patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask until a server is there and has opened what the request needs."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            answer = ask()
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code != 504:
            return answer
        if time.monotonic() > until:
            raise SystemExit("the server does not answer")
        time.sleep(0.1)


def _asked(world: World, cut: CutDatabase, requests: int) -> Counter[tuple[str, str]]:
    """Return outcomes by phase; faults begin when a quarter, half and three quarters of the requests are asked."""
    counts, number, lock = Counter[tuple[str, str]](), iter(range(requests)), threading.Lock()
    other = _other_version(world)
    faults = [
        lambda: None,
        lambda: world.run("promote", "churn", "--version", other, "--why", "a load test"),
        lambda: _without_database(cut),
        lambda: _killed(world),
    ]
    threads: list[threading.Thread] = []

    def ask(seed: int) -> None:
        draws = random.Random(seed)  # noqa: S311 - load, not secrets
        with world.client() as client:
            while True:
                with lock:
                    place = next(number, None)
                    if place is None:
                        return
                    phase = min(3, place * 4 // requests)
                    if phase == len(threads):
                        threads.append(threading.Thread(target=faults[phase]))
                        threads[-1].start()
                outcome = _outcome(world, client, draws)
                with lock:
                    counts[_PHASES[phase], outcome] += 1

    with ThreadPoolExecutor(_CLIENTS) as pool:
        for one in [pool.submit(ask, seed) for seed in range(_CLIENTS)]:
            one.result()
    for thread in threads:
        thread.join()
    return counts


def _other_version(world: World) -> str:
    """Return a version that is not champion."""
    with world.client() as client:
        champion = client.post("/v1/churn/score", json={"ids": ["unknown"]}).json()["model_version"]
    return next(version for version in world.scores if version != champion)


def _without_database(cut: CutDatabase) -> None:
    with cut.off():
        time.sleep(_CUT_SECONDS)


def _killed(world: World) -> None:
    assert world.server is not None
    world.server.kill()
    world.server.wait()
    world.serve()


def _outcome(world: World, client: httpx.Client, draws: random.Random) -> str:
    """Ask one request, again while no server is there, and return what came of it."""
    ids = draws.sample([*world.published], draws.randint(1, 3))
    is_read = draws.random() < 0.4
    until, again = time.monotonic() + _PATIENCE_SECONDS, ""
    while time.monotonic() < until:
        try:
            if is_read:
                answer = client.get(f"/v1/churn/scores/{ids[0]}")
            else:
                answer = client.post("/v1/churn/score", json={"ids": ids})
        except httpx.TransportError:
            again = ", asked again"
            time.sleep(0.2)
            continue
        if answer.status_code != 200:
            return _refusal(answer) + again
        right = _is_right_read(world, ids[0], answer) if is_read else _is_right_score(world, ids, answer)
        by = "published" if is_read else f"scored now by version {answer.json()['model_version']}"
        return f"{'right' if right else 'wrong'}, {by}{again}"
    return "lost"


def _refusal(answer: httpx.Response) -> str:
    is_problem = answer.headers["content-type"] == "application/problem+json"
    has_reason = is_problem and all(answer.json().get(part) for part in ("detail", "expected", "todo"))
    return f"refused ({answer.status_code})" if has_reason else f"refused without a reason ({answer.status_code})"


def _is_right_read(world: World, id: str, answer: httpx.Response) -> bool:
    (row,) = answer.json()["rows"]
    return row["score"] == world.published[id]


def _is_right_score(world: World, ids: list[str], answer: httpx.Response) -> bool:
    body = answer.json()
    return [row["id"] for row in body["rows"]] == ids and all(
        row["score"] == world.scores[row["model_version"] or body["model_version"]].get(row["id"])
        for row in body["rows"]
    )


def _section(found: Counter[tuple[str, str]], requests: int) -> str:
    lines = [
        "## Requests while parts fail",
        "",
        f"{requests:,} requests of {_CLIENTS} clients, 40 % for published scores, 60 % for scores now; each answer is "
        "compared with the scores of the version that it names. A client whose connection breaks asks again.",
        "",
        "| from this fault on | outcome | requests |",
        "|---|---|---|",
    ]
    rows = sorted(found.items(), key=lambda row: (_PHASES.index(row[0][0]), row[0][1]))
    lines += [f"| {phase} | {outcome} | {count:,} |" for (phase, outcome), count in rows]
    wrong = sum(
        count for (_, outcome), count in found.items() if outcome.startswith(("wrong", "lost", "refused without"))
    )
    return "\n".join([*lines, "", f"Wrong, lost or refused without a reason: {wrong:,} (bar: 0)."])


if __name__ == "__main__":
    main()
