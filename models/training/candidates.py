"""Training several models on the same rows, and choosing among them without looking at the hold-out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Resampling, resampled
from models.training.dataset import Dataset
from models.training.model import Fit, Groups, Labels, Matrix, Vector

if TYPE_CHECKING:
    from models.tasks.task import Task

_CONTROL_RESAMPLES = 300
#: The control looks at evaluation, not at the model: this many rows show as much as all.
_CONTROL_ROWS = 12_000


class Fitter(Protocol):
    """The part of the trainer port that training needs."""

    name: str

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a model and its out-of-fold predictions."""
        ...

    def parameters(self) -> dict[str, str]:
        """Everything that shapes the model."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A cross-validated number: mean over the folds, and the standard error of that mean."""

    mean: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.standard_error:.4f}"


@dataclass(frozen=True)
class Candidate:
    """A trained model proposed for promotion. `folds`: for each metric, one value per fold; all share these folds."""

    name: str
    fit: Fit
    parameters: Mapping[str, str]
    folds: Mapping[str, Vector]
    cross_validated: Mapping[str, Estimate]


@dataclass(frozen=True)
class ShuffledControl:
    """The metric that a trainer reaches when labels say nothing: `chance` or less, unless evaluation itself leaks."""

    value: float
    standard_error: float
    chance: float = 0.5

    @property
    def z(self) -> float:
        """Standard errors above chance."""
        if self.standard_error == 0:  # a model that gives every row the same score
            return 0.0 if self.value <= self.chance else math.inf
        return (self.value - self.chance) / self.standard_error


def fit_candidates(trainers: Sequence[Fitter], train: Dataset, task: Task) -> list[Candidate]:
    """Return a candidate of each trainer, in their order; a name that is taken gets a number (`xgboost-2`).

    Raises:
        TesseraError: the rows do not suffice for the folds.
    """
    fits = [trainer.fit(train.rows, train.labels, train.groups) for trainer in trainers]
    names = _distinct([trainer.name for trainer in trainers])
    # The same parts of the rows for all, or differences would not be paired: each trainer may have its own folds.
    return [
        _measured(name, trainer, fit, train, fits[0].folds, task)
        for name, trainer, fit in zip(names, trainers, fits, strict=True)
    ]


def parts_of(candidate: Candidate, trainers: Sequence[Fitter], train: Dataset, task: Task) -> list[Candidate]:
    """Return a candidate of each model that this one merges, fitted as it was there, in the order of the trainers."""
    fits = candidate.fit.parts
    names = _distinct([trainer.name for trainer in trainers])
    return [
        _measured(name, trainer, fit, train, candidate.fit.folds, task)
        for name, trainer, fit in zip(names, trainers, fits, strict=True)
    ]


def choose(candidates: Sequence[Candidate], metric: str) -> Candidate:
    """Return the first candidate that the best one does not beat by more than one standard error of their difference.

    `candidates` begin with the simplest. The standard error is that of the paired differences over the folds, whose
    noise is mostly common to both (the one-standard-error rule of Breiman et al. 1984, *CART*, 3.4.3, applied to
    differences).
    """
    best = max(candidates, key=lambda candidate: candidate.cross_validated[metric].mean)
    for candidate in candidates:
        behind = _estimate(best.folds[metric] - candidate.folds[metric])
        if behind.mean <= behind.standard_error:
            return candidate
    return best


def shuffled_control(trainer: Fitter, train: Dataset, task: Task, *, seed: int = 0) -> ShuffledControl:
    """Return the out-of-fold metric after entities exchanged their labels, all rows of an entity together.

    An entity's labels stay together, so a trainer whose folds split an entity recognises it and shows it here.
    """
    kept = _some_entities(train.groups, _CONTROL_ROWS, seed)
    groups = train.groups[kept]
    labels = exchanged_labels(train.labels[kept], groups, seed=seed)
    fit = trainer.fit(train.rows[kept], labels, groups)
    resampling = Resampling(n=_CONTROL_RESAMPLES, seed=seed, confidence=0.95)
    metric = task.reference
    drawn = resampled(metric, labels, groups, {"control": fit.out_of_fold}, resampling)["control"]
    value = metric.value(labels, fit.out_of_fold, groups)
    return ShuffledControl(value, float(drawn.std(ddof=1)), metric.chance(labels, groups))


def exchanged_labels(labels: Labels, groups: Groups, *, seed: int) -> Labels:
    """Labels after each entity took over those of another one, repeated or cut to its own number of rows.

    An entity's labels come in random order, so that what the calendar says of a label (a season) is lost as well.
    """
    rng = np.random.default_rng(seed)
    codes, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.lexsort((rng.random(groups.size), inverse))
    starts = np.cumsum(counts) - counts
    giver = rng.permutation(codes.size)[inverse[order]]
    position = np.arange(labels.size) - starts[inverse[order]]
    taken = order[starts[giver] + position % counts[giver]]
    exchanged = np.empty_like(labels)
    exchanged[order] = labels[taken]
    return exchanged


def _some_entities(groups: Groups, rows: int, seed: int) -> NDArray[np.bool_]:
    """Mark the rows of randomly drawn entities that have about `rows` rows together; all if there are no more."""
    codes, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(codes.size)
    before = np.cumsum(counts[order]) - counts[order]
    return np.isin(groups, codes[order][before < rows])


def _measured(name: str, trainer: Fitter, fit: Fit, train: Dataset, folds: NDArray[np.int64], task: Task) -> Candidate:
    parts = [folds == k for k in np.unique(folds)]
    by_fold = {
        key: np.array([metric.value(train.labels[p], fit.out_of_fold[p], train.groups[p]) for p in parts])
        for key, metric in task.metrics.items()
    }
    losses = {
        key: np.array([loss(train.labels[p], fit.out_of_fold[p]) for p in parts])
        for key, loss in task.fold_losses.items()
    }
    estimates = {key: _estimate(values) for key, values in {**by_fold, **losses}.items()}
    return Candidate(name, fit, {**trainer.parameters(), **fit.notes}, by_fold, estimates)


def _estimate(values: Vector) -> Estimate:
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


def _distinct(names: Sequence[str]) -> list[str]:
    earlier = [names[:at].count(name) for at, name in enumerate(names)]
    return [f"{name}-{count + 1}" if count else name for name, count in zip(names, earlier, strict=True)]
