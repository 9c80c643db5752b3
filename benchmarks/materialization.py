"""Bringing features online: our engine and stores, and Feast's own, into SQLite, Redis and Postgres.

Each path runs in its own process, in turn, into an empty store of its own; CPU seconds and wall time are those of
`materialize` alone, imports and registration left out; the peak is that of the whole process, imports included. What
Feast's own client then reads of 1,000 entities is compared value by value, times and statuses too.

- ours: `AsofOfflineStore`, `BulkEngine` and our online store.
- feast: its DuckDB offline store, local engine and online store, in its best setting (`pull_latest_features: true`,
  `online_write_batch_size: 10000`).
- feast, default settings: all rows of the window, written at once.
"""

# Feast is only partly typed.
# pyright: basic

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import replace_section

VIEWS = ("buying", "browsing", "paying")
FLOATS, INTEGERS = range(6), range(6, 9)
MONTHS = 12
SAMPLE = 1_000
RATES = {"sqlite": 1.8, "redis": 2.5, "postgres": 1.8}
MEMORY = 0.7
#: Feast takes minutes for 100,000 on Postgres.
ENTITIES = {"sqlite": 100_000, "redis": 100_000, "postgres": 20_000}
_OURS = "resources.feature_store.online.{0}.Monotonic{1}OnlineStore"
_BEST = {"pull_latest_features": True, "online_write_batch_size": 10_000}
PATHS: dict[str, dict[str, Any]] = {
    "ours": {
        "offline_store": {"type": "resources.feature_store.offline.store.AsofOfflineStore"},
        "batch_engine": {"type": "resources.feature_store.feast.compute_engine.BulkEngine"},
    },
    "feast": {"offline_store": {"type": "duckdb"}, "batch_engine": {"type": "local"}, "materialization": _BEST},
    "feast, default settings": {"offline_store": {"type": "duckdb"}, "batch_engine": {"type": "local"}},
}


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds of the client, peak resident memory (MiB) of its process, CPU seconds of the server."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    server_s: float = 0.0


def main() -> None:
    """Measure and write the section, or be one of the measured processes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--stores", nargs="+", default=list(RATES))
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--entities", type=int, help="entities in every store, instead of its own number")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--child", choices=sorted(_CHILDREN))
    arguments.add_argument("--task", help="JSON")
    options = arguments.parse_args()
    if options.child:
        print(json.dumps(_CHILDREN[options.child](**json.loads(options.task))))
        return
    counts = {store: options.entities or ENTITIES[store] for store in options.stores}
    folder = Path(tempfile.mkdtemp(prefix="tessera-materialization-"))
    try:
        found = {store: _measured(folder / store, store, count, options.rounds) for store, count in counts.items()}
    finally:
        shutil.rmtree(folder)
    body = _section(found, counts, options.rounds)
    print(body)
    if not options.dry:
        replace_section("materialization", body, libraries=["feast", "duckdb", "pyarrow", "redis", "psycopg"])


Round = dict[str, Cost]


def _measured(folder: Path, store: str, entities: int, rounds: int) -> list[Round]:
    folder.mkdir()
    _child("source", folder=str(folder), entities=entities)
    # Feast's default is slow and large; once is enough to say by how much.
    return [_round(folder, store, [*list(PATHS)[: 3 if number == 0 else 2]], entities) for number in range(rounds)]


def _round(folder: Path, store: str, paths: Sequence[str], entities: int) -> Round:
    """Every path once, one after the other, and the comparison of what they wrote."""
    costs: Round = {}
    with ExitStack() as servers:
        stores: dict[str, Any] = {}
        for path in paths:
            home = folder / re.sub(r"\W", "", path)
            home.mkdir()
            stores[path], server = servers.enter_context(_serving(store, home))
            before = _server_seconds(server)
            cost = _child(
                "materialize", source=str(folder), home=str(home), path=path, store=store, online=stores[path]
            )
            costs[path] = Cost(**{**cost, "server_s": _server_seconds(server) - before})
            print(store, path, costs[path], file=sys.stderr, flush=True)
        for path in paths[1:]:
            both = [stores["ours"], stores[path]]
            compared = _child("compare", source=str(folder), store=store, online=both, entities=entities)
            assert compared["values"] == SAMPLE * len(VIEWS) * 10, compared
    for path in paths:
        shutil.rmtree(folder / re.sub(r"\W", "", path))
    return costs


@contextmanager
def _serving(store: str, home: Path) -> Iterator[tuple[dict[str, Any], int | None]]:
    """Feast's settings of an empty store, and the process that serves it."""
    if store == "redis":
        from tests.servers.redis_server import serving

        with serving(home) as port:
            yield {"connection_string": f"127.0.0.1:{port}"}, _listener(port)
    elif store == "postgres":
        from tests.servers.postgres_server import serving as serving_postgres

        with serving_postgres() as server:
            yield server.online_store, _listener(server.port)
    else:
        yield {"path": str(home / "online.db")}, None


