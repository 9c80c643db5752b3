"""Value of the refit: published churn scores against what customers did afterwards, night by night.

A model is trained on each of these nights, as `churn_training` does, and that night's features are scored. Nothing was
chosen by looking at what came after these nights. Both shops go through ingestion, contracts, features, point-in-time
joins, gate and registry as in the jobs; a score is evaluated once `horizon_days` have passed within the data.

- before: the newest candidate that beat the champion, as evaluated on the hold-out, serves without a refit.
- judged: the version that the gate evaluated tonight (or its renewal), without the hold-out's rows.
- refit: the same settings on all mature rows, if the refit agrees with the evaluated version: what is published now.

AUC is the mean over the nights, weighted by customers, so that it compares customers of one night only; pooled AUC
compares all of them. Nights on which the gate let no first model pass have no scores. Intervals are paired, over
customers: all nights of a customer are drawn together.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.churn import features as churn_features
from assets.churn import training as churn_training
from assets.stages.cutoff_training import CutoffRows
from assets.stages.ingestion.run import ingest
from assets.stages.promotion import verified
from assets.stages.training import evaluate_candidates, promote_or_keep
from benchmarks.report import replace_section
from models.evaluation.binary_metrics import AUC
from models.evaluation.bootstrap import Interval, Resampling, interval, resampled
from models.evaluation.metrics import auc
from models.features.churn import churn_labels
from models.settings import ChurnSettings, TrainerSettings
from models.training.model_package import LoadedModel, load
from resources.registry.fake import FolderRegistry
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.recipes import trainers_of
from resources.trainer.port import Trainer

ARMS = ("before", "judged", "refit")
RESAMPLING = Resampling(n=1000, seed=20, confidence=0.95)
Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Shop:
    """Nights on which a shop is scored, `every` days from the first to the last, trained on each; and its settings."""

    profile: str
    title: str
    first: date
    last: date
    every: int
    last_known: date
    changes: dict[str, int]

    @property
    def nights(self) -> list[date]:
        """The nights, ascending."""
        return [self.first + timedelta(days=n) for n in range(0, (self.last - self.first).days + 1, self.every)]


SHOPS = (
    Shop(
        "online-retail", "Online Retail, `horizon_days: 45`", date(2011, 3, 30), date(2011, 7, 17), 9,
        date(2011, 8, 31), {"horizon_days": 45},
    ),
    Shop("local", "Simulated shop", date(2025, 9, 1), date(2025, 11, 30), 30, date(2026, 3, 1), {}),
)  # fmt: skip


@dataclass
class Night:
    """Customers of one night: what they did afterwards, and each arm's score of them."""

    day: date
    ids: NDArray[np.object_]
    labels: NDArray[np.int8]
    scores: Scores


def main() -> None:
    """Measure the shops and write a section of each."""
    write_sections("refit", _body, libraries=["xgboost", "scikit-learn", "feast", "duckdb"])


