"""Nightly scoring against its floor and against the script one would write without Tessera.

Each path runs in its own process, in turn; CPU seconds (user + system) and peak resident memory are those that the
operating system counted for that process, start-up and imports included.

- floor: decode Parquet into one reused buffer and predict; nothing is written.
- ours: features -> model -> rows of an attempt in the Delta sink, decisions included.
- naive: pandas reads everything, `mlflow.pyfunc` predicts, pandas writes.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import usage_of
from benchmarks.report import replace_section

FEATURES = [f"feature_{number:02d}" for number in range(30)]
THREADS = 2
BATCH_ROWS = 65_536
REASONS = 1_000
CPU_BUDGET, MEMORY_BUDGET_MB = 1.10, 600


@dataclass(frozen=True)
class Cost:
    """Cost of one process: CPU seconds, peak resident megabytes (MiB)."""

    cpu_s: float
    peak_mb: float


def main() -> None:
    """Measure and write the section, or be one of the measured processes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, nargs=2, default=[1_000_000, 5_000_000])
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--reasons", type=int, default=0, help="rows that get reasons, in the path `ours`")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--child", choices=sorted(_CHILDREN))
    arguments.add_argument("--folder", type=Path)
    options = arguments.parse_args()
    if options.child:
        _CHILDREN[options.child](options.folder, options.rows[0], options.reasons)
        return
    folder = Path(tempfile.mkdtemp(prefix="tessera-scoring-"))
    try:
        body = _measured(folder, options.rows, options.repeats)
    finally:
        shutil.rmtree(folder)
    print(body)
    if not options.dry:
        replace_section("scoring", body, libraries=["xgboost", "pyarrow", "deltalake", "mlflow", "pandas"])


Round = dict[tuple[str, int], Cost]


def _measured(folder: Path, rows: list[int], repeats: int) -> str:
    _run("prepare_model", folder, rows[0])
    for count in rows:
        _run("prepare_rows", folder, count)
    return _section([_round(folder, rows) for _ in range(repeats)], rows)


def _round(folder: Path, rows: list[int]) -> Round:
    """Every path once, one after the other: what they took is compared within the round only."""
    costs = {(name, count): _run(name, folder, count) for count in rows for name in ("floor", "ours", "naive")}
    return {**costs, ("with reasons", rows[0]): _run("ours", folder, rows[0], reasons=REASONS)}


def _section(rounds: list[Round], rows: list[int]) -> str:
    few, many = rows
    over = _median(rounds, lambda r: r["ours", many].cpu_s / r["floor", many].cpu_s)
    further = _median(rounds, lambda r: _further(r, "ours", few, many) / _further(r, "floor", few, many))
    naive_cpu = _median(rounds, lambda r: r["ours", many].cpu_s / r["naive", many].cpu_s)
    reasons = _median(rounds, lambda r: r["with reasons", few].cpu_s - r["ours", few].cpu_s)
    peak, naive_peak = _peak(rounds, "ours", many), _peak(rounds, "naive", many)
    lines = [
        "## Nightly scoring",
        "",
        f"{many:,} x {len(FEATURES)} float32 (3 % NULL), XGBoost with 300 trees of depth 6, {THREADS} threads, "
        f"`OMP_WAIT_POLICY=PASSIVE`. Whole processes, imports included, in turn; medians of {len(rounds)} rounds, "
        "ratios taken within each round; peak is the highest.",
        "",
        "| path | rows | CPU s | CPU µs per row | over the floor | peak RSS MiB |",
        "|---|---|---|---|---|---|",
        *(_line(rounds, name, count) for count in rows for name in ("floor", "ours", "naive")),
        "",
        f"- {_verdict(over <= CPU_BUDGET)} CPU per row over the floor at {many:,} rows: {over:.3f} (budget "
        f"{CPU_BUDGET:.2f}); without start-up, from {few:,} to {many:,} rows: {further:.3f}. Rounds: "
        f"{_listed(rounds, lambda r: r['ours', many].cpu_s / r['floor', many].cpu_s)}.",
        f"- {_verdict(peak <= MEMORY_BUDGET_MB)} peak memory {peak:.0f} MiB (budget {MEMORY_BUDGET_MB}), "
        f"{peak - _peak(rounds, 'ours', few):+.0f} MiB from {few:,} to {many:,} rows.",
        f"- {_verdict(naive_cpu < 1 and peak < naive_peak)} below the naive script in both: {naive_cpu:.2f} of its "
        f"CPU, {peak / naive_peak:.2f} of its memory.",
        f"- Exact reasons for the {REASONS:,} highest contacts are not in these numbers: they add {reasons:.1f} CPU s, "
        "whatever the number of rows.",
    ]
    return "\n".join(lines)