def _listener(port: int) -> int:
    import psutil

    return next(
        each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr.port == port and each.status == "LISTEN" and each.pid
    )


def _server_seconds(process: int | None) -> float:
    """CPU seconds of a server so far, its children's included, the ended ones' too."""
    if process is None:
        return 0.0
    import psutil

    server = psutil.Process(process)
    times = [each.cpu_times() for each in (server, *server.children(recursive=True))]
    ended = times[0].children_user + times[0].children_system
    return sum(each.user + each.system for each in times) + ended


def _child(name: str, **task: Any) -> dict[str, Any]:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.materialization",
        "--child",
        name,
        "--task",
        json.dumps(task),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} {task} failed with exit code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def write_source(folder: str, entities: int) -> dict[str, Any]:
    """Return the rows of every view: one per entity and month, each entity at its own hour, created two hours later."""
    import duckdb

    for at, view in enumerate(VIEWS):
        drawn = f"hash(c, m, {at}, {{}})"
        floats = ", ".join(f"{drawn.format(n)} % 1000003 / 997.0 AS {view}_{n}" for n in FLOATS)
        integers = ", ".join(f"({drawn.format(n)} % 100000)::BIGINT AS {view}_{n}" for n in INTEGERS)
        duckdb.execute(
            f"""COPY (SELECT format('C{{:07d}}', c) AS customer_id, {floats}, {integers},
                'segment ' || {drawn.format(9)} % 50 AS {view}_9,
                timestamptz '2025-01-01 00:00:00+00' + to_months(m::INT) + to_hours((hash(c) % 700)::INT)
                AS event_timestamp,
                event_timestamp + interval 2 hours AS created_timestamp
                FROM range({entities}) c(c), range({MONTHS}) m(m) ORDER BY m, c)
                TO '{folder}/{view}.parquet' (FORMAT parquet)"""  # noqa: S608
        )
    return {}


def materialize(source: str, home: str, path: str, store: str, online: dict[str, Any]) -> dict[str, Any]:
    """Materialize all views online and return the cost."""
    kind = (
        _OURS.format(store, {"sqlite": "Sqlite", "redis": "Redis", "postgres": "Postgres"}[store])
        if path == "ours"
        else store
    )
    feast = _feast(home, {"type": kind, **online}, PATHS[path])
    feast.apply(_definitions(source))
    first = datetime(2025, 1, 1, tzinfo=UTC)
    feast.provider.batch_engine  # noqa: B018 - imported and opened before the clock runs
    cpu, wall = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        feast.materialize(first, first + timedelta(days=800))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak
    return {"cpu_s": cpu, "wall_s": wall, "peak_mb": int(peak[1]) / 1024}


def compare(source: str, store: str, online: Sequence[dict[str, Any]], entities: int) -> dict[str, Any]:
    """Count the values that Feast's own client reads from both stores, after asserting that all are equal."""
    found = []
    for settings in online:
        with tempfile.TemporaryDirectory() as home:
            feast = _feast(home, {"type": store, **settings}, PATHS["feast"])
            feast.apply(_definitions(source))
            names = [f"{view}:{view}_{number}" for view in VIEWS for number in range(10)]
            keys = [{"customer_id": f"C{at * (entities // SAMPLE):07d}"} for at in range(SAMPLE)]
            found.append(feast.get_online_features(names, keys).proto)
    ours, feasts = found
    for mine, theirs in zip(ours.results, feasts.results, strict=True):
        assert list(mine.values) == list(theirs.values)
        assert list(mine.statuses) == list(theirs.statuses)
        assert list(mine.event_timestamps) == list(theirs.event_timestamps)
    features = [
        result
        for name, result in zip(ours.metadata.feature_names.val, ours.results, strict=True)
        if name != "customer_id"
    ]
    return {"values": sum(value.WhichOneof("val") is not None for result in features for value in result.values)}


