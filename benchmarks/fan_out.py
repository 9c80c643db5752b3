"""Merges of churn's and fraud's models against their best part: does a fan-out pay?

The parts are fitted once to the rows whose labels were known, and merged twice: by the mean of their log-odds, and by
weights that are chosen on out-of-fold predictions alone (stacking). Every arm then scores records that no part has
seen: for churn those of the nights that followed, for fraud the payments of the evaluation week. Churn's settings were
once chosen on Online Retail's nights; nothing was chosen on the records of the shop and of fraud. The verdict is that
of the gate of compositions (`models/compose/gate.py`): the lower end of the paired interval of the gain in likelihood
(its logarithm, per record) over the best part must be above 0. All intervals are of 95 %, paired, and over customers:
all records of a customer are drawn together. Cost is not compared: a merge costs the sum of its parts.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from assets.churn import training as churn_training
from assets.fraud import training as fraud_training
from benchmarks import handbook
from benchmarks.refit import (
    RESAMPLING,
    SHOPS,
    Night,
    Shop,
    counted,
    customers_and_labels,
    labels_of,
    lead,
    prepared,
    within,
)
from benchmarks.report import replace_section
from models.compose.gate import CompositionGateConfig, composition_report
from models.evaluation.binary_metrics import AUC
from models.evaluation.bootstrap import resampled
from models.evaluation.metrics import auc
from models.gates.parts import measured_by_group
from models.settings import TrainerSettings
from models.training.dataset import Dataset
from models.training.merged_model import MergedModel, merged
from models.training.model import FittedModel, Groups, Labels
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.recipes import trainers_of
from resources.trainer.port import Trainer

MERGES = ("mean", "stacking")
FRAUD = "fraud-handbook"
FRAUD_DAY = date(2018, 8, 21)
Scores = dict[str, NDArray[np.float64]]


def main() -> None:
    """Measure churn in both shops and fraud, and write a section of each."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the sections instead of writing them")
    arguments.add_argument("--profile", choices=[*(shop.profile for shop in SHOPS), FRAUD], help="only this one")
    options = arguments.parse_args()
    shops = {shop.profile: shop for shop in SHOPS}
    for profile in [*shops, FRAUD]:
        if options.profile in (None, profile):
            with tempfile.TemporaryDirectory(prefix="tessera-fan-out-") as home:
                stack = load_stack(ROOT / "stack.yaml", profile, home, os.environ)
                found = _fraud(stack) if profile == FRAUD else _churn(shops[profile], stack)
            print("\n".join(found), flush=True)
            if not options.dry:
                replace_section(f"fan-out-{profile}", "\n".join(found), libraries=["xgboost", "scikit-learn", "scipy"])


def _churn(shop: Shop, stack: Stack) -> list[str]:
    settings = prepared(shop, stack)
    lake, engine, store = stack.open("lake"), stack.open("engine"), stack.open("feature_store")
    parts = trainers_of([TrainerSettings.model_validate(one) for one in settings.candidates[0].parts])
    nights: list[Night] = []
    weights: list[tuple[float, ...]] = []
    for day in shop.nights:
        task = churn_training.training_task(churn_training.training_set(lake, engine, store, settings, day), settings)
        assert task.whole is not None
        whole, tonight = task.whole(), task.newest if task.tonight is None else task.tonight
        models = _fitted([part.knowing(task.columns(whole.encoder)) for part in parts], whole.train)
        weights.append(_weights(models))
        rows, ids = whole.encoder.matrix(tonight), tonight["customer_id"].to_numpy(zero_copy_only=False)
        labels = labels_of(stack, settings, tonight, shop.last_known)
        nights.append(Night(day, ids, labels, {name: model.predict(rows) for name, model in models.items()}))
        print(f"{day}: {len(labels):,} customers, weights {weights[-1]}", flush=True)
    customers, labels = customers_and_labels(nights)
    scores = {name: np.concatenate([night.scores[name] for night in nights]) for name in nights[0].scores}
    values, drawn = within(nights, customers, list(scores))
    parts_of = [name for name in scores if name not in MERGES]
    best = max(parts_of, key=values.__getitem__)
    shown = {name: (values[name], lead(name, best, values, drawn)) for name in scores}
    title = f"## Fan-out for churn: {shop.title}"
    chosen = _mean_of(weights, parts_of)
    says = f"{counted(nights, customers, labels)} Weights of stacking, mean over the nights: {chosen}."
    return _section(title, says, labels, customers, scores, shown, best)


