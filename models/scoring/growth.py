"""Shifts of features that a young home explains: it holds more history every night, until it holds the look-back."""

from collections.abc import Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.scoring.psi import Shift, shift

#: Fewer rows with as much history as those of the reference say nothing; the shift then stays as it is.
_MIN_ROWS = 10

Values = NDArray[np.float64]


class HomeHistory(BaseModel):
    """History behind the rows of a drift reference, in days, its own day included.

    Attributes:
        feature: days since the first event that is held of an entity.
        day: the day of the rows.
        days: days of history that the home held.
        look_back_days: longest look-back; a home with so much history grows no more.
        short: features that look back further than `days`, `feature` among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    feature: str
    day: date
    days: int
    look_back_days: int
    short: tuple[str, ...]

    def growth_days(self, day: date) -> int:
        """Days of usable history that the home has gained by `day`."""
        held = min(self.days, self.look_back_days)
        return max(min(self.days + (day - self.day).days, self.look_back_days) - held, 0)


def history_of(feature: str, look_back_days: Mapping[str, int], day: date, days: int) -> HomeHistory:
    """Return the history of a reference of `day`, from the look-back of each feature."""
    short = tuple(name for name, reach in look_back_days.items() if reach > days)
    return HomeHistory(
        feature=feature, day=day, days=days, look_back_days=max(look_back_days.values(), default=0), short=short
    )


class GrowthMeter:
    """Counts rows as they would look had the home not grown.

    `feature` itself is aged back: those who were there at the reference have grown older by `growth_days`, and those
    who came since are as young as the young of the reference (scaled to its history, if the home has more than
    doubled). Any other short feature is compared between entities of equal history: rows with more history than the
    reference can hold are left out, the rest weighted to its distribution of `feature` (direct standardization).

    Args:
        history: of the reference.
        growth_days: days of history gained since.
        bins: bins of each short feature, NULL included.
        shares: shares of the reference in the bins of `feature`, then of NULL.
    """

    def __init__(self, history: HomeHistory, growth_days: int, bins: Mapping[str, int], shares: Values) -> None:
        self.history, self.growth_days = history, growth_days
        self._shares = shares[:-1]
        others = {name: bins[name] for name in history.short if name in bins and name != history.feature}
        self._aged = np.zeros(len(shares))
        self._joint = {name: np.zeros((len(self._shares), count)) for name, count in others.items()}
        self._rows = np.zeros(len(self._shares))

    def aged(self, values: Values) -> Values:
        """Return the values of `feature`, NaN for NULL, aged back."""
        young = values * min(1.0, self.history.days / self.growth_days)
        return np.where(values > self.growth_days, values - self.growth_days, young)

    def count(self, history: Values, own: NDArray[np.intp], aged: NDArray[np.intp], weight: float) -> NDArray[np.bool_]:
        """Count the rows of a batch; True for those with no more history than the reference can hold.

        Args:
            history: values of `feature`, NaN for NULL.
            own: their bins.
            aged: bins of the aged values.
            weight: rows that each row stands for.
        """
        comparable = history <= self.history.days
        self._aged += weight * np.bincount(aged, minlength=len(self._aged))
        self._rows += np.bincount(own[comparable], minlength=len(self._rows))
        return comparable

    def count_feature(self, name: str, own: NDArray[np.intp], bins: NDArray[np.intp], weight: float) -> None:
        """Count a short feature of the comparable rows, by their bins of `feature` and of the feature."""
        if name in self._joint:
            np.add.at(self._joint[name], (own, bins), weight)

    def shift(self, name: str, before: Values, sampled: int) -> Shift | None:
        """Return the shift beyond growth; None: the feature does not grow, or too few rows can be compared.

        Args:
            name: the feature.
            before: rows of the reference in its bins.
            sampled: number of rows that were looked at.
        """
        if name == self.history.feature:
            return shift(before, self._aged / max(self._aged.sum(), 1) * sampled)
        if name not in self._joint:
            return None
        weights = np.divide(self._shares, self._rows, out=np.zeros_like(self._shares), where=self._rows > 0)
        effective = float((weights @ self._rows) ** 2 / max(weights**2 @ self._rows, 1e-300))
        if effective < _MIN_ROWS:
            return None
        counts = self._joint[name]
        within = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300)
        expected = np.where(self._rows > 0, self._shares, 0) @ within
        return shift(before, expected / expected.sum() * effective)
