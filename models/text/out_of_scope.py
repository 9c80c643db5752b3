"""Out-of-scope detection: a text whose highest score is below a threshold belongs to no label."""

import numpy as np
from numpy.typing import NDArray

from models.text.intents import Scores

#: The label of texts that belong to no other.
OUT_OF_SCOPE = "oos"
#: Retentions that a choice by out-of-scope rows goes through; of equally good ones the first is taken.
RETENTIONS = tuple(np.round(np.arange(0.995, 0.799, -0.005), 3).tolist())
#: Fewer out-of-scope rows than this say nothing about a threshold.
FEWEST_KNOWN = 30


def confidence(scores: Scores) -> NDArray[np.float64]:
    """Return the highest score of each row: the largest margin, or the largest logit.

    Probabilities would not do: they compare labels with each other, and of two bad ones one is the better.
    """
    return scores.max(axis=1)


def threshold_by_retention(in_scope: NDArray[np.float64], retention: float) -> float:
    """Return the threshold that `retention` of the confidences reach, of validation texts that are in scope."""
    return float(np.quantile(in_scope, 1 - retention, method="lower"))


def chosen_retention(
    in_scope: NDArray[np.float64], is_right: NDArray[np.bool_], out_of_scope: NDArray[np.float64], otherwise: float
) -> float:
    """Return the retention with the best mean of in-scope accuracy and out-of-scope recall on validation rows.

    Args:
        in_scope: confidences of texts in scope, shape `(n,)`.
        is_right: true where the highest score is that of the right label, shape `(n,)`.
        out_of_scope: confidences of texts out of scope.
        otherwise: returned if there are fewer than `FEWEST_KNOWN` texts out of scope.
    """
    if out_of_scope.size < FEWEST_KNOWN:
        return otherwise
    thresholds = np.quantile(in_scope, [1 - each for each in RETENTIONS], method="lower")
    accuracy = ((in_scope >= thresholds[:, None]) & is_right).mean(axis=1)
    recall = (out_of_scope < thresholds[:, None]).mean(axis=1)
    return RETENTIONS[int(np.argmax(accuracy + recall))]
