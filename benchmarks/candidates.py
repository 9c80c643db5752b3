"""Churn's candidates against what customers did afterwards, night by night: single models and their mean.

On each night every candidate is trained on all rows whose labels were known (as a refit is), and that night's features
are scored. *Published* is what gate and registry make of a list of candidates: the former one, or the mean alone. The
settings were chosen on Online Retail's nights themselves, so its section says what they can do there, and the simulated
shop's, where nothing was chosen, if it carries over. AUC is the mean over the nights that every row has scores of,
weighted by customers; intervals are paired, over customers: all nights of a customer are drawn together. CPU seconds
are those of one fit with its five folds, the mean over the nights.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from assets.churn import training as churn_training
from assets.stages.training_task import TrainingTask
from benchmarks.refit import (
    Night,
    Shop,
    counted,
    customers_and_labels,
    labels_of,
    lead,
    prepared,
    published_nights,
    within,
    write_sections,
)
from models.evaluation.metrics import measure
from models.settings import CHURN_CANDIDATE, TrainerSettings
from resources.stack.loader import Stack
from resources.stack.recipes import trainers_of
from resources.trainer.port import Trainer

TREES, PURCHASES = CHURN_CANDIDATE.parts
CANDIDATES = {
    "xgboost": {"kind": "xgboost"},
    "hist_gradient_boosting": {"kind": "hist_gradient_boosting"},
    "logistic_regression": {"kind": "logistic_regression"},
    "depth 2, monotone": TREES,
    "logistic, BG/NBD": PURCHASES,
    "mean of these two": CHURN_CANDIDATE.model_dump(),
}
MEAN = "mean of these two"
#: Churn's candidates before the mean.
FORMER = [{"kind": "xgboost"}, {"kind": "hist_gradient_boosting"}]
PUBLISHED, PUBLISHED_MEAN = "published: the former list", "published: the mean"
ARMS = (*CANDIDATES, PUBLISHED, PUBLISHED_MEAN)
AGAINST = (PUBLISHED, "xgboost")


@dataclass
class Measured:
    """Nights with a score of each candidate, and the CPU seconds of its fits."""

    nights: list[Night] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CANDIDATES})


def main() -> None:
    """Measure the shops and write a section of each."""
    write_sections("candidates", _body, libraries=["xgboost", "scikit-learn", "scipy"])


def _body(shop: Shop, stack: Stack) -> str:
    found = _measured(shop, stack)
    _add_published(found, shop, stack)
    return "\n".join(_section(shop, found))


def _measured(shop: Shop, stack: Stack) -> Measured:
    settings = prepared(shop, stack)
    lake, engine, store = stack.open("lake"), stack.open("engine"), stack.open("feature_store")
    trainers = {name: trainers_of([TrainerSettings.model_validate(one)])[0] for name, one in CANDIDATES.items()}
    found = Measured()
    for day in shop.nights:
        rows = churn_training.training_set(lake, engine, store, settings, day)
        task = churn_training.training_task(rows, settings)
        ids = rows.tonight["customer_id"].to_numpy(zero_copy_only=False)
        labels = labels_of(stack, settings, rows.tonight, shop.last_known)
        scores = {name: _score(trainer, task, found.seconds[name]) for name, trainer in trainers.items()}
        found.nights.append(Night(day, ids, labels, scores))
        print(f"{day}: {len(labels):,} customers", flush=True)
    return found


def _add_published(found: Measured, shop: Shop, stack: Stack) -> None:
    """Add what would have been published; nights on which the gate let no first model pass are left out."""
    for name, listed in ((PUBLISHED, FORMER), (PUBLISHED_MEAN, [CANDIDATES[MEAN]])):
        candidates = [TrainerSettings.model_validate(one) for one in listed]
        registry = f"registry-{len(listed)}"
        scored = {night.day: night.scores["refit"] for night in published_nights(shop, stack, candidates, registry)}
        found.nights = [night for night in found.nights if night.day in scored]
        for night in found.nights:
            night.scores[name] = scored[night.day]


def _score(trainer: Trainer, task: TrainingTask, seconds: list[float]) -> np.ndarray:
    """Return scores of the night after a fit on all mature rows; the CPU seconds of the fit are added to `seconds`."""
    assert task.whole is not None
    whole = task.whole()
    started = time.process_time()
    aware = trainer.knowing(task.columns(whole.encoder))
    fit = aware.fit(whole.train.rows, whole.train.labels, whole.train.groups)
    seconds.append(time.process_time() - started)
    return fit.model.predict(whole.encoder.matrix(task.tonight))


def _section(shop: Shop, measured: Measured) -> list[str]:
    nights = measured.nights
    customers, labels = customers_and_labels(nights)
    values, drawn = within(nights, customers, ARMS)
    lines = [
        f"## Candidates for churn: {shop.title}",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        counted(nights, customers, labels),
        "",
        f"| candidate | AUC within nights | over {AGAINST[0]}, 95 % | over {AGAINST[1]}, 95 % | pooled AUC | Brier "
        "| CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(ARMS, key=lambda name: -values[name]):
        pooled = measure(labels, np.concatenate([night.scores[name] for night in nights]))
        leads = [lead(name, other, values, drawn) for other in AGAINST]
        seconds = f"{np.mean(measured.seconds[name]):.1f}" if name in measured.seconds else ""
        lines.append(
            f"| {name} | {values[name]:.4f} | {' | '.join(leads)} | {pooled['auc']:.4f} | {pooled['brier']:.4f} "
            f"| {seconds} |"
        )
    return lines


if __name__ == "__main__":
    main()
