"""Speed and memory of personalization: a night, one request, training, the assignment of variants.

The shop is synthetic: customers of 50 tastes, products by Zipf's law, a year of purchases and views. Its lists are made
and written as a night does it (`assets.stages.attempt_rows.write_composed`), each size in a process of its own. The
ranker is trained and chosen on two past cut-offs of the same shop.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from assets.personalization.app import FEATURE_VERSION, PERSONALIZATION
from assets.personalization.holdout import FixedTables
from assets.personalization.lists import lists_of, row_of
from assets.stages.attempt_rows import Night, write_composed
from assets.stages.feature_days import DAY
from assets.stages.score_sources import CompositionSource
from assets.stages.scoring_task import ComposedScoring, ScoringTask
from benchmarks.report import replace_section
from models.compose.batch import from_records
from models.compose.budget import Budget
from models.compose.call import new_call
from models.compose.package import LoadedComposition
from models.experiments.assignment import Assignment
from models.personalization.composition import personalization
from models.personalization.config import StepsConfig
from models.personalization.known import Known, Offers, OneDay
from models.personalization.parts import RankerPart
from models.personalization.tables import known_tables
from models.personalization.training import PastCutoff, trained_ranker
from models.recommend.config import RankerConfig, RecommenderConfig
from models.recommend.interactions import Interactions
from models.recommend.ranking_metrics import targets
from models.settings import Settings
from resources.lake.delta import DeltaLake
from resources.notifier.log import LogNotifier
from resources.registry.fake import FolderRegistry
from resources.sink.delta_sink import DeltaSink

_DAY = date(2025, 12, 31)
_NOW = (_DAY - date(1970, 1, 1)).days + 1
_TASTES, _CATEGORIES = 50, 40
#: Purchases and views of a customer in the year, in the mean.
_BOUGHT, _LOOKED = 12, 24
_TRAINED_ON = 2_000


def main() -> None:
    """Measure and write the section, or be the night of one size."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--customers", type=int, nargs="+", default=[20_000, 100_000])
    arguments.add_argument("--products", type=int, default=10_000)
    arguments.add_argument("--made", type=int, default=0, help="lists that are made, of all customers; 0: of each")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    arguments.add_argument("--child", action="store_true", help="one size, as JSON")
    options = arguments.parse_args()
    if options.child:
        print(json.dumps(measured(options.customers[0], options.products, options.made)))
        return
    found = [_in_a_process(one, options.products, options.made) for one in options.customers]
    body = section(found, options.products, assigned_us())
    print(body)
    if not options.dry:
        replace_section("recommendation-speed", body, libraries=["xgboost", "numpy", "scipy"])


def _in_a_process(customers: int, products: int, made: int) -> dict[str, Any]:
    sizes = ["--customers", str(customers), "--products", str(products), "--made", str(made)]
    command = [sys.executable, "-m", "benchmarks.recommendation_speed", "--child", *sizes]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def measured(customers: int, products: int, made: int) -> dict[str, Any]:
    """Return the numbers of one size: CPU seconds, peak memory (MiB) before and after the lists, steps of a request."""
    known = shop(customers, products)
    config = RecommenderConfig(ranker=RankerConfig(kinds=("frequency", "xgboost_mean")))
    started = time.process_time()
    tables = known_tables(known, config.generators)
    tables_s = time.process_time() - started
    trained = trained_ranker([_cutoff(known), _cutoff(known, 28)], config)
    training_s = time.process_time() - started - tables_s
    steps = StepsConfig(recommender=config, deadline_ms=None)
    ranker: dict[str, Any] = {"ranker": RankerPart(trained.ranker)}
    made_of = personalization(ranker, OneDay(known), FixedTables(tables), steps)
    loaded = LoadedComposition(made_of, made_of.step(), "0" * 64, (), {})
    before = _peak_mb()
    ids = known.events.customers[: made or customers]
    with tempfile.TemporaryDirectory() as folder:
        lists_s = night(Path(folder), loaded, ids)
    return {
        "customers": customers,
        "lists": len(ids),
        "tables_s": tables_s,
        "training_s": training_s,
        "chosen": trained.choice.name,
        "lists_s": lists_s,
        "before_mb": before,
        "peak_mb": _peak_mb(),
        **requests(loaded, known),
    }


def shop(customers: int, products: int) -> Known:
    """Return a shop of that size as of the end of `_DAY`."""
    rng = np.random.default_rng(7)
    category = rng.integers(0, _CATEGORIES, products)
    offers = Offers(
        ids=np.array([f"p{number:05}" for number in range(products)]),
        on_hand=rng.integers(0, 60, products).astype(np.float64),
        price=np.exp(rng.normal(2, 1, products)),
        unit_cost=np.ones(products),
        is_promoted=rng.random(products) < 0.05,
        is_durable=rng.random(products) < 0.2,
        launched=_NOW - rng.integers(1, 2_000, products).astype(np.float64),
        category=np.array([f"kind {one}" for one in category], dtype=object),
        name=np.array([""] * products, dtype=object),
    )
    ids = np.array([f"c{number:06}" for number in range(customers)])
    bought = _events(rng, ids, offers.ids, _BOUGHT)
    countries = np.array(["Germany", "France", "Spain"], dtype=object)[np.arange(customers) % 3]
    return Known(_DAY, bought, bought, _events(rng, ids, offers.ids, _LOOKED), offers, countries, "1")


