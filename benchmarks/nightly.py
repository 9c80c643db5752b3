"""Cost of Dagster, the checks and the card: the whole nightly job against one plain script that does the same work.

The script calls the same functions in the same order, from ingestion to publication, in one process. Both score the
same day of the same simulated shop, each time on a fresh copy of the same home, which has a champion and the published
day before. The champion was trained on a small shop: its training changes no cost of a night. What the watch costs is
counted around its calls in the job: it compares the tables with their own history. The empty job is the nightly
job's graph without bodies, on a storage of the same kind: the least that Dagster takes for as many steps, checks and
events. Job and script of a pair run at the same time, each on a core of its own, and change cores from pair to pair:
what else the machine does meets both.
"""

import argparse
import importlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import usage_of
from benchmarks.report import replace_section

DAY = date(2026, 1, 31)
BUDGET = 1.08
WATCH_BUDGET = 0.05
_ROOT = Path(__file__).resolve().parent.parent
#: Records of the large shop begin this long before the day: the population's 180 days and some more.
_HISTORY_DAYS = 200
#: Steps that do nothing in a night whose application has a champion.
_OF_TRAINING = {"training_set", "candidate", "champion"}


@dataclass(frozen=True)
class Cost:
    """CPU seconds (user + system) of a process, of its work after the imports at its top, and of the watch in it."""

    process_s: float
    work_s: float
    wall_s: float
    watch_s: float = 0.0


def main() -> None:
    """Measure and write the section, or be one of the measured processes."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--customers", type=int, default=100_000)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--folder", type=Path, help="holds the prepared homes and is kept; default: a temporary one")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--child", choices=sorted(_CHILDREN))
    arguments.add_argument("--note", type=Path, help="where a child says what its work took")
    options = arguments.parse_args()
    if options.child:
        _CHILDREN[options.child](options.note)
        return
    with tempfile.TemporaryDirectory(prefix="tessera-nightly-") as place:
        folder = options.folder or Path(place)
        if not (folder / "prepared").exists():
            _prepare(folder, options.customers)
        body = _measured(folder, options.customers, options.repeats)
    print(body)
    if not options.dry:
        replace_section("nightly", body, libraries=["dagster", "duckdb", "deltalake", "polars", "xgboost"])


def _measured(folder: Path, customers: int, repeats: int) -> str:
    costs: dict[str, list[Cost]] = {name: [] for name in ("dagster", "empty", "plain", "nightly")}
    digests: set[str] = set()
    cores = sorted(os.sched_getaffinity(0)) * 2  # a machine of one core lets them take turns on it
    for repeat in range(repeats):
        for name in ("dagster", "empty"):
            costs[name].append(_run(name, folder, "home", cores[0]))
        pair = ("plain", "nightly")
        for name in pair:
            shutil.rmtree(folder / name, ignore_errors=True)
            shutil.copytree(folder / "prepared", folder / name)
        with ThreadPoolExecutor(len(pair)) as pool:
            ran = pool.map(_run, pair, [folder] * 2, pair, (cores[repeat % 2], cores[1 - repeat % 2]))
        for name, cost in zip(pair, ran, strict=True):
            costs[name].append(cost)
            digests.add(_published(folder / name))
    if len(digests) != 1:
        raise SystemExit(f"They did not publish the same rows: {digests}")
    return _section(folder, customers, costs)


def _write_stack(folder: Path, customers: int) -> None:
    """Two profiles of one home: a small shop to learn from, the large one to score."""
    document = yaml.safe_load((_ROOT / "stack.yaml").read_text())
    first = DAY - timedelta(days=_HISTORY_DAYS)
    document["profiles"]["large"] = {
        "extends": "local",
        "calendar": {"first_day": first},
        "ports": {"source": {"kind": "simulated", "customers": customers, "seed": 7, "first_day": first.isoformat()}},
    }
    (folder / "stack.yaml").write_text(yaml.safe_dump(document))


def _prepare(folder: Path, customers: int) -> None:
    folder.mkdir(exist_ok=True)
    _write_stack(folder, customers)
    yesterday = DAY - timedelta(days=1)
    _tessera(folder, "local", "run", "churn_training", "--date", yesterday.isoformat())
    shutil.rmtree(folder / "home" / "lake")
    _tessera(folder, "large", "run", "churn_nightly", "--date", yesterday.isoformat())
    shutil.copytree(folder / "home", folder / "prepared")
    for name in ("graph", "empty"):  # the first empty run makes its storage's tables
        _run(name, folder, "home", min(os.sched_getaffinity(0)))


def _tessera(folder: Path, profile: str, *words: str) -> None:
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", *words]
    subprocess.run(command, env=_environment(folder, profile, "home"), check=True)


def _environment(folder: Path, profile: str, home: str) -> dict[str, str]:
    place = {"TESSERA_STACK": str(folder / "stack.yaml"), "TESSERA_HOME": str(folder / home)}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **place, **threads, "TESSERA_PROFILE": profile}


def _run(child: str, folder: Path, home: str, core: int) -> Cost:
    """Run one variant in a fresh process on one core and return its cost."""
    note = folder / f"{child}.note"
    command = [sys.executable, "-m", "benchmarks.nightly", "--child", child, "--note", str(note)]
    started, environment = time.monotonic(), _environment(folder, "large", home)
    usage = usage_of(command, what=child, core=core, env=environment, stdout=sys.stderr)
    work_s, *watch_s = (float(each) for each in note.read_text().split())
    cost = Cost(usage.cpu_s, work_s, time.monotonic() - started, *watch_s)
    print(f"{child}: {cost}", file=sys.stderr, flush=True)
    return cost


def _published(home: Path) -> str:
    """Digest of the published rows."""
    from resources.sink.delta_sink import DeltaSink

    standing = DeltaSink(str(home / "scores")).published("churn", DAY)
    if standing is None:
        raise SystemExit("nothing was published")
    return f"{standing.rows} rows {standing.digest}"


def _dagster(note: Path) -> None:
    """Import Dagster alone: the plain script pays for it too, since our adapters' settings are Dagster's."""
    importlib.import_module("dagster")
    note.write_text("0")


def _graph(note: Path) -> None:
    """Write the nightly job's graph beside the note: key, parents and checks of each asset."""
    from pipelines.definitions import defs

    job = defs.resolve_job_def("churn_nightly")
    nodes = [
        {
            "key": node.key.path,
            "parents": [key.path for key in node.parent_keys],
            "checks": [key.name for key in node.check_keys],
        }
        for node in (job.asset_layer.asset_graph.get(key) for key in job.asset_layer.selected_asset_keys)
    ]
    (note.parent / "graph.json").write_text(json.dumps(nodes))
    note.write_text("0")


