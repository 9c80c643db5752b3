"""From the matrix of the application's features to the inputs of an imported model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.legacy.contract import InputFeature
from models.training.encoding import Encoder
from models.training.model import Matrix


@dataclass(frozen=True)
class Inputs:
    """Inputs of a model, filled from an encoder's matrix.

    A text is the place of its value in `values`, NaN where it is NULL or another one.
    """

    features: tuple[InputFeature, ...]
    encoder: Encoder

    @cached_property
    def _places(self) -> tuple[tuple[int, ...], ...]:
        """Columns of the encoder's matrix for each input."""
        at = {name: place for place, name in enumerate(self.encoder.feature_names)}
        return tuple(
            tuple(at[f"{one.feature}={value}"] for value in one.categories) if one.categories else (at[one.feature],)
            for one in self.features
        )

    def of(self, rows: Matrix) -> Matrix:
        """Return the inputs, shape `(n_rows, n_inputs)`, of a matrix of the encoder."""
        out = np.empty((len(rows), len(self.features)), np.float32)
        for place, (one, columns) in enumerate(zip(self.features, self._places, strict=True)):
            values = _place_of(rows[:, columns]) if one.type == "text" else rows[:, columns[0]]
            out[:, place] = values if one.if_missing is None else np.where(np.isnan(values), one.if_missing, values)
        return out

    def back(self, inputs: Matrix) -> Matrix:
        """Return a matrix of the encoder that has these inputs: golden rows are given as inputs."""
        out = np.zeros((len(inputs), len(self.encoder.feature_names)), np.float32)
        for place, (one, columns) in enumerate(zip(self.features, self._places, strict=True)):
            if one.type == "text":
                for value, column in enumerate(columns):
                    out[:, column] = inputs[:, place] == value
            else:
                out[:, columns[0]] = inputs[:, place]
        return out

    def spread(self, values: Matrix) -> Matrix:
        """Return numbers of the inputs (contributions) as numbers of the encoder's columns, shape of its matrix."""
        out = np.zeros((len(values), len(self.encoder.feature_names)), np.float32)
        for place, columns in enumerate(self._places):
            out[:, columns[0]] += values[:, place]
        return out


def _place_of(flags: Matrix) -> NDArray[np.float32]:
    """Return the place of the 1 in each row, NaN where there is none."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), np.nan).astype(np.float32)
