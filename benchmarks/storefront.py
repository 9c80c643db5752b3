"""Lists of the simulated storefront beside the best reachable ones: which share of their NDCG each ranker reaches.

A home is made as the nights make it, with every table of the source; the gate's hold-out is what known customers wanted
in the weeks after the newest cut-off. The best lists know the laws of the shop (`models.simulation`).
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from assets.personalization.holdout import Holdout, holdout_of, lists_of_composition
from assets.personalization.known import TABLES
from assets.personalization.learning import candidate, margin_order, past_cutoff, wanted_rows
from assets.stages.ingestion.run import ingest
from benchmarks.report import replace_section
from models.ingestion import IngestionConfig
from models.personalization.composition import personalization
from models.personalization.gate import Judged, Wanted, leads, quality_of
from models.personalization.parts import RankerPart
from models.personalization.training import trained_ranker
from models.recommend.ranking_metrics import hits
from models.settings import PersonalizationSettings
from models.simulation.bayes_optimal_storefront import best_lists, expected_wants
from models.simulation.learner_storefront import learned_wants
from models.simulation.storefront import LIST_DAYS, Storefront
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.registry.fake import FolderRegistry
from resources.source.simulated import SimulatedSource, SimulatedSourceConfig

BEST, LEARNED = "best reachable", "learner that knows the laws of the shop"
_FIRST = date(2025, 1, 1)
_GOAL = 0.85
_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)


def main() -> None:
    """Measure, print and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--customers", type=int, default=3_000, help="of the simulated shop")
    arguments.add_argument("--days", type=int, default=460, help="of its history")
    arguments.add_argument("--margin", action="store_true", help="measure what weighing margins costs, instead")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    name, measured = ("storefront-margin", margin_section) if options.margin else ("storefront", section)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        body = measured(Path(folder), options.customers, options.days)
    body += f"\n\n{time.process_time() - started:.0f} CPU s."
    print(body)
    if not options.dry:
        replace_section(name, body, libraries=["xgboost", "numpy"])


def section(folder: Path, customers: int, days: int) -> str:
    """Return the table of a shop of that size."""
    source, lake, last = shop(folder, customers, days)
    settings = PersonalizationSettings()
    found = wanted_rows(lake, settings, last)
    report = candidate(found, lake, FolderRegistry(folder / "models"), settings).report
    hold = holdout_at(lake, last, settings)
    ndcg = {name: values["ndcg_at_20"] for name, values in report.metrics.items()}
    best = best_ndcg(source.shop.storefront, hold, settings)
    ndcg[LEARNED] = learned_ndcg(source.shop.storefront, hold, settings)
    lines = ["| lists | NDCG@20 | share of the best reachable |", "|---|---|---|"]
    lines += [f"| {name} | {ndcg.get(name, best):.4f} | {share:.1%} |" for name, share in shares(ndcg, best).items()]
    return "\n".join(
        [
            f"## Simulated storefront: {customers:,} customers, {days} days",
            "",
            *lines,
            "",
            f"Candidate of the gate: {report.candidate}, on {hold.wanted.taken.customers.size:,} customers and "
            f"{hold.wanted.products:,} products. Goal: {_GOAL:.0%}. {'. '.join(report.notes)}.",
        ]
    )


def margin_section(folder: Path, customers: int, days: int) -> str:
    """Return the table of lists whose order weighs margins."""
    _, lake, last = shop(folder, customers, days)
    settings = PersonalizationSettings()
    found = wanted_rows(lake, settings, last)
    cutoffs = [past_cutoff(lake, found.at(day), day, settings) for day in found.cutoffs]
    hold, trained = holdout_of(cutoffs[0], settings.steps), trained_ranker(cutoffs[1:], settings.steps.recommender)
    plain: Judged | None = None
    lines = ["| margin_weight | NDCG@20 | difference | margin of wanted products in a list, EUR |", "|---|---|---|---|"]
    for weight in _WEIGHTS:
        order = margin_order(trained, weight, is_ranker=True)
        part: dict[str, Any] = {"ranker": RankerPart(trained.ranker, order)}
        lists = lists_of_composition(personalization(part, hold.days, hold.items, settings.steps, order), hold)
        plain = plain or lists
        lead = leads(lists.lists, plain.lists, hold.wanted, settings.gate)
        lines.append(f"| {weight:g} | {_ndcg(lists, hold.wanted):.4f} | {lead} | {_margin(lists, hold):.2f} |")
    return "\n".join(
        [
            f"## Margins in the order of lists: {customers:,} customers, {days} days",
            "",
            *lines,
            "",
            f"Lists of {trained.choice.name} for {hold.wanted.taken.customers.size:,} customers; difference in NDCG@20 "
            "to weight 0, with its 95 % interval. Margin: price less unit cost, of one piece of each product of the "
            "list that its customer wanted later.",
        ]
    )


