"""The order of candidates by what they are expected to earn: conversion of their place, weighed by their margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# scikit-learn has no static types.
# pyright: basic

Floats = NDArray[np.float64]
#: Part by which conversion falls from one place to the next at least: equal margins keep the ranker's order.
_FALL = 1e-4


@dataclass(frozen=True)
class MarginOrder:
    """Weighs the margin of candidates.

    Attributes:
        weight: power of the margin, above 0, at most 1: then candidates are ordered by their expected margin.
        conversion: chance that the candidate at each place of the ranker is wanted, falling from place to place; all
            later places have the last one.
    """

    weight: float
    conversion: tuple[float, ...]

    @classmethod
    def read(cls, saved: Mapping[str, Any] | None) -> MarginOrder | None:
        """Return the order that `as_json` described; None if there is none."""
        return None if saved is None else cls(float(saved["weight"]), tuple(saved["conversion"]))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"weight": self.weight, "conversion": [*self.conversion]}

    def scores(self, ranked: NDArray[np.float32], margin: Floats) -> NDArray[np.float32]:
        """Return the score of each candidate; -inf where there is none.

        Args:
            ranked: scores of the ranker, shape `(n_customers, n_candidates)`; -inf: there is no candidate.
            margin: of each candidate, over the usual one (`Known.margins`).
        """
        place = np.argsort(np.argsort(-ranked, axis=1, kind="stable"), axis=1, kind="stable")
        chance = np.array(self.conversion)[np.minimum(place, len(self.conversion) - 1)]
        found = chance * margin**self.weight
        return np.where(np.isfinite(ranked), found, -np.inf).astype(np.float32)


def falling(taken: Floats) -> tuple[float, ...]:
    """Return conversion by place: isotonic regression of the share that was taken there, and always a little less."""
    from sklearn.isotonic import IsotonicRegression

    places = np.arange(taken.size)
    smooth = IsotonicRegression(increasing=False, y_min=1e-6).fit_transform(places, taken)
    return tuple(float(f"{value:.6g}") for value in smooth * (1 - _FALL) ** places)