def _fraud(stack: Stack) -> list[str]:
    settings = stack.settings.fraud
    stack.open("lake")  # a home says its layout before anything is in it
    lake = handbook.filled(stack.home / "lake")
    task = fraud_training.training_task(
        fraud_training.training_set(lake, stack.open("engine"), settings, FRAUD_DAY), settings
    )
    split = task.split
    listed = [*settings.candidates, TrainerSettings(kind="logistic_regression")]
    parts = [part.knowing(task.columns(split.encoder)) for part in trainers_of(listed)]
    models = _fitted(parts, split.train)
    held = split.holdout
    scores = {name: model.predict(held.rows) for name, model in models.items()}
    values = {name: auc(held.labels, score) for name, score in scores.items()}
    parts_of = [name for name in scores if name not in MERGES]
    best = max(parts_of, key=values.__getitem__)
    drawn = resampled(AUC, held.labels, held.groups, scores, RESAMPLING)
    shown = {name: (values[name], lead(name, best, values, drawn)) for name in scores}
    says = (
        f"{len(held.labels):,} payments of {task.holdout}, {held.labels.mean():.2%} fraud. Weights of stacking: "
        f"{_mean_of([_weights(models)], parts_of)}."
    )
    title = "## Fan-out for fraud: Fraud Detection Handbook"
    return _section(title, says, held.labels, held.groups, scores, shown, best)


def _fitted(parts: Sequence[Trainer], train: Dataset) -> dict[str, FittedModel]:
    """Return each part's model, then both merges of them."""
    fits = {part.name: part.fit(train.rows, train.labels, train.groups) for part in parts}
    both = {merge: merged(list(fits.values()), train.rows, train.labels, {}, merge).model for merge in MERGES}
    return {**{name: fit.model for name, fit in fits.items()}, **both}


def _weights(models: Mapping[str, FittedModel]) -> tuple[float, ...]:
    stacked = models["stacking"]
    assert isinstance(stacked, MergedModel)
    return stacked.weights or ()


def _mean_of(weights: Sequence[tuple[float, ...]], parts: Sequence[str]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(parts, np.mean(weights, axis=0), strict=True))


def _section(
    title: str,
    says: str,
    labels: Labels,
    groups: Groups,
    scores: Scores,
    shown: Mapping[str, tuple[float, str]],
    best: str,
) -> list[str]:
    qualities = {name: measured_by_group(labels, groups, score) for name, score in scores.items()}
    parts = {name: one for name, one in qualities.items() if name not in MERGES}
    keys = np.unique(groups).astype(str).tolist()
    lines = [
        title, "", (__doc__ or "").split("\n\n", 1)[1].strip(), "", says, "",
        f"| model | AUC | over the best part, {best} | log-likelihood per record | beats its best part at the gate |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, (value, over) in shown.items():
        verdict = ""
        if name in MERGES:
            report = composition_report(name, qualities[name], parts, keys, CompositionGateConfig())
            check = next(one for one in report.checks if one.name == "beats_best_child")
            verdict = f"{'yes' if check.passed else 'no'}: {check.says.split('; ')[0]}"
        lines.append(f"| {name} | {value:.4f} | {over} | {qualities[name].quality.mean():.5f} | {verdict} |")
    return lines


if __name__ == "__main__":
    main()
