"""Single-feature baselines that a candidate must beat."""

from collections.abc import Mapping

import numpy as np

from models.errors import TesseraError, choose_from
from models.training.calibration import fit_platt
from models.training.dataset import Split
from models.training.model import Vector


def single_feature_scores(split: Split, baselines: Mapping[str, str]) -> dict[str, Vector]:
    """Probability of each hold-out row by one feature alone, for each of `baselines` (name -> feature).

    The direction and the scale are learnt from the training rows; a missing value is the training median.

    Raises:
        TesseraError: no such feature.
    """
    return {name: _by_one(split, feature) for name, feature in baselines.items()}


def _by_one(split: Split, feature: str) -> Vector:
    names = split.encoder.feature_names
    if feature not in names:
        raise TesseraError(
            f"There is no feature {feature!r}.",
            expected=choose_from(feature, names),
            todo="Correct the name of the baseline.",
        )
    index = names.index(feature)
    known, asked = (side.rows[:, index].astype(np.float64) for side in (split.train, split.holdout))
    middle = float(np.nanmedian(known)) if not np.isnan(known).all() else 0.0
    known, asked = np.nan_to_num(known, nan=middle), np.nan_to_num(asked, nan=middle)
    together = np.mean((known - known.mean()) * split.train.labels)  # the sign of the correlation, 0 for a constant
    sign = 1.0 if together >= 0 else -1.0
    return fit_platt(sign * known, split.train.labels)(sign * asked)
