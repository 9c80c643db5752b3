"""One column of the training and hold-out rows as a baseline that a candidate must beat."""

import numpy as np
import pyarrow as pa

from models.errors import TesseraError, choose_from
from models.training.dataset import Split
from models.training.model import Labels, Vector

# pyarrow has no static types.
# pyright: basic


def column_of(split: Split, feature: str) -> tuple[Vector, Vector]:
    """Return a feature's values in the training rows and in the hold-out; a missing value is the training median.

    Raises:
        TesseraError: no such feature.
    """
    names = split.encoder.feature_names
    if feature not in names:
        raise _unknown(feature, names)
    index = names.index(feature)
    known, asked = (side.rows[:, index].astype(np.float64) for side in (split.train, split.holdout))
    middle = float(np.nanmedian(known)) if not np.isnan(known).all() else 0.0
    return np.nan_to_num(known, nan=middle), np.nan_to_num(asked, nan=middle)


def holdout_column(split: Split, name: str) -> Vector:
    """Return a numeric column of the hold-out rows as it is, also one that no model learns from.

    Raises:
        TesseraError: no such column, or a value is missing.
    """
    table: pa.Table = split.holdout_table
    if name not in table.column_names:
        raise _unknown(name, table.column_names)
    values = table.column(name)
    if values.null_count:
        raise TesseraError(
            f"The baseline {name!r} has no value in {values.null_count} hold-out rows.",
            expected="a prediction of each row",
            todo="Let the feature's expression give a number where nothing is known, e.g. 0.",
        )
    return values.to_numpy().astype(np.float64)


def joint_sign(values: Vector, labels: Labels) -> float:
    """Return the sign of the correlation of values and labels; 1 for a constant."""
    return 1.0 if np.mean((values - values.mean()) * labels) >= 0 else -1.0


def _unknown(feature: str, names: "tuple[str, ...] | list[str]") -> TesseraError:
    return TesseraError(
        f"There is no feature {feature!r}.",
        expected=choose_from(feature, names),
        todo="Correct the name of the baseline.",
    )
