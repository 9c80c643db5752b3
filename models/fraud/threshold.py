"""From probabilities to alerts: the score from which as many cards a day are alerted as can be looked at."""

import json

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.training.model import Groups, Vector

#: File of the model package that holds the threshold.
ALERTING = "alerting.json"


def alert_threshold(scores: Vector, groups: Groups, days: NDArray[np.datetime64], *, per_day: int) -> float:
    """Return the lowest score that keeps to `per_day` cards a day on average over these days.

    Args:
        scores: of each payment, shape `(n,)`.
        groups: number of each payment's card.
        days: day of each payment.
        per_day: cards that can be looked at in a day.
    """
    order = np.lexsort((-scores, groups, days))
    first = np.ones(order.size, dtype=bool)
    first[1:] = (days[order][1:] != days[order][:-1]) | (groups[order][1:] != groups[order][:-1])
    highest = np.sort(scores[order][first])[::-1]
    budget = min(per_day * np.unique(days).size, highest.size)
    return float(highest[budget - 1])


def threshold_text(threshold: float, per_day: int) -> str:
    """Format the threshold and the alert budget as the JSON stored beside the model."""
    return json.dumps({"threshold": threshold, "alerts_per_day": per_day})


def threshold_of(text: str) -> float:
    """Return the threshold that `threshold_text` kept.

    Raises:
        TesseraError: the text holds none.
    """
    try:
        return float(json.loads(text)["threshold"])
    except (ValueError, KeyError, TypeError) as error:
        raise TesseraError(
            f"{ALERTING} of the model holds no threshold: {error}.", expected="a number", todo="Train again."
        ) from None