def write_sections(name: str, body: Callable[[Shop, Stack], str], *, libraries: Sequence[str]) -> None:
    """Measure each shop that is asked for, in a home of its own; print its section, and write it without `--dry`."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--dry", action="store_true", help="print the sections instead of writing them")
    arguments.add_argument("--shop", choices=[shop.profile for shop in SHOPS], help="only this one")
    options = arguments.parse_args()
    for shop in SHOPS:
        if options.shop in (None, shop.profile):
            with tempfile.TemporaryDirectory(prefix=f"tessera-{name}-") as home:
                found = body(shop, load_stack(ROOT / "stack.yaml", shop.profile, home, os.environ))
            print(found)
            if not options.dry:
                replace_section(f"{name}-{shop.profile}", found, libraries=libraries)


def _body(shop: Shop, stack: Stack) -> str:
    started = time.process_time()
    lines = _section(shop, published_nights(shop, stack))
    return "\n".join(lines) + f"\n\n{time.process_time() - started:.0f} CPU s."


def prepared(shop: Shop, stack: Stack) -> ChurnSettings:
    """Ingest the shop and write its nights' features, unless that is done; return churn's settings there."""
    lake, settings = stack.open("lake"), stack.settings.churn.model_copy(update=shop.changes)
    for table in ("customers", "products", "orders"):
        ingest(table, stack.open("source"), lake, shop.last_known, stack.settings.ingestion, "benchmark")
    churn_features.write_features(lake, stack.open("engine"), settings, shop.nights)
    return settings


def published_nights(
    shop: Shop, stack: Stack, candidates: Sequence[TrainerSettings] = (), registry: str = "registry"
) -> list[Night]:
    """Train, evaluate and score the shop's nights, with the profile's candidates or these, in the registry named so."""
    settings = prepared(shop, stack)
    trainers = trainers_of(candidates or settings.candidates)
    work = _Work(stack, settings, trainers, FolderRegistry(stack.home / registry))
    nights = [work.night(day, shop.last_known) for day in shop.nights]
    return [night for night in nights if night is not None]


class _Work:
    """One shop's nights, in order."""

    def __init__(
        self, stack: Stack, settings: ChurnSettings, trainers: Sequence[Trainer], registry: FolderRegistry
    ) -> None:
        self._stack, self._settings, self._trainers, self._registry = stack, settings, trainers, registry
        self._before: LoadedModel | None = None

    def night(self, day: date, known: date) -> Night | None:
        """Train and score one night; None while the gate has let no first model pass."""
        lake, engine, settings = self._stack.open("lake"), self._stack.open("engine"), self._settings
        rows = churn_training.training_set(lake, engine, self._stack.open("feature_store"), settings, day)
        task = churn_training.training_task(rows, settings)
        found = evaluate_candidates(task, self._trainers, self._registry, day)
        if found.passing is None and self._registry.champion(churn_training.APP) is None:
            print(f"{day}: nothing is published, the gate stopped the first model", flush=True)
            return None
        promote_or_keep(task, found, self._registry, self._stack.open("notifier"), run_id="benchmark", who="benchmark")
        entry = self._registry.ledger(churn_training.APP)[-1]
        serving, first = str(entry.to_version), entry.judged or str(entry.to_version)
        candidate = load(self._registry.fetch(churn_training.APP, str(found.version)))
        if self._before is None or self._is_better(candidate, rows):
            self._before = candidate
        models = {
            "before": self._before,
            "judged": verified(self._registry, churn_training.APP, first).model,
            "refit": verified(self._registry, churn_training.APP, serving).model,
        }
        stopped = ", ".join(found.report.stopped_by) or "nothing"
        print(f"{day}: {found.version} stopped by {stopped}; {serving} serves, {first} was evaluated", flush=True)
        labels = labels_of(self._stack, self._settings, rows.tonight, known)
        return Night(
            day,
            rows.tonight["customer_id"].to_numpy(zero_copy_only=False),
            labels,
            {name: model.score(rows.tonight) for name, model in models.items()},
        )

    def _is_better(self, candidate: LoadedModel, rows: CutoffRows) -> bool:
        """Return the rule as it was: both models as they are, on the same hold-out, the lower end above 0."""
        split = churn_training.training_task(rows, self._settings).split
        assert self._before is not None
        held = split.holdout
        scores = {"new": candidate.score(split.holdout_table), "old": self._before.score(split.holdout_table)}
        drawn = resampled(AUC, held.labels, held.groups, scores, RESAMPLING)
        lead = auc(held.labels, scores["new"]) - auc(held.labels, scores["old"])
        return interval(lead, drawn["new"] - drawn["old"], RESAMPLING.confidence).low > 0


def labels_of(stack: Stack, settings: ChurnSettings, tonight: pa.Table, known: date) -> NDArray[np.int8]:
    """Return what the customers of a night did in the horizon, by the orders that were known at the end of `known`."""
    lake, engine = stack.open("lake"), stack.open("engine")
    entities = tonight.select(["customer_id", "event_timestamp"])
    tables = {"orders": lake.scan("orders", last=known), "entities": entities}
    labels = engine.query(churn_labels, tables, horizon_days=settings.horizon_days, as_of=known).read_all()
    churned = dict(zip(labels["customer_id"].to_pylist(), labels["churned"].to_pylist(), strict=True))
    return np.array([churned[name] for name in tonight["customer_id"].to_pylist()], dtype=np.int8)


