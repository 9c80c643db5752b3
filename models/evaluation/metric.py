"""The interface of a metric that models are compared by."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.training.model import Groups, Labels, Vector

#: Number of times each row counts in each resample, shape `(resamples, n_rows)`.
Weights = NDArray[np.float64]
#: Gives the metric of each resample, shape `(resamples,)`.
Resample = Callable[[Weights], Vector]


class Metric(ABC):
    """A number that says how good predictions are; higher is better.

    Attributes:
        name: as settings, reports and the registry spell it.
        words: as people read it.
    """

    name: str
    words: str

    @abstractmethod
    def value(self, labels: Labels, predictions: Vector, groups: Groups) -> float:
        """Return the metric of predictions, one row per label; `groups` numbers the entity of each row.

        Raises:
            TesseraError: it does not exist for these labels, e.g. with one class only.
        """

    @abstractmethod
    def resample(self, labels: Labels, predictions: Vector, groups: Groups) -> Resample:
        """Return the function that gives the metric of resamples; what all of them share is computed once."""

    def chance(self, labels: Labels, groups: Groups) -> float:
        """Return its value for a model that knows nothing of these labels; 0 unless the metric says otherwise."""
        del labels, groups
        return 0.0

    def is_measurable(self, labels: Labels) -> bool:
        """Return True if a part of the hold-out with these labels is large enough for the metric to mean anything."""
        return labels.size > 0
