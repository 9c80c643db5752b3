"""Published demand predictions against what was ordered afterwards, week by week, on Online Retail.

A model is trained each week as `demand_training` does, and promoted if it passes the gate; the week's predictions are
made by the version that serves. Nothing was chosen by looking at what came after these weeks. Orders go through
ingestion, contracts and features as in the jobs.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.demand.app import DEMAND
from assets.demand.assets import cutoff_plan
from assets.stages.cutoff_training import CutoffRows, cutoff_rows, cutoff_task
from assets.stages.ingestion.run import ingest
from assets.stages.promotion import verified
from assets.stages.training import evaluate_candidates, promote_or_keep
from benchmarks.report import replace_section
from models.evaluation.regression_metrics import measure_interval, measure_numbers
from models.training.model import IntervalModel
from resources.registry.fake import FolderRegistry
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.recipes import trainers_of

LAST_KNOWN, WEEKS = date(2011, 8, 31), 16


@dataclass(frozen=True)
class Week:
    """Products of one night, units of the days after, and predictions of them."""

    day: date
    gate: str
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    last: NDArray[np.float64]

    def row(self) -> list[str]:
        """Numbers of the week."""
        found = measure_numbers(self.truth, self.predicted) | measure_interval(self.truth, self.lower, self.upper)
        naive = float(np.abs(self.last - self.truth).mean())
        numbers = (found["mae"], naive, found["d2_absolute_error"], found["coverage"], found["interval_width"])
        return [str(self.day), str(self.truth.size), *(f"{number:.3f}" for number in numbers), self.gate]


def main() -> None:
    """Measure the weeks and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessera-demand-") as home:
        body = _section(_weeks(load_stack(ROOT / "stack.yaml", "online-retail", home, os.environ)))
    print(body)
    if not options.dry:
        replace_section("demand", body, libraries=["xgboost", "scikit-learn", "duckdb"])


def _weeks(stack: Stack) -> list[Week]:
    lake, registry = stack.open("lake"), FolderRegistry(stack.home / "registry")
    ingest("orders", stack.open("source"), lake, LAST_KNOWN, stack.settings.ingestion, "benchmark")
    nights = [LAST_KNOWN - timedelta(days=7 * back) for back in range(WEEKS, 0, -1)]
    return [week for day in nights if (week := _week(stack, registry, day)) is not None]


def _week(stack: Stack, registry: FolderRegistry, day: date) -> Week | None:
    lake, engine, settings = stack.open("lake"), stack.open("engine"), stack.settings.demand
    plan = cutoff_plan(stack.settings)
    rows = cutoff_rows(lake, engine, plan, settings, day)
    task = cutoff_task(plan, rows, settings, settings.gate)
    found = evaluate_candidates(task, trainers_of(settings.candidates), registry, day)
    gate = "passed" if found.passing else f"stopped by {', '.join(found.report.stopped_by)}"
    if found.passing is None and registry.champion(DEMAND.name) is None:
        return None
    promote_or_keep(task, found, registry, stack.open("notifier"), run_id="benchmark", who="benchmark")
    ledger = registry.ledger(DEMAND.name)[-1]
    print(f"{day}: gate {gate}; {ledger.why}", flush=True)
    serving = verified(registry, DEMAND.name, str(registry.champion(DEMAND.name))).model
    return _predicted(stack, rows, serving.model, serving.encoder.matrix(rows.tonight), day, gate)


def _predicted(
    stack: Stack, rows: CutoffRows, model: object, matrix: NDArray[np.float32], day: date, gate: str
) -> Week:
    assert isinstance(model, IntervalModel)
    plan, entities = cutoff_plan(stack.settings), rows.tonight
    tables = {"orders": stack.open("lake").scan("orders"), "entities": entities}
    days = {"horizon_days": stack.settings.demand.horizon_days, "as_of": LAST_KNOWN}
    labelled: pa.Table = stack.open("engine").query(plan.labels, tables, **days).read_all().sort_by("product_id")
    assert labelled["product_id"].equals(entities["product_id"])
    lower, upper = model.interval(matrix)
    truth, last = labelled["units"].to_numpy(), entities["units_last_1"].to_numpy()
    return Week(day, gate, truth, model.predict(matrix), lower, upper, last)


def _section(weeks: list[Week]) -> str:
    header = ["night", "products", "MAE", "MAE of last week", "D²", "coverage", "width", "gate"]
    lines = [header, ["---"] * len(header), *(week.row() for week in weeks)]
    everything = [np.concatenate([getattr(week, name) for week in weeks]) for name in ("truth", "lower", "upper")]
    covered = measure_interval(*everything)["coverage"]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    said = f"{covered:.1%} of all labels of {len(weeks)} weeks lie within their 80 % interval."
    return f"## Demand on Online Retail\n\n{__doc__}\n{table}\n\n{said}"


if __name__ == "__main__":
    main()