def _events(rng: np.random.Generator, ids: Any, products: Any, mean: int) -> Interactions:
    """Return events of customers, half of them of the part of the catalogue that is to their taste."""
    count = 1 + rng.poisson(mean - 1, ids.size)
    customer = np.repeat(np.arange(ids.size, dtype=np.int32), count)
    n = customer.size
    place = np.minimum((products.size ** rng.random(n)).astype(np.int64), products.size - 1)
    own = place - place % _TASTES + customer % _TASTES
    product = np.minimum(np.where(rng.random(n) < 0.5, own, place), products.size - 1).astype(np.int32)
    day = (_NOW - rng.integers(1, 366, n)).astype(np.float32)
    order = np.lexsort((day, product, customer))
    rows = np.column_stack([customer[order], product[order], day[order].astype(np.int64)])
    rows = rows[np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)]]
    codes = rows[:, :2].astype(np.int32)
    return Interactions(ids, products, codes[:, 0], codes[:, 1], rows[:, 2].astype(np.float32), is_timed=True)


def _cutoff(known: Known, earlier: int = 0, days: int = 28) -> PastCutoff:
    """Return a past cut-off with `_TRAINED_ON` customers, and what they bought after it."""
    now = known.now - days - earlier
    day = date(1970, 1, 1) + timedelta(days=int(now) - 1)
    parts = [each.chosen(each.day < now) for each in (known.events, known.bought, known.looked)]
    events = known.events
    after = (events.day >= now) & (events.day < now + days)
    after &= events.customer < _TRAINED_ON
    before = Known(day, parts[0], parts[1], parts[2], known.offers, known.countries, "1")
    return PastCutoff(before, targets(events.customer[after], events.product[after]))


def night(folder: Path, loaded: LoadedComposition, ids: Any) -> float:
    """Return the CPU seconds of making and writing the lists of customers."""
    lake, settings = DeltaLake(str(folder / "lake")), Settings()
    rows = {"customer_id": pa.array(ids), DAY: pa.array([_DAY] * len(ids), pa.date32())}
    lake.replace(PERSONALIZATION.features, pa.table(rows), by=DAY, first=_DAY, last=_DAY)

    def score(found: LoadedComposition, profiles: pa.Table) -> Any:
        return lists_of(found, profiles, lake=lake, settings=settings)

    task = ScoringTask(
        app=PERSONALIZATION,
        audit=settings.personalization.audit,
        composed=ComposedScoring({}, {}, FEATURE_VERSION, score, lambda _: Budget()),
    )
    sink = DeltaSink(str(folder / "scores"))
    registry, notifier = FolderRegistry(folder / "models"), LogNotifier(folder / "notices")
    source = CompositionSource("fresh", _DAY, "1", loaded, FEATURE_VERSION)
    started = time.process_time()
    write_composed(Night(task, lake, registry, sink, notifier, _DAY, "benchmark"), source)
    return time.process_time() - started


def requests(loaded: LoadedComposition, known: Known, count: int = 200) -> dict[str, Any]:
    """Return CPU milliseconds of one list, with and without a visit, and of its steps."""
    rng = np.random.default_rng(0)
    spent, steps = list[float](), defaultdict[str, list[float]](list)
    for number in range(count):
        events = [{"product_id": str(known.offers.ids[rng.integers(known.offers.ids.size)]), "kind": "view"}]
        visit = {"events": events} if number % 2 else {}
        id = str(known.events.customers[rng.integers(known.events.customers.size)])
        record = {"customer_id": id, "as_of": _DAY.isoformat(), "session": visit}
        call, started = new_call(), time.process_time()
        outcome = loaded.step.run(from_records([record], loaded.step.takes), call)
        row_of(outcome.batch.records()[0])
        spent.append((time.process_time() - started) * 1000)
        for run in call.log:
            steps[run.step].append(run.ms)
    shown = {name: statistics.median(values) for name, values in steps.items()}
    return {"request_ms": statistics.median(spent), "request_p99_ms": float(np.quantile(spent, 0.99)), "steps": shown}


def assigned_us(count: int = 200_000) -> float:
    """Return the microseconds of one assignment to a variant."""
    assignment = Assignment("trial", {"control": 0.5, "treated": 0.5})
    units = [f"c{number:06}" for number in range(count)]
    started = time.process_time()
    for unit in units:
        assignment.variant(unit)
    return (time.process_time() - started) / count * 1e6


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def section(found: list[dict[str, Any]], products: int, assignment_us: float) -> str:
    """Return the section of the page."""
    lines = [
        f"## Personalization: speed and memory, {products:,} products",
        "",
        "| customers | lists/s per core | tables, CPU s | training, CPU s | peak MiB before the lists | after them |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        speed = one["lists"] / one["lists_s"]
        cells = (f"{speed:,.0f}", *(f"{one[name]:.0f}" for name in ("tables_s", "training_s", "before_mb", "peak_mb")))
        lines.append(f"| {one['customers']:,} | {' | '.join(cells)} |")
    last = found[-1]
    steps = ", ".join(f"{name} {ms:.2f}" for name, ms in last["steps"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"{last['lists']:,} lists in the last row, of 100 candidates each, by {last['chosen']}. Training: "
            f"two cut-offs of at most {_TRAINED_ON:,} customers, tables of each included. One request: "
            f"{last['request_ms']:.1f} ms CPU (p50), {last['request_p99_ms']:.1f} (p99), half of them with a visit; "
            f"steps, wall ms (p50): {steps}. Assignment to a variant: {assignment_us:.2f} us. "
            "Goals: memory flat, 10 ms, 2 us.",
        ]
    )


if __name__ == "__main__":
    main()