def _line(rounds: list[Round], name: str, count: int) -> str:
    cpu_s = _median(rounds, lambda r: r[name, count].cpu_s)
    over = _median(rounds, lambda r: r[name, count].cpu_s / r["floor", count].cpu_s)
    peak = _peak(rounds, name, count)
    return f"| {name} | {count:,} | {cpu_s:.1f} | {cpu_s / count * 1e6:.2f} | {over:.2f} | {peak:.0f} |"


def _further(costs: Round, name: str, few: int, many: int) -> float:
    return costs[name, many].cpu_s - costs[name, few].cpu_s


def _median(rounds: list[Round], value: Callable[[Round], float]) -> float:
    return statistics.median(value(costs) for costs in rounds)


def _listed(rounds: list[Round], value: Callable[[Round], float]) -> str:
    return ", ".join(f"{value(costs):.3f}" for costs in rounds)


def _peak(rounds: list[Round], name: str, count: int) -> float:
    return max(costs[name, count].peak_mb for costs in rounds)


def _verdict(met: bool) -> str:
    return "met:" if met else "**missed:**"


def _run(child: str, folder: Path, rows: int, reasons: int = 0) -> Cost:
    """Run one variant in a fresh process and return its cost.

    Keep the parent small: a child's peak starts at its parent's size.
    """
    command = [sys.executable, "-m", "benchmarks.scoring", "--child", child, "--folder", str(folder)]
    command += ["--rows", str(rows), "0", "--reasons", str(reasons)]
    threads = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
    usage = usage_of(command, what=child, env={**os.environ, **threads})
    cost = Cost(usage.cpu_s, usage.peak_mb)
    print(f"{child} {rows:,}: {cost.cpu_s:.2f} CPU s, {cost.peak_mb:.0f} MiB", file=sys.stderr)
    return cost


def _prepare_model(folder: Path, _rows: int, _reasons: int) -> None:
    import mlflow.xgboost
    import numpy as np
    import pandas as pd
    import xgboost as xgb
    from mlflow.models import infer_signature

    values = _values(np.random.default_rng(1), 200_000)
    signal = np.nan_to_num(values[:, 0] + values[:, 1] * values[:, 2] - np.abs(values[:, 3]))
    labels = signal + np.random.default_rng(2).normal(size=len(signal)) > 0
    parameters = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "nthread": THREADS, "seed": 1}
    matrix = xgb.QuantileDMatrix(values, labels, feature_names=FEATURES)
    booster = xgb.train(parameters, matrix, num_boost_round=300)
    frame = pd.DataFrame(values[:100], columns=pd.Index(FEATURES))
    signature = infer_signature(frame, booster.predict(xgb.DMatrix(frame)))
    mlflow.xgboost.save_model(booster, folder / "mlflow", signature=signature, pip_requirements=["xgboost"])
    booster.feature_names = None
    booster.save_model(folder / "model.ubj")


