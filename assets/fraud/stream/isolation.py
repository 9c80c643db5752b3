"""Separate faults of single events, which go to the dead letters, from faults of the systems around the stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from assets.fraud.stream.state import FraudState
from models.features.fraud_definitions import FEATURES


class _Scores(Protocol):
    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]: ...


def require_sound(scorer: _Scores, store: FraudState, error: Exception) -> None:
    """Raise `error` if the stream fails without the event too: then the event is not at fault.

    Raises:
        Exception: `error`, if the store does not work, or the model gives a row of zeros no score; whatever the model
            raises for that row.
    """
    scores = [float(score) for score in scorer.scores([[0.0] * len(FEATURES)])]
    if len(scores) != 1 or not math.isfinite(scores[0]) or not store.check().ok:
        raise error
