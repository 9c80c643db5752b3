"""Comparison of two models on slices of the hold-out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval, Resampling, interval, resampled
from models.evaluation.metrics import auc
from models.training.model import Groups, Labels, Vector

#: Rows that each class of a part must have before an AUC of it means anything.
MIN_CLASS_ROWS = 20


@dataclass(frozen=True)
class SliceResult:
    """One part of one division. `auc` and what follows are None where a class has fewer than 20 rows.

    Attributes:
        division: what the rows were divided by, e.g. `country`.
        part: which part, e.g. `DE`.
        rows: number of rows.
        rate: share of positives.
        predicted: mean probability.
        auc: of the model.
        reference_auc: of the model it is compared with.
        difference: `auc - reference_auc`, with its paired interval.
    """

    division: str
    part: str
    rows: int
    rate: float
    predicted: float
    auc: float | None
    reference_auc: float | None
    difference: Interval | None


def compare_slices(
    labels: Labels,
    groups: Groups,
    slices: Mapping[str, NDArray[np.object_]],
    scores: Vector,
    reference: Vector,
    resampling: Resampling,
) -> list[SliceResult]:
    """Every part of every division, `scores` against `reference` on the same rows."""
    return [
        _compare(name, part, mask, labels, groups, {"model": scores, "reference": reference}, resampling)
        for name, part, mask in _parts(slices)
    ]


def _parts(slices: Mapping[str, NDArray[np.object_]]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    for name, parts in slices.items():
        for part in sorted(set(parts.tolist()), key=_reading_order):
            yield name, str(part), parts == part


def _reading_order(part: str) -> tuple[int, str]:
    """Bands of numbers from low to high, what is missing or rare last."""
    if part.startswith("("):
        return 3, part
    return (0 if part.startswith("<= ") else 2 if part.startswith("> ") else 1), part


def _compare(
    name: str,
    part: str,
    mask: NDArray[np.bool_],
    labels: Labels,
    groups: Groups,
    scores: Mapping[str, Vector],
    resampling: Resampling,
) -> SliceResult:
    own = labels[mask]
    picked = {key: values[mask] for key, values in scores.items()}
    rate, predicted = float(own.mean()), float(picked["model"].mean())
    if min(int(own.sum()), int(own.size - own.sum())) < MIN_CLASS_ROWS:
        return SliceResult(name, part, own.size, rate, predicted, None, None, None)
    model, reference = auc(own, picked["model"]), auc(own, picked["reference"])
    drawn = resampled("auc", own, groups[mask], picked, resampling)
    difference = interval(model - reference, drawn["model"] - drawn["reference"], resampling.confidence)
    return SliceResult(name, part, own.size, rate, predicted, model, reference, difference)
