"""Features read online for 1, 100 and 1,000 entities: our resource, Feast's own call, and a read written by hand.

All three read the same rows of the same store (SQLite, Redis, Postgres), in turn, in one process with one connection
each; what they read is compared value by value first. 3 feature views x 10 features (6 floats, 3 integers, 1 string).

- ours: `FeatureStore.online`: an Arrow table with status and event time per view; logs its default share.
- feast: `get_online_features(...).to_dict()` on the same store.
- by hand: the store's own client, one statement per view, protobufs parsed into lists, ttl compared.
"""

# Feast and the clients are only partly typed.
# pyright: basic

import argparse
import os
import shutil
import sqlite3
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import replace_section

VIEWS = ("buying", "browsing", "paying")
FLOATS, INTEGERS = range(6), range(6, 9)
ENTITIES = 20_000
SIZES = {1: 2_000, 100: 400, 1_000: 120}
MAX_AGE = timedelta(days=2)
BUDGET, BUDGET_OF_ONE = 3.0, 1.5
SERVICE = "reads"

Read = Callable[[Sequence[str]], Any]


@dataclass(frozen=True)
class Cost:
    """Cost of calls of one kind: wall milliseconds at p50 and p99, CPU milliseconds of this process per call."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float


def definitions(tables: Path) -> list[Any]:
    """Three views and the service that reads them all."""
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Float64, Int64, String

    entity = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    views = [
        FeatureView(
            name=view,
            entities=[entity],
            ttl=MAX_AGE,
            schema=[
                Field(name="customer_id", dtype=String),
                *(Field(name=f"{view}_{number}", dtype=Float64) for number in FLOATS),
                *(Field(name=f"{view}_{number}", dtype=Int64) for number in INTEGERS),
                Field(name=f"{view}_9", dtype=String),
            ],
            source=FileSource(
                name=view,
                path=f"{tables}/{view}/*.parquet",
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for view in VIEWS
    ]
    return [entity, *views, FeatureService(name=SERVICE, features=views)]


def main() -> None:
    """Measure every store and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--stores", nargs="+", default=["sqlite", "redis", "postgres"])
    arguments.add_argument("--calls", type=float, default=1.0, help="share of the calls to make")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tessera-online-"))
    try:
        found = {name: _measured(name, folder / name, options.calls) for name in options.stores}
    finally:
        shutil.rmtree(folder)
    body = _section(found)
    print(body)
    if not options.dry:
        replace_section("online-reads", body, libraries=["feast", "pyarrow", "protobuf", "redis", "psycopg"])


Measured = Mapping[int, Mapping[str, Cost]]


def _measured(name: str, folder: Path, calls: float) -> Measured:
    folder.mkdir()
    with _settings(name, folder) as settings:
        store = _filled(folder, {"type": name, **settings})
        reads = {"ours": _ours(store), "feast": _feast(store), "by hand": _by_hand(name, settings)}
        _compare(reads)
        return {size: _costs(reads, size, max(20, int(count * calls))) for size, count in SIZES.items()}