def _empty(note: Path) -> None:
    """Run assets that do nothing, with the nightly job's keys, parents and checks, on a storage of their own."""
    import dagster as dg

    started = time.process_time()
    days = dg.DailyPartitionsDefinition(start_date=(DAY - timedelta(days=_HISTORY_DAYS)).isoformat())

    def empty(key: list[str], parents: list[list[str]], checks: list[str]) -> dg.AssetsDefinition:
        @dg.asset(
            key=key,
            deps=[dg.AssetKey(parent) for parent in parents],
            partitions_def=days,
            check_specs=[dg.AssetCheckSpec(name, asset=dg.AssetKey(key)) for name in checks],
            output_required=key[-1] not in _OF_TRAINING,
        )
        def nothing():  # no return type: Dagster refuses any but a tuple where a step may leave out results
            if key[-1] not in _OF_TRAINING:
                results = [dg.AssetCheckResult(passed=True, check_name=name) for name in checks]
                yield dg.MaterializeResult(check_results=results)

        return nothing

    assets = [empty(**node) for node in json.loads((note.parent / "graph.json").read_text())]
    job = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("job", "*", executor_def=dg.in_process_executor)])
    home = note.parent / "empty"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.get() as instance:
        ended = job.resolve_job_def("job").execute_in_process(instance=instance, partition_key=DAY.isoformat())
    note.write_text(str(time.process_time() - started))
    raise SystemExit(0 if ended.success else 1)


def _nightly(note: Path) -> None:
    """Run the command `tessera run churn_nightly`, with all that it does before and after the job."""
    watch_s = _counted("assets.stages.watch.table_watch", "watch", "watch_freshness")
    from pipelines.cli import main as tessera

    importlib.import_module("pipelines.definitions")
    started = time.process_time()
    sys.argv = ["tessera", "run", "churn_nightly", "--date", DAY.isoformat()]
    try:
        tessera()
    finally:
        note.write_text(f"{time.process_time() - started} {sum(watch_s)}")


def _counted(module: str, *names: str) -> list[float]:
    """Return a list that grows by the CPU seconds of each call of these functions, for later imports."""
    taken: list[float] = []
    place = importlib.import_module(module)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            before = time.process_time()
            try:
                return function(*arguments)
            finally:
                taken.append(time.process_time() - before)

        return called

    for name in names:
        setattr(place, name, counted(getattr(place, name)))
    return taken


