"""Point-in-time joins: the offline store against the bare DuckDB statement and against Feast's own DuckDB store.

Three views of ten features (6 floats, 3 integers, 1 string), time-to-live 120 days, Parquet in and Parquet out. Each
path runs in its own process, in turn. CPU seconds (user + system) are those of the call, after imports; peak resident
memory is that of the whole process, imports included. Every output is compared with the floor's, row by row.

- floor: one DuckDB statement of three `ASOF LEFT JOIN`s, a CASE for the time-to-live, COPY to Parquet; with and without
  a tie-breaker (of equal moments the row created last), which is part of the key of the join.
- ours: `AsofOfflineStore` through Feast, from SQL and persisted, or from pandas to Arrow; `known only` leaves out what
  was created after an entity row's moment.
- Feast: its `duckdb` store, from pandas, persisted.
"""

# ruff: noqa: S608 - SQL of names above

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from benchmarks.report import replace_section

THREADS = 2
TTL_DAYS = 120
CPU_BUDGET, MEMORY_BUDGET = 1.2, 1.3
FEATURES = [
    [f"v{v}_{kind}{n}" for kind, count in (("f", 6), ("i", 3), ("s", 1)) for n in range(count)] for v in range(3)
]


@dataclass(frozen=True)
class Workload:
    """Entity rows over customers with so many events each, one every `step`; what Feast's own store must cost more."""

    title: str
    rows: int
    customers: int
    events: int
    step: str
    over_feast: float | None


WORKLOADS = {
    "monthly": Workload("100k entity rows, 100k customers x 12 monthly", 100_000, 100_000, 12, "1 MONTH", None),
    "large": Workload("1M entity rows, 100k customers x 24 monthly", 1_000_000, 100_000, 24, "1 MONTH", 2.5),
    "daily": Workload("100k entity rows, 3k customers x 365 daily", 100_000, 3_000, 365, "1 DAY", 12.0),
}
#: Path -> the path that it is compared with.
PATHS = {
    "floor": "floor",
    "ours": "floor",
    "floor, created": "floor, created",
    "ours, created": "floor, created",
    "ours, created, pandas to Arrow": "floor, created",
    "ours, known only": "floor, created",
    "Feast duckdb, created": "floor, created",
}


@dataclass(frozen=True)
class Cost:
    """CPU and clock seconds of a call; peak resident MiB of its process."""

    cpu_s: float
    wall_s: float
    peak_mb: float


Round = dict[tuple[str, str], Cost]


def main() -> None:
    """Measure and write the section, or be one of the measured processes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--child", choices=["prepare", "compare", *PATHS])
    arguments.add_argument("--folder", type=Path)
    options = arguments.parse_args()
    if options.child:
        _be(options.child, options.folder, WORKLOADS[options.workloads[0]])
        return
    folder = Path(tempfile.mkdtemp(prefix="tessera-point-in-time-"))
    try:
        body = _section(_measured(folder, options.workloads, options.rounds), options.workloads)
    finally:
        shutil.rmtree(folder)
    print(body)
    if not options.dry:
        replace_section("point-in-time", body, libraries=["duckdb", "feast", "ibis-framework", "pyarrow", "pandas"])


def _measured(folder: Path, workloads: list[str], rounds: int) -> list[Round]:
    """Every path in turn, in each round; Feast's own in the first round only, since it takes minutes."""
    for name in workloads:
        _run("prepare", folder, name)
    found: list[Round] = []
    for number in range(rounds):
        paths = [path for path in PATHS if number == 0 or not path.startswith("Feast")]
        found.append({(name, path): _run(path, folder, name) for name in workloads for path in paths})
        if number == 0:
            for name in workloads:
                _run("compare", folder, name)
    return found


def _run(child: str, folder: Path, workload: str) -> Cost:
    """Run one variant in a fresh process and return the cost it reports."""
    command = [sys.executable, "-m", "benchmarks.point_in_time", "--child", child, "--folder", str(folder / workload)]
    process = subprocess.run([*command, "--workloads", workload], stdout=subprocess.PIPE, check=False)
    if process.returncode:
        raise SystemExit(f"{child} failed with exit code {process.returncode}")
    cost = Cost(**json.loads(process.stdout.splitlines()[-1]))
    print(f"{workload}, {child}: {cost.cpu_s:.2f} CPU s, {cost.peak_mb:.0f} MiB", file=sys.stderr)
    return cost