@contextmanager
def _settings(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Feast's settings of the store, whose server runs meanwhile."""
    if name == "redis":
        from tests.servers.redis_server import serving

        with serving(folder) as port:
            yield {"connection_string": f"127.0.0.1:{port}"}
    elif name == "postgres":
        from tests.servers.postgres_server import serving as serving_postgres

        with serving_postgres() as server:
            yield server.online_store
    else:
        yield {"path": str(folder / "online.db")}


def _filled(folder: Path, online_store: Mapping[str, Any]) -> Any:
    from resources.feature_store.feast.store import FeastStoreConfig

    config = FeastStoreConfig(path=str(folder), definitions="benchmarks.online_reads", online_store=dict(online_store))
    store = config.open()
    store.apply()
    now = datetime.now(UTC).replace(microsecond=0)
    for number, view in enumerate(VIEWS):
        rows = _rows(view, number, now - timedelta(hours=1))
        file = folder / f"{view}.parquet"
        pq.write_table(rows, file)
        store.materialize(view, now - timedelta(days=1), now, files=[str(file)])
    return store


def _rows(view: str, seed: int, moment: datetime) -> pa.Table:
    random = np.random.default_rng(seed)
    moments = pa.array([moment] * ENTITIES, pa.timestamp("us", "UTC"))
    columns: dict[str, Any] = {"customer_id": pa.array(_names(range(ENTITIES)))}
    columns |= {"event_timestamp": moments, "created_timestamp": moments}
    columns |= {f"{view}_{number}": random.normal(size=ENTITIES) for number in FLOATS}
    columns |= {f"{view}_{number}": random.integers(0, 100_000, ENTITIES) for number in INTEGERS}
    columns[f"{view}_9"] = [f"segment {number}" for number in random.integers(0, 50, ENTITIES)]
    return pa.table(columns)


def _names(numbers: Any) -> list[str]:
    return [f"C{number:07d}" for number in numbers]


def _ours(store: Any) -> Read:
    def read(names: Sequence[str]) -> Any:
        if len(names) == 1:
            return store.online_rows(SERVICE, [{"customer_id": names[0]}])
        return store.online(SERVICE, pa.table({"customer_id": pa.array(names, pa.string())}))

    return read


def _feast(store: Any) -> Read:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    session = store._session
    feast = FeatureStore(config=RepoConfig(repo_path=session._folder, **session._settings))
    service = feast.get_feature_service(SERVICE)
    return lambda names: feast.get_online_features(service, {"customer_id": list(names)}).to_dict()


def _by_hand(name: str, settings: Mapping[str, Any]) -> Read:
    return {"sqlite": _sqlite, "redis": _redis, "postgres": _postgres}[name](settings)


def _keys(names: Sequence[str]) -> list[bytes]:
    """Feast's serialized entity keys, version 3, by hand."""
    head = struct.pack("<I", 1) + struct.pack("<2I", 2, 11) + b"customer_id"
    return [head + struct.pack("<2I", 2, len(name)) + name.encode() for name in names]


def _value(cell: bytes | None) -> Any:
    from feast.protos.feast.types.Value_pb2 import Value

    if not cell:
        return None
    value = Value.FromString(cell)
    field = value.WhichOneof("val")
    return None if field is None else getattr(value, field)


def _features(view: str) -> list[str]:
    return [f"{view}_{number}" for number in range(10)]


def _from_cells(names: Sequence[str], query: Callable[[str, list[bytes]], Any], is_young: Any) -> dict[str, list[Any]]:
    """Return the values of rows (entity key, feature, value, event time)."""
    keys = _keys(names)
    found: dict[str, list[Any]] = {}
    for view in VIEWS:
        cells: dict[tuple[bytes, str], Any] = {}
        for key, feature, value, moment in query(view, keys):
            cells[bytes(key), feature] = _value(value) if is_young(moment) else None
        found |= {feature: [cells.get((key, feature)) for key in keys] for feature in _features(view)}
    return found


def _sqlite(settings: Mapping[str, Any]) -> Read:
    connection = sqlite3.connect(settings["path"])

    def query(view: str, keys: list[bytes]) -> Any:
        marks = ",".join("?" * len(keys))
        statement = (
            f"SELECT entity_key, feature_name, value, event_ts FROM tessera_{view} WHERE entity_key IN ({marks})"  # noqa: S608
        )
        return connection.execute(statement, keys).fetchall()

    def read(names: Sequence[str]) -> dict[str, list[Any]]:
        oldest = time.time() - MAX_AGE.total_seconds()
        return _from_cells(names, query, lambda moment: moment >= oldest)

    return read


def _postgres(settings: Mapping[str, Any]) -> Read:
    import psycopg

    connection = psycopg.connect(
        host=settings["host"],
        port=settings["port"],
        user=settings["user"],
        password=settings["password"],
        dbname=settings["database"],
        autocommit=True,
    )

    def query(view: str, keys: list[bytes]) -> Any:
        statement: Any = (
            f'SELECT entity_key, feature_name, value, event_ts FROM "tessera_{view}" WHERE entity_key = ANY(%s)'  # noqa: S608
        )
        return connection.execute(statement, [keys], binary=True).fetchall()

    def read(names: Sequence[str]) -> dict[str, list[Any]]:
        oldest = datetime.now(UTC).replace(tzinfo=None) - MAX_AGE
        return _from_cells(names, query, lambda moment: moment.replace(tzinfo=None) >= oldest)

    return read


def _redis(settings: Mapping[str, Any]) -> Read:
    import mmh3
    from google.protobuf.timestamp_pb2 import Timestamp
    from redis import Redis

    host, port = settings["connection_string"].split(":")
    client = Redis(host=host, port=int(port))
    fields = {
        view: [struct.pack("<i", mmh3.hash(f"{view}:{name}", signed=True)) for name in _features(view)]
        for view in VIEWS
    }

    def read(names: Sequence[str]) -> dict[str, list[Any]]:
        oldest = int(time.time() - MAX_AGE.total_seconds())
        keys = [key + b"tessera" for key in _keys(names)]
        pipe = client.pipeline(transaction=False)
        for view in VIEWS:
            for key in keys:
                pipe.hmget(key, [f"_ts:{view}".encode(), *fields[view]])
        rows = pipe.execute()
        found: dict[str, list[Any]] = {}
        for number, view in enumerate(VIEWS):
            of_view = rows[number * len(keys) : (number + 1) * len(keys)]
            young = [row[0] is not None and Timestamp.FromString(row[0]).seconds >= oldest for row in of_view]
            for place, feature in enumerate(_features(view), 1):
                found[feature] = [_value(row[place]) if new else None for row, new in zip(of_view, young, strict=True)]
        return found

    return read


def _compare(reads: Mapping[str, Read]) -> None:
    """Every read gives the same values, unknown entities included."""
    names = [*_names(range(0, ENTITIES, 97)), "unknown"]
    found = {kind: read(names) for kind, read in reads.items()}
    ours = found["ours"].select([feature for view in VIEWS for feature in _features(view)]).to_pydict()
    for kind in ("feast", "by hand"):
        assert ours == {feature: found[kind][feature] for feature in ours}, kind
    one = reads["ours"](names[:1]).rows[0]
    assert [one[feature] for feature in ours] == [values[0] for values in ours.values()]
    assert ours["buying_0"][-1] is None
    assert None not in ours["buying_0"][:-1]


def _costs(reads: Mapping[str, Read], size: int, calls: int) -> Mapping[str, Cost]:
    """Each kind of read in turn, each time for the same entities."""
    random = np.random.default_rng(size)
    walls: dict[str, list[float]] = {kind: [] for kind in reads}
    cpus: dict[str, float] = dict.fromkeys(reads, 0.0)
    for _ in range(calls):
        names = _names(random.choice(ENTITIES, size, replace=False))
        for kind, read in reads.items():
            wall, cpu = time.perf_counter(), time.process_time()
            read(names)
            cpus[kind] += time.process_time() - cpu
            walls[kind].append(time.perf_counter() - wall)
    return {
        kind: Cost(
            statistics.median(walls[kind]) * 1000,
            float(np.quantile(walls[kind], 0.99)) * 1000,
            cpus[kind] / calls * 1000,
        )
        for kind in reads
    }


def _section(found: Mapping[str, Measured]) -> str:
    worst = max(measured[1_000]["ours"].cpu_ms / measured[1_000]["by hand"].cpu_ms for measured in found.values())
    slowest = max(measured[1_000]["ours"].p50_ms / measured[1_000]["by hand"].p50_ms for measured in found.values())
    by_hand = found["sqlite"][1] if "sqlite" in found else None
    single = max(measured[1]["ours"].p50_ms / measured[1]["feast"].p50_ms for measured in found.values())
    lines = [
        "## Features read online",
        "",
        f"{len(VIEWS)} views x 10 features of {ENTITIES:,} entities, in one process beside the server (127.0.0.1, "
        "SQLite: a file), one call at a time, the three kinds in turn for the same entities; all values were compared "
        "first. *Ours* gives an Arrow table (of one entity, Python's values) with status and event time of each view, "
        "obeys the ttl, and logs 1 % of the rows; *Feast* is `get_online_features(...).to_dict()`; *by hand* is one "
        "statement per view (Redis: one pipeline) and parsed protobufs. CPU is that of the client.",
        "",
        "| store | entities | ours p50 / p99 ms | Feast p50 / p99 ms | by hand p50 / p99 ms "
        "| CPU ms ours / Feast / by hand | CPU ours over by hand |",
        "|---|---|---|---|---|---|---|",
        *(_line(store, size, costs) for store, measured in found.items() for size, costs in measured.items()),
        "",
        f"- {_verdict(max(worst, slowest) <= BUDGET)} 1,000 entities, ours over the read by hand, on the worst store: "
        f"CPU {worst:.2f}, p50 {slowest:.2f} (budget {BUDGET:.1f}).",
        f"- {_verdict(single <= 1)} one entity, p50 of ours over Feast's, on the worst store: {single:.2f} "
        "(budget 1.0).",
    ]
    if by_hand is not None:
        cpu, p50 = (getattr(by_hand["ours"], of) / getattr(by_hand["by hand"], of) for of in ("cpu_ms", "p50_ms"))
        is_met = max(cpu, p50) <= BUDGET_OF_ONE
        lines.append(
            f"- {_verdict(is_met)} one entity on SQLite, ours over the read by hand: CPU {cpu:.2f}, p50 {p50:.2f} "
            f"(budget {BUDGET_OF_ONE})."
        )
    return "\n".join(lines)


def _line(store: str, size: int, costs: Mapping[str, Cost]) -> str:
    kinds = ("ours", "feast", "by hand")
    times = " | ".join(f"{costs[kind].p50_ms:.2f} / {costs[kind].p99_ms:.2f}" for kind in kinds)
    cpu = " / ".join(f"{costs[kind].cpu_ms:.2f}" for kind in kinds)
    return f"| {store} | {size:,} | {times} | {cpu} | {costs['ours'].cpu_ms / costs['by hand'].cpu_ms:.2f} |"


def _verdict(met: bool) -> str:
    return "met:" if met else "**missed:**"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
