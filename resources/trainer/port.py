"""What fits models."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from models.training.fitted import FittedModel, Matrix
from resources.health import Health


class Trainer(ABC):
    """Fits one kind of model; the same data and seed give the same model."""

    #: Short name of the candidate, e.g. `xgboost`.
    name: str

    @abstractmethod
    def fit(
        self, rows: Matrix, labels: NDArray[np.int8], groups: NDArray[np.int64], feature_names: list[str]
    ) -> FittedModel:
        """A calibrated model. `groups` names the entity of each row: no entity may stand on both sides of any
        internal split (early stopping, calibration)."""

    @abstractmethod
    def parameters(self) -> dict[str, str]:
        """Every parameter that shapes the model, defaults that may drift between releases included."""

    @abstractmethod
    def check(self) -> Health:
        """Whether its library can be imported and used."""
