"""The interface of every trained model, whatever its library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
#: Of a binary task 0 or 1 (int8), of a regression numbers (float64), of several classes their numbers (int64), of a
#: ranking relevances (int8).
Labels = NDArray[Any]
Groups = NDArray[np.int64]


class FittedModel(Protocol):
    """A trained model over float32 matrices; NaN means missing.

    A third party's class has two more attributes, by which its packages are read again: `loader`, the dotted path
    `module:function` of a function of (folder, what `save` returned), and `formats`, the endings of its files, e.g.
    `(".txt",)`. The profile must trust the package: `registry: {trusted_packages: [acme]}`. A class that cannot say
    what each feature contributes has `explains = False`, and then needs no method `contributions`.
    """

    kind: str

    def predict(self, rows: Matrix) -> Vector:
        """Return predictions in the unit of the task, shape `(n_rows,)`; `(n_rows, n_classes)` of several classes.

        A binary classifier gives the calibrated probability of the positive class, strictly monotone in `raw`. A row's
        value does not depend on the rows it comes with.
        """
        ...

    def raw(self, rows: Matrix) -> Vector:
        """Return the model's own scale, shape as `predict`; of a binary classifier log-odds before calibration."""
        ...

    def contributions(self, rows: Matrix) -> Matrix:
        """Exact additive contribution of each feature to `raw`, shape `(n_rows, n_features)`.

        The sum over a row is its `raw` minus one number for all rows: the model's mean, or its value at a customer
        that reasons compare with.

        Raises:
            TesseraError: this kind of model has none.
        """
        ...

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the model's files to `folder` and return what loading them needs (JSON).

        The files are in formats that run no code when they are read; the same model gives the same bytes.
        """
        ...


def explains(model: FittedModel) -> bool:
    """Return True if the model gives contributions: every one does unless its attribute `explains` is False."""
    return bool(getattr(model, "explains", True))


def members_of(model: FittedModel) -> tuple[FittedModel, ...]:
    """Return the models that it is made of (its attribute `members`), e.g. of a mean; none of most models."""
    return tuple(getattr(model, "members", ()))


def is_local(model: FittedModel) -> bool:
    """Return True if predicting takes CPU of this thread alone.

    A model that may be run by others, a process or a server, measures what it takes by a `clock` of its own.
    """
    return not hasattr(model, "clock") and all(map(is_local, members_of(model)))


@runtime_checkable
class IntervalModel(FittedModel, Protocol):
    """A model of numbers that also gives a prediction interval of each row."""

    def interval(self, rows: Matrix) -> tuple[Vector, Vector]:
        """Return lower and upper end, each of shape `(n_rows,)`; a row's prediction lies between them."""
        ...


@dataclass(frozen=True)
class Fit:
    """A trained model with what its training says about it.

    Attributes:
        model: trained on all rows.
        out_of_fold: prediction of each row, by a model that saw no row of the same entity.
        folds: which fold each row was held out in, `0..k-1`.
        notes: what training itself chose, e.g. the number of rounds.
        parts: fits of the models that this one merges, in their order; none of most models.
    """

    model: FittedModel
    out_of_fold: Vector
    folds: NDArray[np.int64]
    notes: Mapping[str, str]
    parts: Sequence[Fit] = ()
