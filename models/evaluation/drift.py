"""How far a distribution has moved from the one a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.fitted import Matrix, Vector

#: Share that an empty bin is given, so that a logarithm exists.
_FLOOR = 1e-4


@dataclass(frozen=True)
class DriftReference:
    """The distribution of one column: inner bin edges (ascending) and the share of each bin, missing values last."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]

    @classmethod
    def learn(cls, values: NDArray[np.floating[Any]], *, bins: int = 10) -> DriftReference:
        """Bins of equal mass where the values allow it; NaN is a bin of its own."""
        known = values[~np.isnan(values)]
        quantiles = np.linspace(0, 1, bins + 1)[1:-1]
        inner = np.quantile(known, quantiles, method="lower") if known.size else np.empty(0)
        edges = np.unique(inner).astype(np.float64)
        return cls(tuple(edges.tolist()), tuple(_shares(values, edges).tolist()))

    def psi(self, values: NDArray[np.floating[Any]]) -> float:
        """Population stability index of `values` against this: `sum((q - p) ln(q / p))`.

        Below 0.1 is usually called stable, above 0.25 a shift (Siddiqi 2006, *Credit Risk Scorecards*).
        """
        p = np.maximum(np.array(self.shares), _FLOOR)
        q = np.maximum(_shares(values, np.array(self.edges)), _FLOOR)
        return float(np.sum((q - p) * np.log(q / p)))

    def to_json(self) -> dict[str, Any]:
        """The reference as JSON values."""
        return {"edges": list(self.edges), "shares": list(self.shares)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DriftReference:
        """The reference that `to_json` described."""
        return cls(tuple(values["edges"]), tuple(values["shares"]))


def learn_references(names: Sequence[str], rows: Matrix) -> dict[str, DriftReference]:
    """The distribution of every column of a matrix, by its name."""
    return {name: DriftReference.learn(rows[:, index]) for index, name in enumerate(names)}


def drift(references: Mapping[str, DriftReference], names: Sequence[str], rows: Matrix) -> dict[str, float]:
    """Population stability index of every column that has a reference, largest first."""
    found = {name: references[name].psi(rows[:, index]) for index, name in enumerate(names) if name in references}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _shares(values: NDArray[np.floating[Any]], edges: Vector) -> Vector:
    missing = np.isnan(values)
    bins = np.where(missing, edges.size + 1, np.searchsorted(edges, values, side="left"))
    return np.bincount(bins, minlength=edges.size + 2) / max(1, values.size)
