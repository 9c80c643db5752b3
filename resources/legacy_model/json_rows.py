"""Inputs of a model as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.legacy.contract import InputFeature
from models.training.model import Matrix


def json_columns(inputs: Matrix, features: Sequence[InputFeature]) -> list[list[Any]]:
    """Return a list per input: numbers with the digits that float32 has (0.1, not 0.10000000149), None for NULL."""
    return [_column(inputs[:, place], one) for place, one in enumerate(features)]


def json_rows(inputs: Matrix, features: Sequence[InputFeature]) -> list[list[Any]]:
    """Return the same as a list per row."""
    return [list(row) for row in zip(*json_columns(inputs, features), strict=True)]


def _column(values: NDArray[np.float32], one: InputFeature) -> list[Any]:
    missing = np.isnan(values)
    if one.type == "text":
        known = [*one.values, None]
        return [known[place] for place in np.where(missing, len(one.values), values).astype(int).tolist()]
    numbers = values.astype(np.float64)
    broken = ~missing & (np.trunc(numbers) != numbers)
    numbers[broken] = values[broken].astype(str).astype(np.float64)
    found: list[Any] = numbers.tolist()
    for place in np.flatnonzero(missing).tolist():
        found[place] = None
    return found
