"""NDCG that lists of the simulated storefront lose: to products that are no candidates, to their order, to rules.

The best reachable order, that of the learner that knows the laws of the shop (`benchmarks.storefront`), and that of the
ranker are made of all products, of the candidates alone, and after the rules, so that each loss is seen by itself.
"""

import argparse
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.personalization.holdout import Holdout, holdout_of, padded
from assets.personalization.learning import past_cutoff, wanted_rows
from benchmarks.report import replace_section
from benchmarks.storefront import best_wants_of, learned_wants_of, shop
from models.personalization.block import block_features
from models.personalization.fields import EMPTY_VISIT
from models.personalization.listing import Lister
from models.personalization.training import TrainedRanker, blocks, trained_ranker
from models.recommend.ranker_training import ranked_by
from models.recommend.ranking_metrics import NOTHING, hits
from models.settings import PersonalizationSettings

Codes = NDArray[np.integer]
Wants = NDArray[np.floating]
#: None of these shops chose anything; the first is that of stack.yaml.
_SEEDS = (7, 31, 32)
#: Customers and days of history: of stack.yaml's profile `local`, and of a shop that has just begun.
_SHOPS = {"parts": (3_000, 460), "parts-of-a-small-shop": (300, 150)}
_KINDS = ("bought or in the cart before", "new to the customer", "new in the shop")
_NEW_DAYS = 28
BEST, RULED = "best reachable", "best reachable, after the rules"
LEARNER, PUBLISHED = "learner, of the candidates, after the rules", "ranker, after the rules (published)"
#: Share of the best reachable NDCG that published lists are to have.
_GOAL = 0.85


@dataclass(frozen=True)
class Parts:
    """NDCG@20 of lists of one shop, and what the three kinds of products (`_KINDS`) give of it.

    Attributes:
        ranker: that was chosen.
        customers: of the hold-out.
        gains: of each kind, by the name of the lists; they add up to the NDCG.
        wanted: products of each kind that customers wanted.
        found: of them, those among the candidates.
    """

    ranker: str
    customers: int
    gains: Mapping[str, NDArray[np.float64]]
    wanted: NDArray[np.int64]
    found: NDArray[np.int64]

    def share(self, name: str) -> float:
        """Return the share of the best reachable NDCG."""
        return float(self.gains[name].sum() / self.gains[BEST].sum())