def _prepare_rows(folder: Path, rows: int, _reasons: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(3)
    columns = [("customer_id", pa.string()), *((name, pa.float32()) for name in FEATURES)]
    with pq.ParquetWriter(_rows_file(folder, rows), pa.schema(columns), compression="zstd") as writer:
        for first in range(0, rows, 125_000):
            values = _values(rng, min(125_000, rows - first))
            ids = pa.array([f"c{number:09d}" for number in range(first, first + len(values))])
            arrays = [pa.array(values[:, at], from_pandas=True) for at in range(len(FEATURES))]
            writer.write_batch(pa.record_batch([ids, *arrays], names=["customer_id", *FEATURES]))


def _values(rng, rows: int):
    values = rng.standard_normal((rows, len(FEATURES)), dtype="float32")
    values[rng.random(values.shape, dtype="float32") < 0.03] = float("nan")
    return values


def _rows_file(folder: Path, rows: int) -> Path:
    return folder / f"rows-{rows}.parquet"


def _floor(folder: Path, rows: int, _reasons: int) -> None:
    import numpy as np
    import pyarrow.parquet as pq
    import xgboost as xgb

    booster = xgb.Booster({"nthread": THREADS}, model_file=folder / "model.ubj")
    buffer = np.empty((BATCH_ROWS, len(FEATURES)), np.float32)
    file = pq.ParquetFile(_rows_file(folder, rows), pre_buffer=False)
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=FEATURES):
        for at, column in enumerate(batch.columns):
            buffer[: batch.num_rows, at] = column.to_numpy(zero_copy_only=False)
        booster.inplace_predict(buffer[: batch.num_rows])


def _ours(folder: Path, rows: int, reasons: int) -> None:
    from datetime import date

    import xgboost as xgb

    from models.scoring.batch import Scorer, scored
    from models.scoring.config import ScoringConfig
    from models.scoring.contacts import DECISIONS, ContactBudget
    from models.scoring.feature_files import feature_batches
    from models.scoring.output import binary_output
    from models.training.calibration import Platt
    from models.training.encoding import Encoder
    from models.training.xgboost_model import XGBoostModel
    from resources.sink.delta_sink import DeltaSink

    booster = xgb.Booster({"nthread": THREADS}, model_file=folder / "model.ubj")
    model = XGBoostModel(booster, Platt(slope=1.0, intercept=0.0))
    encoder, output = Encoder(tuple(FEATURES), {}), binary_output("customer_id", decisions=DECISIONS)
    scorer = Scorer(lambda matrix: {"score": model.predict(matrix)}, encoder, "1", "0" * 64, "v1", output)
    config = ScoringConfig(batch_rows=BATCH_ROWS, max_reasons_rows=reasons, min_contact_score=0.0)
    files = [str(_rows_file(folder, rows))]
    batches = feature_batches(files, ["customer_id", *FEATURES], batch_rows=BATCH_ROWS)
    rule = ContactBudget(model, FEATURES, config)
    with scored(batches, scorer, rule, batch_rows=BATCH_ROWS, scratch=folder) as result:
        written = DeltaSink(str(folder / "sink")).write_attempt("churn", date(2026, 1, 1), "a", result.reader())
    assert written == rows


def _naive(folder: Path, rows: int, _reasons: int) -> None:
    import mlflow.pyfunc
    import pandas as pd

    frame = pd.read_parquet(_rows_file(folder, rows))
    model = mlflow.pyfunc.load_model(str(folder / "mlflow"))
    frame["score"] = model.predict(frame[FEATURES])
    frame["decision"] = "leave"
    frame.loc[frame["score"].nlargest(1000).index, "decision"] = "contact"
    frame["model_version"], frame["model_package"], frame["feature_version"] = "1", "0" * 64, "v1"
    wanted = ["customer_id", "score", "decision", "model_version", "model_package", "feature_version"]
    frame[wanted].to_parquet(folder / "naive.parquet")


_CHILDREN: dict[str, Callable[[Path, int, int], None]] = {
    "prepare_model": _prepare_model,
    "prepare_rows": _prepare_rows,
    "floor": _floor,
    "ours": _ours,
    "naive": _naive,
}

if __name__ == "__main__":
    main()
