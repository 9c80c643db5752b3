"""Window features of all payments of the fraud handbook: our declarations against a statement written by hand.

Both read the same files of the same lake and give one Arrow table, ascending by moment and id, with 2 threads and the
engine's memory limit. Each runs in its own process, in turn. CPU seconds (user + system) are those of the call, after
imports; peak resident memory is that of the whole process, imports included. The tables are compared row by row, bit by
bit, in every round.

- by hand: one DuckDB statement, the cheapest of a dozen that were tried: frames of rows whose length is a count over a
  frame of time, and the few frauds joined with the payments that they touch.
- ours: `assets.fraud.features.computed`: windows declared once (also evaluated event by event, online), compiled
  through ibis, run by the engine over the lake's scan.
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
from datetime import date
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import pyarrow as pa

from benchmarks.handbook import FIRST, LAST, filled
from benchmarks.report import replace_section

THREADS, MEMORY_MB = 2, 2000
CPU_BUDGET = 1.2
_QUICK_LAST = date(2018, 5, 15)
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_DAYS = (1, 7, 30)


@dataclass(frozen=True)
class Cost:
    """CPU and clock seconds of a call; peak resident MiB of its process; rows that it gave."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    rows: int


Round = dict[str, Cost]


def main() -> None:
    """Measure and write the section, or be one of the measured processes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--quick", action="store_true", help="six weeks of payments, once; the section is printed")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--child", choices=list(_CHILDREN))
    arguments.add_argument("--folder", type=Path)
    options = arguments.parse_args()
    last = _QUICK_LAST if options.quick else LAST
    if options.child:
        _be(options.child, options.folder, last)
        return
    folder = Path(tempfile.mkdtemp(prefix="tessera-fraud-windows-"))
    try:
        rounds = _measured(folder, 1 if options.quick else options.rounds, ["--quick"] if options.quick else [])
    finally:
        shutil.rmtree(folder)
    body = _section(rounds, last)
    print(body)
    if not (options.dry or options.quick):
        replace_section("fraud-windows", body, libraries=["duckdb", "ibis-framework", "pyarrow", "deltalake"])


def _measured(folder: Path, rounds: int, more: list[str]) -> list[Round]:
    _run("prepare", folder, more)
    found: list[Round] = []
    for _ in range(rounds):
        found.append({path: _run(path, folder, more) for path in ("by hand", "ours")})
        _run("compare", folder, more)
    return found


def _run(child: str, folder: Path, more: list[str]) -> Cost:
    """Run one variant in a fresh process and return the cost it reports."""
    command = [sys.executable, "-m", "benchmarks.fraud_windows", "--child", child, "--folder", str(folder), *more]
    process = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if process.returncode:
        raise SystemExit(f"{child} failed with exit code {process.returncode}")
    cost = Cost(**json.loads(process.stdout.splitlines()[-1]))
    print(f"{child}: {cost.cpu_s:.2f} CPU s, {cost.wall_s:.2f} s, {cost.peak_mb:.0f} MiB", file=sys.stderr)
    return cost


def _be(child: str, folder: Path, last: date) -> None:
    """Do it, say what it took, and keep what it gave for the comparison."""
    call = _CHILDREN[child](folder, last)
    before, started = getrusage(RUSAGE_SELF), time.perf_counter()
    table = call()
    after, wall_s = getrusage(RUSAGE_SELF), time.perf_counter() - started
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = Cost(cpu_s, wall_s, after.ru_maxrss / 1024, 0 if table is None else table.num_rows)
    if table is not None:
        _keep(table, _output(folder, child))
    print(json.dumps(vars(cost)))


def _prepare(folder: Path, last: date) -> Callable[[], None]:
    return lambda: filled(folder / "lake", last) and None


def _ours(folder: Path, last: date) -> Callable[[], pa.Table]:
    import ibis
    import pyarrow.dataset

    import models.fraud.labels
    from assets.fraud.features import computed
    from resources.engine.local import LocalEngine
    from resources.lake.delta import DeltaLake

    assert models.fraud.labels  # imported by the call, and no part of it, like pyarrow's datasets
    assert pyarrow.dataset
    ibis.duckdb.connect().disconnect()
    lake, engine = DeltaLake(str(folder / "lake")), LocalEngine(THREADS, MEMORY_MB, folder / "spilled")
    return lambda: computed(lake, engine, FIRST, last).read_all()


def _by_hand(folder: Path, _last: date) -> Callable[[], pa.Table]:
    import duckdb

    from resources.lake.delta import DeltaLake

    lake = DeltaLake(str(folder / "lake"))
    settings = {"threads": THREADS, "memory_limit": f"{MEMORY_MB}MB", "temp_directory": str(folder / "spilled")}
    connection = duckdb.connect(config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    statement = _statement(lake.files("payments"), lake.files("payment_labels"))
    return lambda: connection.sql(statement).to_arrow_table()


def _statement(payments: object, labels: object) -> str:
    """Return a hand-written query for these features; of one card and instant, a payment sees those of smaller ids."""
    earlier = ", ".join(
        f"""place - count(*) OVER (PARTITION BY customer_id ORDER BY t
            RANGE BETWEEN UNBOUNDED PRECEDING AND {n * _DAY} PRECEDING) AS n{n}"""
        for n in _DAYS
    )
    by_count = ", ".join(
        f"c{n} AS (PARTITION BY customer_id ORDER BY t, transaction_id ROWS BETWEEN n{n} - 1 PRECEDING AND CURRENT ROW)"
        for n in _DAYS
    )
    week_ago = ", ".join(
        f"""t{n} AS (PARTITION BY terminal_id ORDER BY t
            RANGE BETWEEN {(n + 7) * _DAY - 1} PRECEDING AND {7 * _DAY} PRECEDING)"""
        for n in _DAYS
    )
    return f"""
    WITH paid AS (
        SELECT transaction_id, customer_id, terminal_id, paid_at AS event_timestamp, epoch_us(paid_at) AS t,
            round(amount * 100) AS cents
        FROM read_parquet({payments})
    ), fraud AS (
        SELECT terminal_id, t, greatest(t + {7 * _DAY}, epoch_us(labelled_at)) AS known
        FROM paid JOIN read_parquet({labels}) USING (transaction_id) WHERE is_fraud
    ), touched AS (
        SELECT transaction_id, count(*) FILTER (paid.t < fraud.t + {8 * _DAY}) AS f1,
            count(*) FILTER (paid.t < fraud.t + {14 * _DAY}) AS f7, count(*) AS f30
        FROM paid JOIN fraud ON paid.terminal_id = fraud.terminal_id AND paid.t >= fraud.known
            AND paid.t < fraud.t + {37 * _DAY}
        GROUP BY transaction_id
    ), at_terminal AS (
        SELECT *, count(*) OVER t1 AS k1, count(*) OVER t7 AS k7, count(*) OVER t30 AS k30 FROM paid WINDOW {week_ago}
    ), counted AS (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY t, transaction_id) AS place, {earlier}
        FROM at_terminal
    ), summed AS (
        SELECT *, sum(cents) OVER c1 AS s1, sum(cents) OVER c7 AS s7, sum(cents) OVER c30 AS s30,
            sum(cents * cents) OVER c30 AS q30, max(cents) OVER c30 AS m30
        FROM counted WINDOW {by_count}
    )
    SELECT transaction_id, customer_id, terminal_id, event_timestamp, cents / 100.0 AS amount,
        ((t // {_DAY} + 3) % 7 >= 5)::DOUBLE AS is_weekend, (t % {_DAY} < {7 * _HOUR})::DOUBLE AS is_night,
        n1::DOUBLE AS customer_count_1d, n7::DOUBLE AS customer_count_7d, n30::DOUBLE AS customer_count_30d,
        s1 / n1 / 100.0 AS customer_mean_amount_1d, s7 / n7 / 100.0 AS customer_mean_amount_7d,
        s30 / n30 / 100.0 AS customer_mean_amount_30d,
        sqrt(greatest(q30 - s30 * s30 / n30, 0.0) / greatest(n30 - 1.0, 1.0)) / 100.0 AS customer_deviation_amount_30d,
        m30 / 100.0 AS customer_max_amount_30d,
        k1::DOUBLE AS terminal_count_1d, k7::DOUBLE AS terminal_count_7d, k30::DOUBLE AS terminal_count_30d,
        coalesce(f1, 0) / greatest(k1, 1) AS terminal_risk_1d, coalesce(f7, 0) / greatest(k7, 1) AS terminal_risk_7d,
        coalesce(f30, 0) / greatest(k30, 1) AS terminal_risk_30d,
        cents / 100.0 / (customer_mean_amount_7d + 0.01) AS amount_over_mean_7d,
        cents / 100.0 / (customer_mean_amount_30d + 0.01) AS amount_over_mean_30d,
        customer_mean_amount_1d / (customer_mean_amount_30d + 0.01) AS mean_1d_over_mean_30d,
        customer_mean_amount_7d / (customer_mean_amount_30d + 0.01) AS mean_7d_over_mean_30d,
        (cents / 100.0 - customer_mean_amount_30d) / (customer_deviation_amount_30d + 1.0) AS amount_distance_30d
    FROM summed LEFT JOIN touched USING (transaction_id) ORDER BY event_timestamp, transaction_id"""


def _compare(folder: Path, _last: date) -> Callable[[], None]:
    def call() -> None:
        ours, by_hand = (_kept(_output(folder, path)) for path in ("ours", "by hand"))
        assert ours.num_rows
        assert ours.column_names == by_hand.column_names
        different = [name for name in ours.column_names if not ours[name].equals(by_hand[name].cast(ours[name].type))]
        assert not different, different

    return call


def _keep(table: pa.Table, file: Path) -> None:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _kept(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()


def _output(folder: Path, path: str) -> Path:
    return folder / f"{path.replace(' ', '-')}.arrow"


def _section(rounds: list[Round], last: date) -> str:
    ratios = [costs["ours"].cpu_s / costs["by hand"].cpu_s for costs in rounds]
    over = statistics.median(ratios)
    lines = [
        "## Fraud: window features offline",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        f"{rounds[0]['ours'].rows:,} payments from {FIRST} to {last}, 22 features; medians of {len(rounds)} rounds, "
        "ratios taken within each round; peak is the highest.",
        "",
        "| path | CPU s | CPU µs per payment | wall s | peak MiB |",
        "|---|---|---|---|---|",
        *(_line(rounds, path) for path in ("by hand", "ours")),
        "",
        f"- {'met:' if over <= CPU_BUDGET else '**missed:**'} CPU of ours over the statement by hand: {over:.2f} "
        f"(budget {CPU_BUDGET}). Rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}.",
        f"- Memory over the statement by hand: {_peak(rounds, 'ours') / _peak(rounds, 'by hand'):.2f}.",
    ]
    return "\n".join(lines)


def _line(rounds: list[Round], path: str) -> str:
    cpu_s = statistics.median(costs[path].cpu_s for costs in rounds)
    wall_s = statistics.median(costs[path].wall_s for costs in rounds)
    per_payment = cpu_s / rounds[0][path].rows * 1e6
    return f"| {path} | {cpu_s:.2f} | {per_payment:.2f} | {wall_s:.1f} | {_peak(rounds, path):.0f} |"


def _peak(rounds: list[Round], path: str) -> float:
    return max(costs[path].peak_mb for costs in rounds)


_CHILDREN: dict[str, Callable[[Path, date], Callable[[], pa.Table | None]]] = {
    "prepare": _prepare,
    "by hand": _by_hand,
    "ours": _ours,
    "compare": _compare,
}

if __name__ == "__main__":
    main()
