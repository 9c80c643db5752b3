"""Cost of loading the definitions, beyond `import dagster`: every Dagster process pays it once.

CPU seconds (user + system) of fresh interpreters, in turn, after one of each that is not counted.
"""

import argparse
import re
import statistics
import subprocess
import sys

from benchmarks.processes import usage_of
from benchmarks.report import replace_section

BUDGET = 1.6
HEAVY = (
    *("feast", "mlflow", "xgboost", "sklearn", "pandas", "polars", "ibis", "pandera", "matplotlib", "scipy"),
    *("duckdb", "psutil"),
)
_STATEMENTS = {"dagster": "import dagster", "definitions": "import dagster; import pipelines.definitions"}
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")
_OURS = ("models", "resources", "assets", "pipelines")
_SHOWN = 12


def main() -> None:
    """Measure and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    costs: dict[str, list[float]] = {name: [] for name in _STATEMENTS}
    for _ in range(options.repeats + 1):
        for name, statement in _STATEMENTS.items():
            costs[name].append(_cpu_s(statement))
    body = _section({name: runs[1:] for name, runs in costs.items()})
    print(body)
    if not options.dry:
        replace_section("loading", body, libraries=["dagster", "numpy", "pyarrow", "duckdb", "deltalake"])


def _section(costs: dict[str, list[float]]) -> str:
    ratio = statistics.median(loaded / alone for alone, loaded in zip(*costs.values(), strict=True))
    present = _present()
    packages = sorted(_by_package().items(), key=lambda item: -item[1])
    lines = [
        "## Loading the definitions",
        "",
        (__doc__ or "").replace("\n\n", " ").strip(),
        "",
        "| fresh interpreter | CPU s, median | lowest | highest |",
        "|---|---|---|---|",
        *(
            f"| `{_STATEMENTS[name]}` | {statistics.median(runs):.2f} | {min(runs):.2f} | {max(runs):.2f} |"
            for name, runs in costs.items()
        ),
        "",
        f"- {'met:' if ratio <= BUDGET else '**missed:**'} {ratio:.2f} times the CPU of `import dagster` (budget "
        f"{BUDGET}), median of {len(costs['dagster'])} pairs.",
        f"- {'**missed:** loaded: ' + ', '.join(present) if present else 'met: not loaded: ' + ', '.join(HEAVY)}.",
        "",
        f"Where it goes (one interpreter with `-X importtime`, each module counted where it is imported; the {_SHOWN} "
        "largest):",
        "",
        "| package | ms |",
        "|---|---|",
        *(f"| {name} | {spent * 1000:.0f} |" for name, spent in packages[:_SHOWN]),
    ]
    return "\n".join(lines)


def _cpu_s(statement: str) -> float:
    return usage_of([sys.executable, "-c", statement], what=f"`{statement}`").cpu_s


def _present() -> list[str]:
    statement = f"{_STATEMENTS['definitions']}, sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True, text=True).stdout.split()


def _by_package() -> dict[str, float]:
    """Seconds of each top-level package (of each module, if it is ours), without what it imports."""
    marked = "import dagster, sys; sys.stderr.write('----\\n'); import pipelines.definitions"
    trace = subprocess.run([sys.executable, "-X", "importtime", "-c", marked], check=True, capture_output=True)
    spent: dict[str, float] = {}
    for line in trace.stderr.decode().split("----\n")[1].splitlines():
        if found := _LINE.match(line):
            name = (
                found[4]
                if found[4].startswith(("models", "resources", "assets", "pipelines"))
                else found[4].split(".")[0]
            )
            spent[name] = spent.get(name, 0.0) + int(found[1]) / 1e6
    return spent


if __name__ == "__main__":
    main()