def customers_and_labels(nights: Sequence[Night]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return a number for the customer of each score, and what the customer did, night after night."""
    ids = np.concatenate([night.ids for night in nights])
    labels = np.concatenate([night.labels for night in nights])
    return np.unique(ids, return_inverse=True)[1].astype(np.int64), labels


def counted(nights: Sequence[Night], customers: NDArray[np.int64], labels: NDArray[np.int8]) -> str:
    """Nights, scores, customers and churn in words."""
    return (
        f"{len(nights)} nights from {nights[0].day} to {nights[-1].day}, {len(labels):,} scores of "
        f"{customers.max() + 1:,} customers, {labels.mean():.1%} churned."
    )


def _section(shop: Shop, nights: Sequence[Night]) -> list[str]:
    customers, labels = customers_and_labels(nights)
    pooled = {arm: np.concatenate([night.scores[arm] for night in nights]) for arm in ARMS}
    drawn = resampled(AUC, labels, customers, pooled, RESAMPLING)
    means, means_drawn = within(nights, customers, ARMS)
    together = {arm: auc(labels, pooled[arm]) for arm in ARMS}
    lines = [
        f"## What the refit is worth: {shop.title}",
        "",
        (__doc__ or "").split("\n\n", 1)[1].strip(),
        "",
        counted(nights, customers, labels),
        "",
        "| published | AUC within nights | 95 % | over before, 95 % | pooled AUC | over before, 95 % | mean score |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm in ARMS:
        own = interval(means[arm], means_drawn[arm], RESAMPLING.confidence)
        leads = lead(arm, "before", means, means_drawn), lead(arm, "before", together, drawn)
        lines.append(
            f"| {arm} | {own.value:.4f} | {own.low:.4f} .. {own.high:.4f} | {leads[0]} | "
            f"{together[arm]:.4f} | {leads[1]} | {pooled[arm].mean():.3f} |"
        )
    gain = _gain("refit", "judged", means, means_drawn)
    return [
        *lines,
        "",
        f"Refit over judged, within nights: {gain.value:+.4f} ({gain.low:+.4f} .. {gain.high:+.4f}).",
    ]


def within(
    nights: Sequence[Night], customers: NDArray[np.int64], arms: Sequence[str]
) -> tuple[dict[str, float], Scores]:
    """Mean AUC over the nights, weighted by customers; each resample draws customers once for all nights."""
    sizes = np.array([len(night.labels) for night in nights])
    draws = np.random.default_rng(RESAMPLING.seed).multinomial(
        customers.max() + 1, np.full(customers.max() + 1, 1 / (customers.max() + 1)), size=RESAMPLING.n
    )
    values = dict.fromkeys(arms, 0.0)
    drawn: Scores = {arm: np.zeros(RESAMPLING.n) for arm in arms}
    for number, night in enumerate(nights):
        start, share = int(sizes[:number].sum()), sizes[number] / sizes.sum()
        weights = draws[:, customers[start : start + sizes[number]]].astype(np.float64)
        for arm in arms:
            values[arm] += share * auc(night.labels, night.scores[arm])
            drawn[arm] += share * _weighted_aucs(night.labels, night.scores[arm], weights)
    return values, drawn


def _weighted_aucs(labels: NDArray[np.int8], scores: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray:
    """AUC under each row of weights; ties count half."""
    order = np.argsort(scores, kind="stable")
    ranked, told = scores[order], labels[order] == 1
    first = np.flatnonzero(np.r_[True, np.diff(ranked) > 0])
    w = weights[:, order]
    positive = np.add.reduceat(w * told, first, axis=1)
    negative = np.add.reduceat(w * ~told, first, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))


def _gain(one: str, other: str, found: dict[str, float], drawn: Scores) -> Interval:
    return interval(found[one] - found[other], drawn[one] - drawn[other], RESAMPLING.confidence)


def lead(one: str, other: str, found: dict[str, float], drawn: Scores) -> str:
    """Lead of one arm over another, with its interval; nothing over itself."""
    if one == other:
        return ""
    gain = _gain(one, other, found, drawn)
    return f"{gain.value:+.4f} ({gain.low:+.4f} .. {gain.high:+.4f})"


if __name__ == "__main__":
    main()