def shop(folder: Path, customers: int, days: int, seed: int = 7) -> tuple[SimulatedSource, Lake, date]:
    """Return the simulated shop, a lake with every table of it, and its last day."""
    config = SimulatedSourceConfig(customers=customers, seed=seed, first_day=_FIRST.isoformat())
    source, lake, last = config.open(), DeltaLake(str(folder / "lake")), _FIRST + timedelta(days=days - 1)
    for table in TABLES:
        ingest(table, source, lake, last, IngestionConfig(history_days=days), "benchmark")
    return source, lake, last


def _margin(judged: Judged, hold: Holdout) -> float:
    """Return the mean over customers of the margins of the products of their list that they wanted, EUR."""
    offers, hit = hold.known.offers, hits(judged.lists, hold.wanted.taken, hold.wanted.products)
    margin = np.nan_to_num(offers.price - offers.unit_cost)
    return float(np.where(hit, margin[judged.lists], 0.0).sum(axis=1).mean())


def holdout_at(lake: Lake, last: date, settings: PersonalizationSettings) -> Holdout:
    """Return the hold-out of a training as of `last`."""
    found = wanted_rows(lake, settings, last)
    cutoff = past_cutoff(lake, found.at(found.cutoffs[0]), found.cutoffs[0], settings)
    return holdout_of(cutoff, settings.steps)


def best_ndcg(front: Storefront, hold: Holdout, settings: PersonalizationSettings) -> float:
    """Return the NDCG of the best lists for the customers of a hold-out."""
    return _ndcg(Judged(best_of(front, hold, settings), np.empty(0, np.int64)), hold.wanted)


def learned_ndcg(front: Storefront, hold: Holdout, settings: PersonalizationSettings) -> float:
    """Return the NDCG of a learner that knows the laws of the shop, and has the views of the days before alone."""
    wants = learned_wants_of(front, hold)
    lists = np.argsort(-wants, axis=1, kind="stable")[:, : settings.steps.rules.length]
    return _ndcg(Judged(lists.astype(np.int32), np.empty(0, np.int64)), hold.wanted)


def learned_wants_of(front: Storefront, hold: Holdout) -> np.ndarray:
    """Return the expected wants by that learner, shape (customers of the hold-out, products of its day)."""
    number, product = _numbers(hold)
    wants = learned_wants(front, number, _FIRST.toordinal(), hold.known.day.toordinal(), int(product.max()) + 1)
    return wants[:, product]


def _numbers(hold: Holdout) -> tuple[np.ndarray, np.ndarray]:
    """Return the simulation's numbers of the customers of a hold-out, and of the products of its day."""
    customers = hold.known.events.customers[hold.wanted.taken.customers]
    number, product = ([int(id[1:]) for id in ids.tolist()] for ids in (customers, hold.known.offers.ids))
    return np.array(number), np.array(product)


def best_of(front: Storefront, hold: Holdout, settings: PersonalizationSettings) -> np.ndarray:
    """Return the best lists for the customers of a hold-out, in the product codes of the day."""
    number, product = _numbers(hold)
    lists = best_lists(front, number, _days_after(hold, settings), int(product.max()) + 1, settings.steps.rules.length)
    place = np.full(int(product.max()) + 1, -1, np.int32)
    place[product] = np.arange(product.size)
    return place[lists]


def best_wants_of(front: Storefront, hold: Holdout, settings: PersonalizationSettings) -> np.ndarray:
    """Return the wants that the laws of the shop expect, shape (customers of the hold-out, products of its day)."""
    number, product = _numbers(hold)
    return expected_wants(front, number, _days_after(hold, settings), int(product.max()) + 1)[:, product]


def _days_after(hold: Holdout, settings: PersonalizationSettings) -> range:
    first = hold.known.day.toordinal() + 1
    return range(first, first + settings.horizon_days, LIST_DAYS)


def shares(ndcg: Mapping[str, float], best: float) -> dict[str, float]:
    """Return the share of the best reachable NDCG that lists have, the highest first; the best ones begin."""
    return {BEST: 1.0, **{name: ndcg[name] / best for name in sorted(ndcg, key=lambda name: -ndcg[name])}}


def _ndcg(judged: Judged, wanted: Wanted) -> float:
    return float(np.nanmean(quality_of(judged.lists, wanted).ndcg))


if __name__ == "__main__":
    main()