def _be(child: str, folder: Path, workload: Workload) -> None:
    """Do it, and say what it took."""
    folder.mkdir(parents=True, exist_ok=True)
    call = _CHILDREN[child.split(",")[0]](folder, workload, child)
    before, started = getrusage(RUSAGE_SELF), time.perf_counter()
    call()
    after = getrusage(RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = Cost(cpu_s, time.perf_counter() - started, after.ru_maxrss / 1024)
    for rest in _after:
        rest()
    print(json.dumps(vars(cost)))


def _prepare(folder: Path, workload: Workload, _child: str) -> Callable[[], None]:
    """Rows in the order in which they would arrive; each customer has an hour of its own; created 2 hours later."""

    def call() -> None:
        with _duckdb() as connection:
            for v in range(3):
                connection.execute(f"COPY ({_history(v, workload)}) TO '{folder}/v{v}.parquet'")
            first_and_last = (
                f"SELECT epoch(min(event_timestamp)), epoch(max(event_timestamp)) FROM '{folder}/v0.parquet'"
            )
            first, last = connection.execute(first_and_last).fetchall()[0]
            connection.execute(f"""COPY (
                SELECT range AS rid, (hash(range * 17) % {workload.customers})::BIGINT AS customer_id,
                    to_timestamp({first} + hash(range * 13 + 5) % {int(last - first)}) AS event_timestamp,
                    (range % 2)::INTEGER AS label
                FROM range({workload.rows})) TO '{folder}/entities.parquet'""")

    return call


def _history(v: int, workload: Workload) -> str:
    values = [
        f"(hash(c * {100 * v + n} + m * 7919) % 1000000) / 1000.0 AS {name}"
        if "_f" in name
        else f"(hash(c * {100 * v + n} + m * 104729) % 1000)::BIGINT AS {name}"
        if "_i" in name
        else f"'s' || hash(c + m * {v + 3}) % 50 AS {name}"
        for n, name in enumerate(FEATURES[v])
    ]
    return f"""
        SELECT c AS customer_id,
            TIMESTAMPTZ '2023-01-01' + m * INTERVAL {workload.step} + to_hours((hash(c * 31 + {v}) % 24)::INTEGER)
                AS event_timestamp,
            event_timestamp + INTERVAL 2 HOUR AS created_timestamp, {", ".join(values)}
        FROM range({workload.customers}) customers(c), range({workload.events}) events(m) ORDER BY m, c"""


def _duckdb():
    import duckdb

    connection = duckdb.connect(config={"threads": THREADS, "asof_loop_join_threshold": 0})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _floor(folder: Path, _workload: Workload, child: str) -> Callable[[], None]:
    """Return the statement that one would write; two moments fit into one HUGEINT."""
    by_created = "created" in child
    key = "epoch_us(event_timestamp)::HUGEINT * (1::HUGEINT << 62)"
    columns, joins = ["e.rid", "e.customer_id", "e.event_timestamp", "e.label"], []
    for v, names in enumerate(FEATURES):
        alive = f"f{v}.event_timestamp + INTERVAL {TTL_DAYS} DAY >= e.event_timestamp"
        columns += [f"CASE WHEN {alive} THEN f{v}.{name} END AS {name}" for name in names]
        rows = f"(SELECT *, {key} + epoch_us(created_timestamp) AS k FROM '{folder}/v{v}.parquet')"
        plain = f"'{folder}/v{v}.parquet'"
        joins.append(
            f"ASOF LEFT JOIN {rows if by_created else plain} f{v} ON e.customer_id = f{v}.customer_id"
            f" AND {f'e.k >= f{v}.k' if by_created else f'e.event_timestamp >= f{v}.event_timestamp'}"
        )
    extra = f", {key} + (1::HUGEINT << 61) AS k" if by_created else ""
    entities = f"(SELECT *{extra} FROM '{folder}/entities.parquet') e"
    statement = f"SELECT {', '.join(columns)} FROM {entities} {' '.join(joins)}"
    connection = _duckdb()
    return lambda: connection.execute(f"COPY ({statement}) TO '{_output(folder, child)}'") and None


def _output(folder: Path, child: str) -> Path:
    return folder / f"{child.replace(', ', '-').replace(' ', '_')}.parquet"


def _ours(folder: Path, _workload: Workload, child: str) -> Callable[[], None]:
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    import resources.feature_store.offline.store

    kind = f"{resources.feature_store.offline.store.__name__}.AsofOfflineStore"
    store = _feast(folder, {"type": kind, "threads": THREADS}, created="created" in child or "known" in child)
    storage = SavedDatasetFileStorage(path=str(_output(folder, child)))
    known_only = "known" in child
    if "pandas" not in child:
        rows = f"SELECT * FROM '{folder}/entities.parquet'"
        joined = lambda: store.get_historical_features(rows, _refs(), filter_by_created_timestamp=known_only)  # noqa: E731
        return lambda: joined().persist(storage, allow_overwrite=True)
    import pandas as pd
    import pyarrow.parquet as pq

    frame = pd.read_parquet(folder / "entities.parquet")

    def call() -> None:
        table = store.get_historical_features(frame, _refs()).to_arrow()
        _after.append(lambda: pq.write_table(table, _output(folder, child)))

    return call


def _theirs(folder: Path, _workload: Workload, child: str) -> Callable[[], None]:
    import ibis
    import pandas as pd
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    ibis.duckdb.connect().disconnect()
    store = _feast(folder, {"type": "duckdb"}, created=True)
    frame = pd.read_parquet(folder / "entities.parquet")
    storage = SavedDatasetFileStorage(path=str(_output(folder, child)))
    return lambda: store.get_historical_features(frame, _refs()).persist(storage, allow_overwrite=True)


def _refs() -> list[str]:
    return [f"view{v}:{name}" for v, names in enumerate(FEATURES) for name in names]


def _feast(folder: Path, offline_store: dict[str, object], *, created: bool):
    """Make a Feast repository of the three views."""
    from datetime import timedelta

    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.repo_config import RepoConfig
    from feast.types import Float64, Int64, String

    types = {"f": Float64, "i": Int64, "s": String}
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=f"view{v}",
            entities=[customer],
            ttl=timedelta(days=TTL_DAYS),
            schema=[
                Field(name="customer_id", dtype=Int64),
                *(Field(name=name, dtype=types[name.split("_")[1][0]]) for name in names),
            ],
            source=FileSource(
                name=f"rows{v}",
                path=str(folder / f"v{v}.parquet"),
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp" if created else "",
            ),
        )
        for v, names in enumerate(FEATURES)
    ]
    repository = Path(tempfile.mkdtemp(prefix="feast-", dir=folder))
    config = RepoConfig(
        project="benchmark",
        provider="local",
        registry=str(repository / "registry.pb"),
        offline_store=offline_store,
        online_store={"type": "sqlite", "path": str(repository / "online.db")},
        repo_path=repository,
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply([customer, *views])
    return store


#: What a measured call leaves to be done when its cost has been taken.
_after: list[Callable[[], None]] = []


def _compare(folder: Path, _workload: Workload, _child: str) -> Callable[[], None]:
    """Every output has the floor's rows; what was known at a row's moment is computed by a plain join and a window."""

    def call() -> None:
        names = [name for names in FEATURES for name in names]
        for path, floor in PATHS.items():
            if "known" not in path:
                _assert_equal(str(_output(folder, path)), str(_output(folder, floor)), names)
        with _duckdb() as connection:
            expected = f"{folder}/expected-known.parquet"
            connection.execute(f"COPY ({_known(folder)}) TO '{expected}'")
        _assert_equal(str(_output(folder, "ours, known only")), expected, names)

    return call


def _known(folder: Path) -> str:
    """All rows known at each of the first 20,000 entity rows' moments, ranked: the definition, at any price."""
    joins, columns = [], []
    for v, names in enumerate(FEATURES):
        columns += [f"r{v}.{name}" for name in names]
        alive = f"r.event_timestamp + INTERVAL {TTL_DAYS} DAY >= e.event_timestamp"
        joins.append(f"""LEFT JOIN (
            SELECT e.rid, {", ".join(f"CASE WHEN {alive} THEN {name} END AS {name}" for name in names)}
            FROM e JOIN '{folder}/v{v}.parquet' r ON e.customer_id = r.customer_id
                AND greatest(r.event_timestamp, r.created_timestamp) <= e.event_timestamp
            QUALIFY row_number() OVER (
                PARTITION BY e.rid ORDER BY r.event_timestamp DESC, r.created_timestamp DESC) = 1
        ) r{v} ON r{v}.rid = e.rid""")
    rows = f"SELECT * FROM '{folder}/entities.parquet' WHERE rid < 20000"
    return f"WITH e AS ({rows}) SELECT e.rid, {', '.join(columns)} FROM e {' '.join(joins)}"


def _assert_equal(path: str, expected: str, names: list[str]) -> None:
    differ = " OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in names)
    with _duckdb() as connection:
        counts = connection.execute(f"""
            SELECT count(*) FILTER ({differ} OR a.rid IS NULL), (SELECT count(*) FROM '{path}'),
                (SELECT count(DISTINCT rid) FROM '{path}'), count(b.{names[0]})
            FROM '{expected}' b LEFT JOIN '{path}' a USING (rid)""").fetchall()[0]
        rows = connection.execute(f"SELECT count(*) FROM '{Path(path).parent}/entities.parquet'").fetchall()[0][0]
    if counts[:3] != (0, rows, rows) or counts[3] == 0:
        raise SystemExit(f"{path} is not {expected}: differing, rows, distinct, known {counts} of {rows}")


def _section(rounds: list[Round], workloads: list[str]) -> str:
    lines = [
        "## Point-in-time joins",
        "",
        f"3 views x 10 features, time-to-live {TTL_DAYS} days, Parquet to Parquet, {THREADS} threads, created 2 hours "
        f"after the event. CPU of the call, imports excluded; peak of the whole process, imports included. In turn, "
        f"medians of {len(rounds)} rounds, ratios taken within each round, over the floor that does the same job (with "
        "or without a tie-breaker); Feast's own store once. All outputs are equal to their floor's, row by row; `known "
        "only`, for which no ASOF statement exists, to a ranked join of 20,000 of the rows.",
    ]
    for name in workloads:
        lines += [
            "",
            f"### {WORKLOADS[name].title}",
            "",
            "| path | CPU s | over the floor | peak MiB | over the floor |",
        ]
        lines += ["|---|---|---|---|---|", *(_line(rounds, name, path) for path in PATHS), "", *_verdicts(rounds, name)]
    return "\n".join(lines)


def _line(rounds: list[Round], name: str, path: str) -> str:
    cpu, peak = (_median(rounds, name, path, one) for one in ("cpu_s", "peak_mb"))
    over, peak_over = (_over(rounds, name, path, one) for one in ("cpu_s", "peak_mb"))
    return f"| {path} | {cpu:.2f} | {over:.2f} | {peak:.0f} | {peak_over:.2f} |"


def _verdicts(rounds: list[Round], name: str) -> list[str]:
    ours = [path for path in PATHS if path.startswith("ours")]
    cpu = max(_over(rounds, name, path, "cpu_s") for path in ours)
    peak = max(_over(rounds, name, path, "peak_mb") for path in ours)
    lines = [
        f"- {_verdict(cpu <= CPU_BUDGET)} CPU of ours over the floor, at worst {cpu:.2f} (budget {CPU_BUDGET}).",
        f"- {_verdict(peak <= MEMORY_BUDGET)} memory over the floor, at worst {peak:.2f} (budget {MEMORY_BUDGET}).",
    ]
    theirs = _median(rounds, name, "Feast duckdb, created", "cpu_s") / rounds[0][name, "ours, created"].cpu_s
    wanted = WORKLOADS[name].over_feast
    said = "" if wanted is None else f" (wanted {wanted})"
    verdict = "" if wanted is None else f"{_verdict(theirs >= wanted)} "
    return [*lines, f"- {verdict}CPU of Feast's own store over ours: {theirs:.1f}{said}."]


def _median(rounds: list[Round], name: str, path: str, one: str) -> float:
    return statistics.median(getattr(costs[name, path], one) for costs in rounds if (name, path) in costs)


def _over(rounds: list[Round], name: str, path: str, one: str) -> float:
    return statistics.median(
        getattr(costs[name, path], one) / getattr(costs[name, PATHS[path]], one)
        for costs in rounds
        if (name, path) in costs
    )


def _verdict(met: bool) -> str:
    return "met:" if met else "**missed:**"


_CHILDREN: dict[str, Callable[[Path, Workload, str], Callable[[], None]]] = {
    "prepare": _prepare,
    "compare": _compare,
    "floor": _floor,
    "ours": _ours,
    "Feast duckdb": _theirs,
}

if __name__ == "__main__":
    main()
