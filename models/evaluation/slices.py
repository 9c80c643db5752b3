"""Comparison of two models on slices of the hold-out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval, Resampling, interval, resampled
from models.evaluation.metric import Metric
from models.training.dataset import Dataset
from models.training.model import Vector


@dataclass(frozen=True)
class SliceResult:
    """One part of one division. `value` and what follows are None where the metric cannot be measured.

    Attributes:
        division: what the rows were divided by, e.g. `country`.
        part: which part, e.g. `DE`.
        rows: number of rows.
        rate: mean label; share of positives of a binary task; None for classes that are not numbers.
        predicted: mean prediction; None for several probabilities per row.
        value: metric of the model.
        reference: metric of the model it is compared with.
        difference: `value - reference`, with its paired interval.
    """

    division: str
    part: str
    rows: int
    rate: float | None
    predicted: float | None
    value: float | None
    reference: float | None
    difference: Interval | None


def compare_slices(
    held: Dataset, scores: Vector, reference: Vector, metric: Metric, resampling: Resampling
) -> list[SliceResult]:
    """Every part of every division of the hold-out, `scores` against `reference` on the same rows."""
    return [
        _compare(name, part, mask, held, {"model": scores, "reference": reference}, metric, resampling)
        for name, part, mask in _parts(held.slices)
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
    held: Dataset,
    scores: Mapping[str, Vector],
    metric: Metric,
    resampling: Resampling,
) -> SliceResult:
    own, groups = held.labels[mask], held.groups[mask]
    picked = {key: values[mask] for key, values in scores.items()}
    is_number = picked["model"].ndim == 1
    rate, predicted = (float(values.mean()) if is_number else None for values in (own, picked["model"]))
    if not metric.is_measurable(own):
        return SliceResult(name, part, own.size, rate, predicted, None, None, None)
    model, reference = (metric.value(own, picked[key], groups) for key in ("model", "reference"))
    drawn = resampled(metric, own, groups, picked, resampling)
    difference = interval(model - reference, drawn["model"] - drawn["reference"], resampling.confidence)
    return SliceResult(name, part, own.size, rate, predicted, model, reference, difference)