_CHILDREN: dict[str, Callable[..., dict[str, Any]]] = {
    "source": write_source,
    "materialize": materialize,
    "compare": compare,
}


def _feast(home: str, online: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    registry = {"registry_type": "file", "path": f"{home}/registry.db"}
    config = RepoConfig(
        repo_path=home,
        project="shop",
        provider="local",
        registry=registry,
        online_store=dict(online),
        entity_key_serialization_version=3,
        **parts,
    )
    return FeatureStore(config=config)


def _definitions(source: str) -> list[Any]:
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, Int64, String

    entity = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    views = [
        FeatureView(
            name=view,
            entities=[entity],
            schema=[
                Field(name="customer_id", dtype=String),
                *(Field(name=f"{view}_{number}", dtype=Float64) for number in FLOATS),
                *(Field(name=f"{view}_{number}", dtype=Int64) for number in INTEGERS),
                Field(name=f"{view}_9", dtype=String),
            ],
            source=FileSource(
                name=view,
                path=f"{source}/{view}.parquet",
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for view in VIEWS
    ]
    return [entity, *views]


def _section(found: Mapping[str, Sequence[Round]], counts: Mapping[str, int], rounds: int) -> str:
    lines = [
        "## Materialization",
        "",
        f"{len(VIEWS)} views x 10 features (6 floats, 3 integers, 1 string), {MONTHS} monthly rows per entity in the "
        f"source. A row is an entity of a view. Each path in a process of its own, in turn, into an empty store; "
        f"medians of {rounds} rounds, ratios taken within each round; peak is the highest. What Feast's own client "
        f"reads of {SAMPLE:,} entities is the same after each. Feast's default settings ran once.",
        "",
        "| store | entities | path | CPU s | rows per CPU s | wall s | rows per s | server CPU s | peak RSS MiB |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(store, counts[store], path, found[store]) for store in found for path in found[store][0]),
        "",
        *(_verdict(store, found[store]) for store in found),
    ]
    return "\n".join(lines)


def _line(store: str, entities: int, path: str, rounds: Sequence[Round]) -> str:
    costs = [costs[path] for costs in rounds if path in costs]
    cpu, wall, server = (
        statistics.median(getattr(cost, name) for cost in costs) for name in ("cpu_s", "wall_s", "server_s")
    )
    rows, peak = entities * len(VIEWS), max(cost.peak_mb for cost in costs)
    return (
        f"| {store} | {entities:,} | {path} | {cpu:.1f} | {rows / cpu:,.0f} | {wall:.1f} | {rows / wall:,.0f} "
        f"| {server:.1f} | {peak:.0f} |"
    )


def _verdict(store: str, rounds: Sequence[Round]) -> str:
    wall, cpu, peak = (
        statistics.median(getattr(costs["feast"], name) / getattr(costs["ours"], name) for costs in rounds)
        for name in ("wall_s", "cpu_s", "peak_mb")
    )
    total = statistics.median(_total(costs["feast"]) / _total(costs["ours"]) for costs in rounds)
    met = min(wall, cpu) >= RATES[store] and 1 / peak <= MEMORY
    return (
        f"- {'met' if met else '**missed**'}: {store}: {cpu:.2f} times Feast's rows per CPU second ({total:.2f} with "
        f"the server's), {wall:.2f} times its rows per second (budget {RATES[store]}), {1 / peak:.2f} of its memory "
        f"(budget {MEMORY})."
    )


def _total(cost: Cost) -> float:
    return cost.cpu_s + cost.server_s


if __name__ == "__main__":
    main()
