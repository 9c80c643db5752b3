"""Overhead of composition: a step on one record, and on batches over calling the children directly, in CPU time.

Both sides of a ratio are timed in turn in one process; the medians of the rounds are compared.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from benchmarks.report import replace_section
from models.compose import tracing
from models.compose.batch import Batch, from_records
from models.compose.budget import Budget
from models.compose.call import new_call
from models.compose.fan_out import FanOut
from models.compose.fields import Column, fields
from models.compose.merges import Mean
from models.compose.router import Below, Router
from models.compose.sequence import Sequence
from models.compose.step import Leaf, Step
from models.training.xgboost_model import Boosting, fit_xgboost

ROUNDS, CALLS, STEPS, ROWS, FEATURES = 30, 500, 5, 100_000, 30


def main() -> None:
    """Measure and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    body = _section()
    print(body)
    if not options.dry:
        replace_section("composition", body, libraries=["numpy", "xgboost"])


def _section() -> str:
    chain, plain = _per_step(_chain())
    with _tracing():
        traced, _ = _per_step(_chain())
    routed, _ = _per_step(_routed())
    start, _ = _in_turn(lambda: new_call(Budget(latency_ms=600_000)), lambda: None, CALLS)
    fan, direct = _batches()
    return "\n".join(
        [
            "## Composition",
            "",
            "| one record, in process | CPU us per step |",
            "|---|---|",
            f"| sequence of {STEPS} steps | {chain:.1f} |",
            f"| the same, each step's span recorded by OpenTelemetry's SDK, exported nowhere | {traced:.1f} |",
            f"| router, first step answers | {routed:.1f} |",
            f"| start of a call with its budget | {start * 1e6:.1f} |",
            f"| the functions called directly | {plain:.1f} |",
            "",
            f"| {ROWS:,} rows x {FEATURES} features, two XGBoost models | CPU ms | over direct |",
            "|---|---|---|",
            f"| both models and the mean, called directly | {direct:.0f} | |",
            f"| fan-out with a mean of log-odds | {fan:.0f} | {fan / direct:.3f} |",
            "",
            "Each call has a budget with a deadline, and every value of every step is checked against its contract.",
        ]
    )


@contextmanager
def _tracing() -> Iterator[None]:
    """Record the spans of steps."""
    from opentelemetry.sdk.trace import TracerProvider

    with patch.object(tracing, "_TRACER", TracerProvider().get_tracer("tessera")):
        yield


def _per_step(step_and_calls: tuple[Step, Callable[[], object], int]) -> tuple[float, float]:
    """Return CPU us per step of the composition and of the plain calls, medians over the rounds."""
    step, plain, count = step_and_calls
    record = from_records([{"x": 1.0}], step.takes)
    call = new_call(Budget(latency_ms=600_000))
    composed = _in_turn(lambda: step.run(record, call), plain, CALLS)
    return composed[0] * 1e6 / count, composed[1] * 1e6 / count


def _chain() -> tuple[Step, Callable[[], object], int]:
    def work(value: Column) -> Column:
        return value + 1

    def leaf(place: int) -> Leaf:
        takes, gives = ("x" if place == 0 else f"y{place - 1}"), f"y{place}"
        function = lambda **columns: {gives: work(columns[takes])}  # noqa: E731
        return Leaf(f"s{place}", fields("In", {takes: "number"}), fields("Out", {gives: "number"}), function)

    one = np.ones(1)

    def plain() -> None:
        value = one
        for _ in range(STEPS):
            value = work(value)

    return Sequence("chain", [leaf(place) for place in range(STEPS)]), plain, STEPS


def _routed() -> tuple[Step, Callable[[], object], int]:
    def leaf(name: str) -> Leaf:
        return Leaf(
            name, fields("In", {"x": "number"}), fields("Out", {"confidence": "number"}), lambda x: {"confidence": x}
        )

    return Router("router", [leaf("cheap"), leaf("dear")], Below("confidence", (0.5,))), lambda: None, 2


def _batches() -> tuple[float, float]:
    """Return CPU ms of the fan-out of two models and of the same by hand."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    labels = (rows[:, 0] + rng.normal(size=ROWS) > 0).astype(np.int8)
    models = [_model(rows[:20_000], labels[:20_000], depth) for depth in (2, 4)]
    takes = fields("Features", {"features": f"vector({FEATURES})"})

    def leaf(name: str, place: int) -> Leaf:
        predict = models[place].predict
        return Leaf(name, takes, fields("P", {"p": "number"}), lambda features: {"p": predict(features)})

    fan = FanOut("mean", {"a": leaf("a", 0), "b": leaf("b", 1)}, Mean("p", scale="log_odds"))
    batch = Batch({"features": rows}, ROWS)

    def direct() -> object:
        odds = [np.log(p / (1 - p)) for p in (model.predict(rows) for model in models)]
        return 1 / (1 + np.exp(-(odds[0] + odds[1]) / 2))

    np.testing.assert_allclose(fan.run(batch, new_call()).batch["p"], direct(), atol=1e-9)
    composed, by_hand = _in_turn(lambda: fan.run(batch, new_call()), direct, 1)
    return composed * 1000, by_hand * 1000


def _model(rows: np.ndarray, labels: np.ndarray, depth: int):
    parameters = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.1, "max_bin": 64, "nthread": 1}
    boosting = Boosting(max_rounds=100, patience=10, folds=2, seed=0, rounds=100)
    return fit_xgboost(rows, labels, np.arange(labels.size), parameters=parameters, boosting=boosting).model


def _in_turn(first: Callable[[], object], second: Callable[[], object], calls: int) -> tuple[float, float]:
    """Return CPU seconds of a call of each, medians over rounds in which both are timed in turn."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for work, times in zip((first, second), taken, strict=True):
            begin = time.process_time()
            for _ in range(calls):
                work()
            times.append((time.process_time() - begin) / calls)
    return statistics.median(taken[0]), statistics.median(taken[1])


if __name__ == "__main__":
    main()
