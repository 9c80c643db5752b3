"""Bootstrap intervals of metrics by resampling entities."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.metric import Metric
from models.training.model import Groups, Labels, Vector

#: Weights of this many resamples times rows are held in memory at once (float64: 0.8 MB). Metrics go over them several
#: times: as many as a core's cache holds take a third of the time that 16 MB take.
_CHUNK = 100_000


@dataclass(frozen=True)
class Interval:
    """A number and its two-sided percentile interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Resampling:
    """Settings of the bootstrap: `n` resamples with `seed`; intervals cover `confidence`."""

    n: int
    seed: int
    confidence: float


def resampled(
    metric: Metric, labels: Labels, groups: Groups, scores: Mapping[str, Vector], resampling: Resampling
) -> dict[str, Vector]:
    """Return metric of each score on each resample of entities, shape `(n,)`; resample i is the same for every score.

    Raises:
        TesseraError: the metric does not exist on some resample, e.g. with one class only.
    """
    prepared = {name: metric.resample(labels, values, groups) for name, values in scores.items()}
    parts: dict[str, list[Vector]] = {name: [] for name in scores}
    for weights in resample_weights(groups, resampling):
        for name, measure in prepared.items():
            parts[name].append(measure(weights))
    return {name: np.concatenate(values) for name, values in parts.items()}


def interval(value: float, resampled: Vector, confidence: float) -> Interval:
    """`value` with the percentile interval of its resampled values (Efron and Tibshirani 1993, ch. 13)."""
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def mean_interval(values: Vector, resampling: Resampling) -> Interval:
    """Mean with its bootstrap interval over the rows; of paired differences the paired interval."""
    groups = np.arange(values.size)
    drawn = [weights @ values / values.size for weights in resample_weights(groups, resampling)]
    return interval(float(values.mean()), np.concatenate(drawn), resampling.confidence)


def resample_weights(groups: Groups, resampling: Resampling) -> Iterator[NDArray[np.float64]]:
    """Yield the count of each row in each resample, some resamples at a time, shape `(resamples, n_rows)`."""
    codes, inverse = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(resampling.seed)
    size = max(1, _CHUNK // max(1, inverse.size))
    for start in range(0, resampling.n, size):
        count = min(size, resampling.n - start)
        drawn = rng.integers(0, codes.size, (count, codes.size)) + codes.size * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * codes.size).reshape(count, codes.size)
        yield times[:, inverse].astype(np.float64)
