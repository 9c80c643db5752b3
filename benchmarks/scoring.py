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
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import replace_section

FEATURES = [f"feature_{number:02d}" for number in range(30)]
THREADS = 2
BATCH_ROWS = 65_536
CPU_BUDGET, MEMORY_BUDGET_MB = 1.10, 600


@dataclass(frozen=True)
class Cost:
    """What one process took: CPU seconds, peak resident megabytes (MiB)."""

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


def _measured(folder: Path, rows: list[int], repeats: int) -> str:
    _run("prepare_model", folder, rows[0])
    costs: dict[tuple[str, int], list[Cost]] = {}
    for count in rows:
        _run("prepare_rows", folder, count)
    for repeat in range(repeats):
        for count in rows:
            for name in ("floor", "ours", "naive") if repeat == 0 else ("floor", "ours"):
                costs.setdefault((name, count), []).append(_run(name, folder, count))
    reasons = _run("ours", folder, rows[0], reasons=1000)
    middle = {
        key: Cost(statistics.median(c.cpu_s for c in runs), max(c.peak_mb for c in runs)) for key, runs in costs.items()
    }
    extra = reasons.cpu_s - middle["ours", rows[0]].cpu_s
    return _section(middle, rows, repeats, extra)


def _section(costs: dict[tuple[str, int], Cost], rows: list[int], repeats: int, reasons_cpu_s: float) -> str:
    few, many = rows
    lines = [
        "## Nightly scoring",
        "",
        f"{many:,} x {len(FEATURES)} float32 (3 % NULL), XGBoost with 300 trees of depth 6, {THREADS} threads, "
        f"`OMP_WAIT_POLICY=PASSIVE`. Whole processes; CPU is the median of {repeats} runs in turn (naive: 1 run), "
        "peak the highest.",
        "",
        "| path | rows | CPU s | CPU µs per row | over the floor | peak RSS MiB |",
        "|---|---|---|---|---|---|",
    ]
    for count in rows:
        for name in ("floor", "ours", "naive"):
            cost, floor = costs[name, count], costs["floor", count]
            lines.append(
                f"| {name} | {count:,} | {cost.cpu_s:.1f} | {cost.cpu_s / count * 1e6:.2f} "
                f"| {cost.cpu_s / floor.cpu_s:.2f} | {cost.peak_mb:.0f} |"
            )
    further = {name: (costs[name, many].cpu_s - costs[name, few].cpu_s) / (many - few) for name in ("floor", "ours")}
    ours, naive, floor = costs["ours", many], costs["naive", many], costs["floor", many]
    below = ours.cpu_s < naive.cpu_s and ours.peak_mb < naive.peak_mb
    grown = ours.peak_mb - costs["ours", few].peak_mb
    lines += [
        "",
        f"- {_verdict(ours.cpu_s / floor.cpu_s <= CPU_BUDGET)} CPU per row over the floor at {many:,} rows: "
        f"{ours.cpu_s / floor.cpu_s:.3f} (budget {CPU_BUDGET:.2f}); without start-up "
        f"{further['ours'] * 1e6:.2f} against {further['floor'] * 1e6:.2f} µs per row: "
        f"{further['ours'] / further['floor']:.3f}.",
        f"- {_verdict(ours.peak_mb <= MEMORY_BUDGET_MB)} peak memory {ours.peak_mb:.0f} MiB (budget "
        f"{MEMORY_BUDGET_MB}), {grown:+.0f} MiB from {few:,} to {many:,} rows.",
        f"- {_verdict(below)} below the naive script in both: {ours.cpu_s / naive.cpu_s:.2f} of its CPU, "
        f"{ours.peak_mb / naive.peak_mb:.2f} of its memory.",
        f"- Exact reasons for the 1,000 highest contacts are not in these numbers: they add {reasons_cpu_s:.1f} CPU s, "
        "whatever the number of rows.",
    ]
    return "\n".join(lines)


def _verdict(met: bool) -> str:
    return "met:" if met else "**missed:**"


def _run(child: str, folder: Path, rows: int, reasons: int = 0) -> Cost:
    """What a fresh process of this script took. This one stays small: a child's peak starts at its parent's size."""
    command = [sys.executable, "-m", "benchmarks.scoring", "--child", child, "--folder", str(folder)]
    command += ["--rows", str(rows), "0", "--reasons", str(reasons)]
    threads = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env={**os.environ, **threads})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{child} failed with exit code {process.returncode}")
    cost = Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
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
    from models.scoring.feature_files import feature_batches
    from models.training.calibration import Platt
    from models.training.encoding import Encoder
    from models.training.xgboost_model import XGBoostModel
    from resources.sink.delta_sink import DeltaSink

    booster = xgb.Booster({"nthread": THREADS}, model_file=folder / "model.ubj")
    model = XGBoostModel(booster, Platt(slope=1.0, intercept=0.0))
    scorer = Scorer(model, Encoder(tuple(FEATURES), {}), "1", "v1", "customer_id")
    config = ScoringConfig(batch_rows=BATCH_ROWS, max_reasons_rows=reasons, min_contact_score=0.0)
    files = [str(_rows_file(folder, rows))]
    batches = feature_batches(files, ["customer_id", *FEATURES], batch_rows=BATCH_ROWS)
    with scored(batches, scorer, config, scratch=folder) as result:
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
    frame["model_version"], frame["feature_version"] = "1", "v1"
    wanted = ["customer_id", "score", "decision", "model_version", "feature_version"]
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
