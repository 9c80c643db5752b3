"""Quality of the churn scores: on the simulated shop beside the Bayes-optimal scores, and on Online Retail.

Both shops go through ingestion, contracts, features and the point-in-time join as in the nightly job. Every model
is trained on the same rows and evaluated on customers at a later cut-off, whose labels no training used. The
candidate in bold is the one that cross-validation on the training rows chooses. AUC with its 95 % bootstrap interval
over customers; ECE is the expected calibration error in ten bins of equal size, beside the one that chance alone gives.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.churn.training import BASELINES, SERVICE, training_set
from assets.stages.cutoff_training import CutoffRows
from assets.stages.ingestion.run import ingest
from benchmarks.report import PAGE, replace_section
from models.evaluation.binary_metrics import AUC
from models.evaluation.bootstrap import Interval, Resampling, interval, resampled
from models.evaluation.curves import curves_png
from models.evaluation.metrics import measure, reliability
from models.features.churn import CATEGORIES, FEATURES
from models.simulation.bayes_optimal import best_reachable
from models.tasks.binary import BINARY
from models.training.candidates import choose, fit_candidates
from models.training.dataset import Split, split
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.recipes import trainers_of
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig

SHOPS = {"local": ("Simulated shop", date(2026, 1, 31)), "online-retail": ("Online Retail", date(2011, 8, 31))}
RESAMPLING = Resampling(n=2000, seed=20, confidence=0.95)
BEST = "best reachable"
Scores = dict[str, NDArray[np.float64]]


def main() -> None:
    """Measure both shops and write the section and its pictures."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    lines = ["## How good the churn scores are", "", (__doc__ or "").split("\n\n", 1)[1].strip()]
    with tempfile.TemporaryDirectory(prefix="tessera-quality-") as home:
        pictures = Path(home) if options.dry else PAGE.parent / "pictures"
        for profile, (title, as_of) in SHOPS.items():
            stack = load_stack(ROOT / "stack.yaml", profile, f"{home}/{profile}", os.environ)
            lines += _judged(title, stack, as_of, pictures / f"quality-{profile}.png")
    body = "\n".join(lines)
    print(body)
    if not options.dry:
        replace_section("quality", body, libraries=["xgboost", "scikit-learn", "feast", "duckdb"])


def _judged(title: str, stack: Stack, as_of: date, picture: Path) -> list[str]:
    rows = _training_set(stack, as_of)
    sides = split(
        rows.rows,
        features=[*FEATURES, *CATEGORIES],
        holdout=rows.cutoffs.holdout,
        horizon_days=stack.settings.churn.horizon_days,
    )
    trainers = [LogisticRegressionTrainerConfig().open(), *trainers_of(stack.settings.churn.candidates)]
    candidates = fit_candidates(trainers, sides.train, BINARY)
    chosen = choose(candidates, "auc").name
    scores: Scores = {chosen: np.empty(0)}  # the chosen one first: the picture draws it bold
    scores |= {candidate.name: candidate.fit.model.predict(sides.holdout.rows) for candidate in candidates}
    scores |= {name: BINARY.by_feature(sides, feature) for name, feature in BASELINES.items()}
    if stack.kind("source") == "simulated":
        scores[BEST] = _best(stack, sides, rows.cutoffs.holdout)
    picture.parent.mkdir(exist_ok=True)
    shown = (chosen, BEST, "logistic_regression", *BASELINES)
    picture.write_bytes(curves_png(sides.holdout.labels, {name: scores[name] for name in shown if name in scores}))
    return [*_table(title, sides, rows, as_of, scores, chosen), "", f"![{title}](pictures/{picture.name})"]


def _training_set(stack: Stack, as_of: date) -> CutoffRows:
    lake = stack.open("lake")
    for table in ("customers", "products", "orders"):
        ingest(table, stack.open("source"), lake, as_of, stack.settings.ingestion, "benchmark")
    return training_set(lake, stack.open("engine"), stack.open("feature_store"), stack.settings.churn, as_of)


def _best(stack: Stack, sides: Split, cutoff: date) -> NDArray[np.float64]:
    """Return the posterior chance of each hold-out customer, by the laws the shop was made with."""
    source = stack.open("source")
    first = source.first_day()
    orders, customers = source.shop.clean_orders(first, cutoff), source.shop.customers(cutoff)
    ids, chance = best_reachable(orders, customers, first_day=first, cutoff_day=cutoff)
    known = dict(zip(ids, chance, strict=True))
    return np.array([known[entity] for entity in sides.holdout.entity_ids])


def _table(title: str, sides: Split, rows: CutoffRows, as_of: date, scores: Scores, chosen: str) -> list[str]:
    truth = sides.holdout.labels
    drawn = resampled(AUC, truth, sides.holdout.groups, scores, RESAMPLING)
    lines = [
        "",
        f"### {title}",
        "",
        f"As of {as_of}: {len(sides.train):,} training rows at {len(sides.train_cutoffs)} cut-offs up to "
        f"{sides.train_cutoffs[-1]}, {len(sides.holdout):,} hold-out customers at {rows.cutoffs.holdout} "
        f"({truth.mean():.1%} churned), features `{SERVICE}`.",
        "",
        "| model | AUC | 95 % | AUC over logistic regression, 95 % | AP | Brier | log loss | ECE (by chance) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    found = {name: measure(truth, values) for name, values in scores.items()}
    for name in sorted(scores, key=lambda name: -found[name]["auc"]):
        numbers, auc = found[name], interval(found[name]["auc"], drawn[name], RESAMPLING.confidence)
        bins = reliability(truth, scores[name])
        lines.append(
            f"| {f'**{name}** (chosen)' if name == chosen else name} | {auc.value:.4f} | {auc.low:.4f} .. "
            f"{auc.high:.4f} | {_ahead(name, found, drawn)} | {numbers['average_precision']:.4f} | "
            f"{numbers['brier']:.4f} | {numbers['log_loss']:.4f} | {bins.ece:.4f} ({bins.chance:.4f}) |"
        )
    if BEST in scores:
        gap = _difference(BEST, chosen, found, drawn)
        reached = (found[chosen]["auc"] - 0.5) / (found[BEST]["auc"] - 0.5)
        lines += [
            "",
            f"The best reachable score is the exact posterior, given the laws the shop was made with and every order "
            f"placed by the cut-off (also those delivered later). The chosen model is {gap.value:.4f} "
            f"[{gap.low:.4f}, {gap.high:.4f}] below it: {reached:.1%} of what can be known beyond chance.",
        ]
    return lines


def _ahead(name: str, found: Mapping[str, Mapping[str, float]], drawn: Scores) -> str:
    if name == "logistic_regression":
        return ""
    gain = _difference(name, "logistic_regression", found, drawn)
    return f"{gain.value:+.4f} ({gain.low:+.4f} .. {gain.high:+.4f})"


def _difference(one: str, other: str, found: Mapping[str, Mapping[str, float]], drawn: Scores) -> Interval:
    """AUC of `one` above that of `other`, both on the same resamples."""
    return interval(found[one]["auc"] - found[other]["auc"], drawn[one] - drawn[other], RESAMPLING.confidence)


if __name__ == "__main__":
    main()
