"""Prediction intervals from out-of-fold errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.errors import TesseraError
from models.training.model import Vector

Target = Literal["log1p", "identity"]

#: Scale that a model of numbers learns on -> its function and its inverse. `log1p` is for numbers from 0 on.
_SCALES: dict[Target, tuple[Callable[[Vector], Vector], Callable[[Vector], Vector]]] = {
    "log1p": (np.log1p, lambda raw: np.maximum(np.expm1(raw), 0.0)),
    "identity": (lambda values: values, lambda raw: raw),
}


@dataclass(frozen=True)
class Intervals:
    """Distance of an interval's ends from the prediction, on the model's own scale, by size of the prediction.

    Attributes:
        target: the model's own scale.
        edges: predictions at which a new part begins, ascending.
        lower: distance of the lower end in each part, at most 0; shape `(n_edges + 1,)`.
        upper: distance of the upper end, at least 0.
    """

    target: Target
    edges: Vector
    lower: Vector
    upper: Vector

    def value(self, raw: Vector) -> Vector:
        """Return predictions in the unit of the labels, from those on the model's own scale."""
        return _SCALES[self.target][1](raw.astype(np.float64))

    def around(self, raw: Vector) -> tuple[Vector, Vector]:
        """Return both ends in the unit of the labels."""
        part = np.searchsorted(self.edges, raw, side="right")
        return self.value(raw + self.lower[part]), self.value(raw + self.upper[part])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "target": self.target,
            "edges": self.edges.tolist(),
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Intervals":
        """Return what `to_json` described."""
        target: Target = "log1p" if saved["target"] == "log1p" else "identity"
        return cls(target, *(np.array(saved[name], dtype=np.float64) for name in ("edges", "lower", "upper")))


def on_scale(target: Target, labels: Vector) -> Vector:
    """Return labels on the model's own scale.

    Raises:
        TesseraError: labels have no place on it: the logarithm of 1 + label needs labels above -1.
    """
    if target == "log1p" and labels.size and not float(labels.min()) > -1:
        raise TesseraError(
            f"{int((~(labels > -1)).sum())} of {labels.size} labels are -1 or less, the lowest {labels.min():g}.",
            expected="labels above -1: this trainer learns log(1 + label)",
            todo="Look at the signs of the labels' source, or set `target: identity` for the trainer.",
        )
    return _SCALES[target][0](labels.astype(np.float64))


def fit_intervals(target: Target, raw: Vector, labels: Vector, *, share: float, parts: int) -> Intervals:
    """Return the shortest intervals that hold `share` of the out-of-fold errors, by size of the prediction.

    The predictions are divided into `parts` of equal numbers of rows: split conformal prediction within bins of the
    prediction (Mondrian conformal regression, Boström and Johansson 2020), with the shortest interval of each bin
    instead of the central one, because errors of counts are skewed.

    Args:
        target: the model's own scale.
        raw: out-of-fold predictions on that scale, shape `(n,)`.
        labels: in their unit, shape `(n,)`.
        share: of the labels that the intervals hold, 0 to 1.
        parts: of the predictions' range.
    """
    errors = on_scale(target, labels) - raw
    edges = np.unique(np.quantile(raw, np.linspace(0, 1, parts + 1)[1:-1]))
    part = np.searchsorted(edges, raw, side="right")
    ends = [_shortest(np.sort(errors[part == number]), share) for number in range(edges.size + 1)]
    lower, upper = (np.array(end, dtype=np.float64) for end in zip(*ends, strict=True))
    return Intervals(target, edges, lower, upper)


def _shortest(ordered: Vector, share: float) -> tuple[float, float]:
    """Return ends of the shortest interval that holds `share` of the errors, widened to hold 0, the prediction."""
    if not ordered.size:
        return 0.0, 0.0
    held = min(ordered.size, max(1, int(np.ceil(share * ordered.size))))
    widths = ordered[held - 1 :] - ordered[: ordered.size - held + 1]
    first = int(np.argmin(widths))
    return min(0.0, float(ordered[first])), max(0.0, float(ordered[first + held - 1]))