def main() -> None:
    """Measure, print and write a section for each size of shop."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", choices=_SHOPS, help="only this size of shop")
    arguments.add_argument("--seeds", type=int, nargs="+", default=_SEEDS, help="of the shops")
    arguments.add_argument("--dry", action="store_true", help="print the sections instead of writing them")
    options = arguments.parse_args()
    for name, (customers, days) in _SHOPS.items():
        if options.only in (None, name):
            body = _section(customers, days, options.seeds)
            print(body, flush=True)
            if not options.dry:
                replace_section(f"storefront-{name}", body, libraries=["xgboost", "numpy"])


def _section(customers: int, days: int, seeds: Sequence[int]) -> str:
    started, found = time.process_time(), dict[int, Parts]()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            found[seed] = parts(Path(folder), customers, days, seed)
    title = f"## Simulated storefront, where NDCG is lost: {customers:,} customers, {days} days"
    return "\n".join([title, "", *_tables(found), "", f"{time.process_time() - started:.0f} CPU s."])


def parts(folder: Path, customers: int, days: int, seed: int) -> Parts:
    """Return the parts of one shop."""
    source, lake, last = shop(folder, customers, days, seed)
    settings = PersonalizationSettings()
    rows = wanted_rows(lake, settings, last)
    cutoffs = [past_cutoff(lake, rows.at(day), day, settings) for day in rows.cutoffs]
    usable = [one for one in cutoffs[1:] if one.wanted.customers.size >= settings.gate.min_segment]
    hold, trained = holdout_of(cutoffs[0], settings.steps), trained_ranker(usable, settings.steps.recommender)
    front = source.shop.storefront
    return compared(hold, trained, best_wants_of(front, hold, settings), learned_wants_of(front, hold), settings)


def compared(
    hold: Holdout, trained: TrainedRanker, best: Wants, learned: Wants, settings: PersonalizationSettings
) -> Parts:
    """Return the parts of one hold-out.

    Args:
        hold: the hold-out.
        trained: the ranker that older cut-offs chose.
        best: wants that the laws of the shop expect, shape (customers, products).
        learned: wants that the learner expects who knows these laws.
        settings: of the application.
    """
    candidates, scores = _ranked(hold, trained, settings)
    orders = {
        BEST: _by(best),
        RULED: _ruled(_by(best), hold, settings),
        "best reachable, of the candidates": _among(candidates, best),
        "learner that knows the laws": _by(learned),
        "learner, of the candidates": _among(candidates, learned),
        LEARNER: _ruled(_among(candidates, learned), hold, settings),
        "ranker, before the rules": _in_order(candidates, scores),
        PUBLISHED: _ruled(_in_order(candidates, scores), hold, settings),
    }
    taken, n, kind = hold.wanted.taken, hold.wanted.products, _kinds(hold)
    named = (np.arange(len(candidates))[:, None] * n + candidates)[candidates != NOTHING]
    there = np.isin(taken.owner() * n + taken.product, named)
    gains = {name: _gains(order, hold, kind) for name, order in orders.items()}
    counts = (np.bincount(kind[chosen], minlength=len(_KINDS)) for chosen in (kind >= 0, there))
    return Parts(trained.choice.name, taken.customers.size, gains, *counts)


def _ranked(hold: Holdout, trained: TrainedRanker, settings: PersonalizationSettings) -> tuple[Codes, Wants]:
    """Return the candidates of the customers of the hold-out, and their scores."""
    found: list[tuple[Codes, Wants]] = []
    customers, steps = hold.wanted.taken.customers, settings.steps
    for _, block in blocks(hold.known, hold.items.tables, customers, steps.recommender):
        of = hold.known.history.of_products
        found.append((block.found.product, ranked_by(trained.ranker, block.found, block_features(block), of)))
    return np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])


def _by(wants: Wants) -> Codes:
    return np.argsort(-wants, axis=1, kind="stable")


def _among(candidates: Codes, wants: Wants) -> Codes:
    return _in_order(candidates, np.take_along_axis(wants, np.maximum(candidates, 0), axis=1))


def _in_order(candidates: Codes, scores: Wants) -> Codes:
    values = np.where(candidates == NOTHING, -np.inf, scores)
    return np.take_along_axis(candidates, np.argsort(-values, axis=1, kind="stable"), axis=1)


def _ruled(order: Codes, hold: Holdout, settings: PersonalizationSettings) -> Codes:
    """Return the lists that the rules make of an order."""
    lister, known, lists = Lister(settings.steps.rules), hold.known, list[list[int]]()
    for customer, row in zip(hold.wanted.taken.customers.tolist(), order, strict=True):
        products = row[row != NOTHING].astype(np.int64)
        ranked = {"products": products, "scores": np.zeros(products.size), "places": None}
        listed = lister.listed(known, customer, str(known.countries[customer]), EMPTY_VISIT, ranked)
        lists.append([known.places[id] for id in listed.product_ids])
    return padded(lists, hold.length)


def _kinds(hold: Holdout) -> NDArray[np.int64]:
    """Return the kind of each product that was wanted."""
    is_late = hold.known.now - hold.known.offers.launched <= _NEW_DAYS
    return np.where(hold.wanted.is_new, 1 + is_late[hold.wanted.taken.product], 0)


def _gains(order: Codes, hold: Holdout, kind: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what products of each kind give of the NDCG of the first `length` places."""
    wanted, lists = hold.wanted, order[:, : hold.length].astype(np.int32)
    discounts = 1 / np.log2(np.arange(hold.length, dtype=np.float64) + 2)
    most = np.cumsum(discounts)[np.minimum(wanted.taken.sizes(), hold.length) - 1]
    kinds = (wanted.taken.kept(kind == one) for one in range(len(_KINDS)))
    gains = [np.mean(hits(lists, one, wanted.products) @ discounts / most) for one in kinds]
    return np.array(gains, np.float64)


def _tables(found: Mapping[int, Parts]) -> list[str]:
    names = list(next(iter(found.values())).gains)
    lines = [f"| lists | {' | '.join(f'seed {seed}' for seed in found)} |", "|---|" + "---|" * len(found)]
    lines += [f"| {name} | {' | '.join(f'{one.share(name):.1%}' for one in found.values())} |" for name in names]
    lines += ["", "| seed | products | wanted | of them candidates | " + " | ".join(names) + " |"]
    lines.append("|---|---|---|---|" + "---|" * len(names))
    for seed, one in found.items():
        for at, kind in enumerate(_KINDS):
            cells = " | ".join(f"{one.gains[name][at]:.4f}" for name in names)
            lines.append(f"| {seed} | {kind} | {one.wanted[at]:,} | {one.found[at]:,} | {cells} |")
    chosen = ", ".join(f"seed {seed}: {one.ranker}, {one.customers} customers" for seed, one in found.items())
    says = f"Shares of the best reachable NDCG@20, and below them NDCG@20 by kind. {chosen}."
    return [*lines, "", says, "", _verdict(found.values())]


def _verdict(found: Collection[Parts]) -> str:
    """Return whether the goal is met, beside what the learner that knows the laws makes of the same rules."""
    published, learner, ruled = ([one.share(name) for one in found] for name in (PUBLISHED, LEARNER, RULED))
    met, n = sum(one >= _GOAL for one in published), len(published)
    of_learner, of_ruled = (
        [one / other for one, other in zip(published, best, strict=True)] for best in (learner, ruled)
    )
    return (
        f"{'Met' if met == n else f'**Missed** in {n - met} of {n} shops'} (goal: {_GOAL:.0%} of the best reachable): "
        f"{_listed(published, 1)}; {_listed(of_ruled, 1)} of the best reachable that obeys the rules. "
        f"The learner that knows the laws has {_listed(learner, 1)} under the same rules: the published lists are at "
        f"{_listed(of_learner, 0)} of it."
    )


def _listed(shares: Sequence[float], digits: int) -> str:
    return ", ".join(f"{one:.{digits}%}" for one in shares)


if __name__ == "__main__":
    main()
