"""Summary of a model's scores at its evaluation, kept in its package: what a first night is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from models.evaluation.bootstrap import Resampling, resampled
from models.evaluation.metric import Metric
from models.evaluation.metrics import reliability
from models.gates.closing import failure_of
from models.scoring.drift import NumericReference, numeric_reference
from models.scoring.estimated_quality import ESTIMATED, estimated
from models.scoring.night_numbers import float_histogram
from models.training.model import FittedModel, Groups, Labels, Matrix, Vector

# pyarrow has no static types.
# pyright: basic

#: File of the model package.
SCORES = "scores.json"
#: Share of labels inside of their prediction interval, as a quality.
COVERAGE = "coverage"
_BINS, _RESAMPLES = 20, 100
#: Rows whose contributions are averaged: about 2.7 ms each for 300 trees of depth 6.
_EXPLAINED_ROWS = 200

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class AcceptedQuality(BaseModel):
    """A metric that the gate measured on the hold-out.

    Attributes:
        metric: its name.
        value: on the hold-out.
        error: its standard error, by resampling entities.
        promised: what the probabilities alone promised of the same rows; None of a metric that is not estimated.
    """

    model_config = _FROZEN

    metric: str
    value: float
    error: float
    promised: float | None = None


class ScoreReference(BaseModel):
    """Scores and quality of the evaluated model on its hold-out, and what the serving model looks at.

    Attributes:
        rows: of the hold-out.
        scores: distribution of their scores.
        importances: feature -> share of the absolute contributions, adding to 1; empty: this kind of model has none.
        qualities: metrics that the gate accepted, the gate's own first.
        uncalibrated: why nothing can be estimated from the probabilities; "" if they are calibrated.
    """

    model_config = _FROZEN

    rows: int
    scores: NumericReference
    importances: dict[str, float] = {}
    qualities: tuple[AcceptedQuality, ...] = ()
    uncalibrated: str = ""

    def quality(self, metric: str) -> AcceptedQuality | None:
        """Return the accepted value of a metric; None if it was not measured."""
        return next((one for one in self.qualities if one.metric == metric), None)


def score_reference(
    labels: Labels,
    predictions: Vector,
    groups: Groups,
    metric: Metric,
    *,
    max_ece: float | None,
    interval: tuple[Vector, Vector] | None = None,
) -> ScoreReference:
    """Summarize the evaluated model's predictions of the hold-out.

    Args:
        labels: of the hold-out.
        predictions: of the evaluated model; of several classes, the probability of each.
        groups: number of each row's entity.
        metric: by which the gate compares.
        max_ece: largest calibration error of a binary task that counts as calibrated; None: another task.
        interval: both ends of the prediction interval of each row; None: the model gives none.
    """
    scores = predictions if predictions.ndim == 1 else predictions.max(axis=1)
    distribution = numeric_reference(pa.chunked_array([pa.array(scores.astype(np.float64))]), _BINS)
    qualities = [_accepted(metric.name, metric, labels, predictions, groups)]
    if interval is not None:
        qualities.append(_coverage(labels, *interval))
    why = "probabilities of two classes alone promise a quality"
    if max_ece is not None:
        bins = float_histogram(scores)
        qualities = [_promised(one, bins) for one in _binary(qualities[0], labels, scores, groups)]
        found = reliability(labels, scores)
        excess = found.ece - found.chance
        why = f"calibration error {excess:.3f} beyond chance, above {max_ece:g}" if excess > max_ece else ""
    return ScoreReference(rows=labels.size, scores=distribution, qualities=tuple(qualities), uncalibrated=why)


def importances(model: FittedModel, rows: Matrix, feature_names: Sequence[str]) -> dict[str, float]:
    """Return the share of each feature in the absolute contributions; {} of a model that gives none.

    The columns of one category (`country=DE`, ...) are one feature.
    """
    found = _contributions(model, rows[:: max(1, len(rows) // _EXPLAINED_ROWS)][:_EXPLAINED_ROWS])
    if found.ndim != 2 or found.shape[1] != len(feature_names):
        return {}
    summed: dict[str, np.ndarray] = {}
    for place, name in enumerate(feature_names):
        feature = name.partition("=")[0]
        summed[feature] = summed.get(feature, 0) + found[:, place]
    sizes = {name: float(np.abs(values).mean()) for name, values in summed.items()}
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()} if np.isfinite(total) and total > 0 else {}


def _contributions(model: FittedModel, rows: Matrix) -> np.ndarray:
    """Contributions, or an empty array: a third party's model may fail in any way to give them."""
    kept: list[np.ndarray] = []
    failure_of(lambda: kept.append(np.asarray(model.contributions(rows), dtype=np.float64)))
    return kept[0] if kept else np.empty(0)


def _accepted(name: str, metric: Metric, labels: Labels, predictions: Vector, groups: Groups) -> AcceptedQuality:
    drawn = resampled(metric, labels, groups, {name: predictions}, Resampling(_RESAMPLES, 0, 0.95))[name]
    return AcceptedQuality(metric=name, value=metric.value(labels, predictions, groups), error=float(drawn.std()))


def _binary(own: AcceptedQuality, labels: Labels, scores: Vector, groups: Groups) -> list[AcceptedQuality]:
    """The gate's own metric, and AUC."""
    from models.evaluation.binary_metrics import AUC

    return [own] if own.metric == AUC.name else [own, _accepted(AUC.name, AUC, labels, scores, groups)]


def _coverage(labels: Labels, lower: Vector, upper: Vector) -> AcceptedQuality:
    from models.evaluation.regression_metrics import measure_interval

    share = measure_interval(labels, lower, upper)["coverage"]
    return AcceptedQuality(metric=COVERAGE, value=share, error=float(np.sqrt(share * (1 - share) / labels.size)))


def _promised(one: AcceptedQuality, bins: np.ndarray) -> AcceptedQuality:
    promise = estimated(bins, one.metric) if one.metric in ESTIMATED else None
    return one.model_copy(update={"promised": promise.value}) if promise else one
