"""Duration of a newcomer's first run: `make run` after the installation, in an empty home, and once more.

The first run builds the simulated shop's history and trains a first model; the second does the nightly part only.
Wall-clock seconds depend on the machine's load, CPU seconds (user + system) hardly.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import usage_of
from benchmarks.report import replace_section

BUDGET_WALL_S = 60
#: What the Makefile sets.
_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Run:
    """One run: seconds, peak resident megabytes (MiB), load average before it, seconds on the clock of each step."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    load: float
    steps: Mapping[str, float]


def main() -> None:
    """Measure and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessera-first-run-") as home:
        runs = [_run(Path(home)) for _ in range(2)]
    body = _section(*runs)
    print(body)
    if not options.dry:
        replace_section("first-run", body, libraries=["dagster", "feast", "mlflow", "xgboost", "scikit-learn"])


def _run(home: Path) -> Run:
    load, started = os.getloadavg()[0], time.monotonic()
    environment = {**os.environ, **_THREADS, "TESSERA_HOME": str(home)}
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "run", "churn_nightly"]
    usage = usage_of(command, what="the run", env=environment, stdout=sys.stderr)
    wall = time.monotonic() - started
    return Run(usage.cpu_s, wall, usage.peak_mb, load, _steps(home))


def _steps(home: Path) -> dict[str, float]:
    """Seconds of each step of the newest run of the home."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        newest = instance.get_runs(limit=1)[0].run_id
        stats = instance.get_run_step_stats(newest)
    return {step.step_key.replace("__", "/"): (step.end_time or 0) - (step.start_time or 0) for step in stats}


def _section(first: Run, second: Run) -> str:
    met = first.wall_s <= BUDGET_WALL_S
    lines = [
        "## The first run, and the second",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        "| | CPU s | wall s | peak RSS MiB | load average before |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {run.cpu_s:.1f} | {run.wall_s:.1f} | {run.peak_mb:.0f} | {run.load:.1f} |"
            for name, run in (("first run", first), ("second run", second))
        ),
        "",
        f"- {'met:' if met else '**missed:**'} the first run took {first.wall_s:.0f} s on the clock (budget "
        f"{BUDGET_WALL_S} s on two cores that do nothing else) with {first.cpu_s:.0f} CPU s.",
        "",
        "| step, s on the clock | first | second |",
        "|---|---|---|",
    ]
    for name, seconds in sorted(first.steps.items(), key=lambda step: -step[1]):
        lines.append(f"| {name} | {seconds:.1f} | {second.steps.get(name, 0):.1f} |")
    around = [run.wall_s - sum(run.steps.values()) for run in (first, second)]
    lines.append(f"| start, Dagster, card | {around[0]:.1f} | {around[1]:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
