"""Separate faults of single events, which go to the dead letters, from faults of the systems around the stream."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from assets.fraud.stream.state import FraudState
from models.errors import RefusedValue, TesseraError
from models.features.fraud_definitions import FEATURES
from resources.state_store.port import Superseded

#: A database, disk, queue, registry or package that does not answer, and a lack of memory: no event is at fault.
_OUTSIDE = (TesseraError, OSError, MemoryError, ImportError, Superseded)


class _Scores(Protocol):
    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]: ...


def may_be_of_an_event(error: Exception) -> bool:
    """Return False for errors that no event can cause: the worker stops with them, and every event waits."""
    return isinstance(error, RefusedValue) or not isinstance(error, _OUTSIDE)


def require_sound(scorer: _Scores, store: FraudState, error: Exception) -> None:
    """Raise `error` if the stream fails without the event too: then the event is not at fault.

    Raises:
        Exception: `error`, if the store does not work, or the model gives a row of zeros no score; whatever the model
            raises for that row.
    """
    scores = [float(score) for score in scorer.scores([[0.0] * len(FEATURES)])]
    if len(scores) != 1 or not math.isfinite(scores[0]) or not store.check().ok:
        raise error


def reason_of(error: Exception) -> str:
    """Return the reason in a dead letter: type, words and place of the error, one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    words = " ".join(str(error).split())
    return f"the event cannot be processed: {type(error).__name__}: {words}{place}"