def _plain(note: Path) -> None:
    """Do the same work as the job, line by line."""
    from assets.churn.features import write_features
    from assets.churn.scoring import scoring_task
    from assets.stages.batch_scoring import Night, score
    from assets.stages.ingestion.run import ingest
    from assets.stages.publication import publish
    from assets.stages.watch.table_watch import watch, watch_freshness
    from models.contracts.shop import CONTRACTS
    from resources.stack.loader import active_stack

    started = time.process_time()
    stack = active_stack()
    source, lake, engine = stack.open("source"), stack.open("lake"), stack.open("engine")
    registry, sink, notifier = stack.open("registry"), stack.open("sink"), stack.open("notifier")
    for table in ("customers", "products", "orders"):
        if ingest(table, source, lake, DAY, stack.settings.ingestion, "plain").breaks(stack.settings.ingestion):
            raise SystemExit(f"too many rows of {table} in quarantine")
        watch(lake, CONTRACTS[table], DAY, stack.settings.watch)
        watch_freshness(lake, CONTRACTS[table], DAY, stack.settings.watch)
    write_features(lake, engine, stack.settings.churn, [DAY])
    scored = score(Night(scoring_task(stack.settings.churn), lake, registry, sink, notifier, DAY, "plain"))
    if not scored.audit.passed:
        raise SystemExit("the audit stopped the scores")
    print(publish(sink, notifier, "churn", DAY).verdict)
    note.write_text(str(time.process_time() - started))


_CHILDREN = {
    "dagster": _dagster,
    "graph": _graph,
    "empty": _empty,
    "nightly": _nightly,
    "plain": _plain,
}


def _section(folder: Path, customers: int, costs: dict[str, list[Cost]]) -> str:
    process = {name: statistics.median(cost.process_s for cost in runs) for name, runs in costs.items()}
    work = {name: statistics.median(cost.work_s for cost in runs) for name, runs in costs.items()}
    wall = {name: statistics.median(cost.wall_s for cost in runs) for name, runs in costs.items()}
    ratio, low, high = _ratio(costs)
    watch = statistics.median(cost.watch_s for cost in costs["nightly"])
    share = watch / process["nightly"]
    without = process["nightly"] / (process["plain"] - process["dagster"])
    rows, orders = int(_published(folder / "nightly").split()[0]), _orders(folder / "nightly")
    lines = [
        "## A whole night against a plain script",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        f"A shop of {customers:,} customers with {_HISTORY_DAYS} days of history ({orders:,} order lines); {rows:,} "
        f"customers scored on {DAY}. Fresh processes, median of {len(costs['plain'])}; every run published "
        "the same rows.",
        "",
        "| | CPU s, whole process | CPU s after imports | wall s |",
        "|---|---|---|---|",
        *(
            f"| {title} | {process[name]:.2f} | {work[name]:.2f} | {wall[name]:.1f} |"
            for name, title in (
                ("nightly", "`tessera run churn_nightly`"),
                ("plain", "plain script"),
            )
        ),
        f"| the job's graph without bodies | {process['empty']:.2f} | {work['empty']:.2f} | {wall['empty']:.1f} |",
        f"| `import dagster` alone | {process['dagster']:.2f} | | {wall['dagster']:.1f} |",
        "",
        f"- {_verdict(high <= BUDGET, low > BUDGET)} CPU of the whole process over the plain script's: {ratio:.3f}, "
        f"geometric mean of {len(costs['plain'])} pairs, 95 % interval {low:.3f} .. {high:.3f} (budget {BUDGET:.2f}); "
        f"single pairs {_pairs(costs)}.",
        f"- {_verdict(share <= WATCH_BUDGET, share > WATCH_BUDGET)} The watch takes {watch:.2f} CPU s, {share:.1%} of "
        f"the night (budget {WATCH_BUDGET:.0%}).",
        f"- After imports: {work['nightly'] / work['plain']:.3f}. The difference of "
        f"{process['nightly'] - process['plain']:.1f} CPU s is loading the definitions and Dagster's "
        "records of the run; it does not grow with the customers.",
        f"- Dagster alone takes {process['empty'] - process['dagster']:.1f} CPU s for this graph without bodies, "
        f"{(process['empty'] - process['dagster']) / process['plain']:.1%} of the plain script: no job of these steps "
        "and checks costs less on SQLite.",
        f"- The plain script imports Dagster too, because adapters describe their settings with it. Against a script "
        f"without that cost: {without:.3f}.",
    ]
    return "\n".join(lines)


def _ratio(costs: dict[str, list[Cost]]) -> tuple[float, float, float]:
    """Return the geometric mean of night over script, pair by pair, and its 95 % interval by Student's t."""
    from scipy.stats import t

    logs = [math.log(a.process_s / b.process_s) for a, b in zip(costs["nightly"], costs["plain"], strict=True)]
    mean = statistics.fmean(logs)
    half = float(t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs)) if logs[1:] else math.inf
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _verdict(is_met: bool, is_missed: bool) -> str:
    return "met:" if is_met else "**missed:**" if is_missed else "**undecided:**"


def _pairs(costs: dict[str, list[Cost]]) -> str:
    ratios = [a.process_s / b.process_s for a, b in zip(costs["nightly"], costs["plain"], strict=True)]
    return f"{min(ratios):.3f} .. {max(ratios):.3f}"


def _orders(home: Path) -> int:
    from deltalake import DeltaTable

    return DeltaTable(str(home / "lake" / "orders")).count()


if __name__ == "__main__":
    main()
