"""What every trained model offers, whichever library made it."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]


class FittedModel(Protocol):
    """A trained, calibrated binary classifier over float32 matrices; NaN means missing."""

    kind: str

    def predict(self, rows: Matrix) -> Vector:
        """Calibrated probability of the positive class, shape `(n_rows,)`, strictly monotone in the raw score."""
        ...

    def contributions(self, rows: Matrix) -> Matrix:
        """Exact additive contribution of each feature to the raw log-odds, shape `(n_rows, n_features)`.

        Raises:
            TesseraError: this kind of model has none.
        """
        ...

    def save(self, folder: Path) -> None:
        """The model's files are in `folder`, in formats that run no code when they are read."""
        ...
