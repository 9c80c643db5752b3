"""Inputs of a linear model: the features, their logarithms if asked for, and the terms of BG/NBD."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.training.bgnbd import BgNbd, fit_bgnbd
from models.training.calibration import log_odds
from models.training.columns import UNKNOWN, Columns
from models.training.model import Matrix, Vector

#: Probabilities are kept this far from 0 and 1, expectations from 0, before logarithms are taken.
_LEAST = 1e-6
#: Days beyond which a purchase history is cut off: a hundred years.
_LONGEST = 36_500.0
#: Shapley's weights of one of three columns, by the number of the others that are known.
_WEIGHTS = (1 / 3, 1 / 6, 1 / 3)


@dataclass(frozen=True)
class PurchaseTerms:
    """The terms of BG/NBD, from three columns of the features.

    Attributes:
        model: fitted on the training rows.
        places: columns of purchase days, recency and tenure.
        horizon_days: days that are looked ahead.
        reference: the medians of the three columns over the training rows: the customer that reasons compare with.
    """

    model: BgNbd
    places: tuple[int, int, int]
    horizon_days: int
    reference: tuple[float, float, float]

    @classmethod
    def fit(cls, rows: Matrix, columns: Columns) -> PurchaseTerms:
        """Fit BG/NBD to the purchase histories of these rows; labels play no part.

        Raises:
            TesseraError: the application declares no purchase history, or BG/NBD cannot be fitted.
        """
        purchases, places = columns.history()
        history = rows[:, places].astype(np.float64)
        days, recency, tenure = (float(value) for value in np.median(_cleaned(history), axis=0))
        return cls(fit_bgnbd(*_counts(history)), places, purchases.horizon_days, (days, recency, tenure))

    def history(self, rows: Matrix) -> Vector:
        """Return the three columns of the features, shape `(n, 3)`."""
        return rows[:, self.places].astype(np.float64)

    def terms(self, history: Vector) -> Vector:
        """Log-odds of no purchase, logarithm of the expected purchases, log-odds of being active: shape `(n, 3)`."""
        x, recency, age = _counts(history)
        none = self.model.probability_of_none(x, recency, age, self.horizon_days)
        expected = self.model.expected_purchases(x, recency, age, self.horizon_days)
        active = self.model.probability_active(x, recency, age)
        chances = np.clip(np.column_stack([none, active]), _LEAST, 1 - _LEAST)
        odds = log_odds(chances)
        return np.column_stack([odds[:, 0], np.log(np.maximum(expected, _LEAST)), odds[:, 1]])

    def shapley(self, value: Callable[[Vector], Vector], history: Vector) -> Vector:
        """Return the part of each of the three columns in `value(terms)`, exact Shapley values against the reference.

        The parts of a row add up to its value minus that of the reference.
        """
        known = list(product((False, True), repeat=3))
        values = {one: value(self.terms(np.where(one, history, self.reference))) for one in known}
        parts = np.zeros((len(history), 3))
        for one, place in product(known, range(3)):
            if one[place]:
                without = (*one[:place], False, *one[place + 1 :])
                parts[:, place] += _WEIGHTS[sum(without)] * (values[one] - values[without])
        return parts

    def to_json(self) -> dict[str, Any]:
        """Return everything that `from_json` needs."""
        return {"bgnbd": asdict(self.model), "places": list(self.places), "horizon_days": self.horizon_days} | {
            "reference": list(self.reference)
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> PurchaseTerms:
        """Return the terms that `to_json` described."""
        days, recency, tenure = saved["places"]
        at = tuple(float(value) for value in saved["reference"])
        return cls(BgNbd(**saved["bgnbd"]), (days, recency, tenure), int(saved["horizon_days"]), (at[0], at[1], at[2]))


@dataclass(frozen=True)
class LinearInputs:
    """Inputs that a linear model makes of the features.

    Attributes:
        logarithms: of each feature, `sign(x) log(1 + |x|)`: counts and money are skewed.
        purchases: terms that are added behind the features.
    """

    logarithms: bool = False
    purchases: PurchaseTerms | None = None

    @property
    def added(self) -> int:
        """Number of columns behind the features."""
        return 3 if self.purchases else 0

    def __call__(self, rows: Matrix) -> NDArray[np.floating[Any]]:
        """Return the inputs of these rows, shape `(n, n_features + added)`; without any setting the rows themselves."""
        seen = _signed_logarithms(rows) if self.logarithms else rows
        if self.purchases is None:
            return seen
        return np.column_stack([seen, self.purchases.terms(self.purchases.history(rows))])

    def to_json(self) -> dict[str, Any]:
        """Return everything that `from_json` needs; nothing for the rows themselves."""
        found: dict[str, Any] = {"logarithms": True} if self.logarithms else {}
        return found | ({"purchases": self.purchases.to_json()} if self.purchases else {})

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> LinearInputs:
        """Return the inputs that `to_json` described."""
        purchases = saved.get("purchases")
        return cls(bool(saved.get("logarithms")), PurchaseTerms.from_json(purchases) if purchases else None)


@dataclass(frozen=True)
class InputSettings:
    """Settings from which the inputs are fitted: to all training rows, and to those of each fold again."""

    logarithms: bool = False
    bgnbd: bool = False
    columns: Columns = UNKNOWN

    def fit(self, rows: Matrix) -> LinearInputs:
        """Return the inputs for a model of these rows.

        Raises:
            TesseraError: as `PurchaseTerms.fit`.
        """
        return LinearInputs(self.logarithms, PurchaseTerms.fit(rows, self.columns) if self.bgnbd else None)


def _cleaned(history: NDArray[np.floating[Any]]) -> Vector:
    """Purchase days at least 1, recency within tenure; a missing value as of a customer who bought once, today."""
    days, recency, tenure = np.nan_to_num(history, nan=0.0, posinf=_LONGEST, neginf=0.0).T
    tenure = np.clip(tenure, 0, _LONGEST)
    return np.column_stack([np.clip(np.round(days), 1, _LONGEST), np.clip(recency, 0, tenure), tenure])


def _counts(history: Vector) -> tuple[Vector, Vector, Vector]:
    """Repeat purchases, days from first to last purchase, and age, as BG/NBD wants them."""
    days, recency, tenure = _cleaned(history).T
    repeats = days - 1
    return repeats, np.where(repeats > 0, tenure - recency, 0.0), tenure


def _signed_logarithms(rows: Matrix) -> Matrix:
    """`sign(x) log(1 + |x|)`, in float32 as the features: the mean of a constant column is then the constant."""
    return (np.sign(rows) * np.log1p(np.abs(rows.astype(np.float64)))).astype(np.float32)
