"""The fraud champion of the stream; follows the registry without a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from assets.fraud.model import FraudModel, require_champion
from models.errors import TesseraError
from resources.registry.port import Registry


class FraudChampion:
    """The `Scorer` of the present champion; asks the registry again at most every `refresh_seconds`.

    Attributes:
        version: of the champion it scores with.
        threshold: score from which a payment raises an alert.
        explains: whether the model gives reasons.
        refused: why the newest champion is not followed; "" if it is.

    Raises:
        TesseraError: there is no champion, or it reads features that the stream cannot compute.
    """

    def __init__(
        self, registry: Registry, *, refresh_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._refresh_seconds, self._clock = registry, refresh_seconds, clock
        self.version, self.threshold, self.explains = "", 1.0, False
        self._asked_at = -np.inf
        self.refused = ""
        self.refresh()

    def follow(self) -> str:
        """Follow the registry; return a message if the champion changed or cannot be used, else "". Never raises.

        A champion that cannot be served, or a registry that does not answer, leaves the former champion scoring: scores
        of yesterday's champion are better than none. `refused` then says why; it is news once.
        """
        try:
            if not self.refresh():
                return ""
        except TesseraError as error:
            is_known, self.refused = error.what == self.refused, error.what
            return "" if is_known else f"{error} Version {self.version} goes on scoring."
        return f"version {self.version} is the champion now"

    def refresh(self) -> bool:
        """Load a new champion and return True, if there is one; cheap: a package is read only on a change.

        Raises:
            TesseraError: as for the class; the model before stays.
        """
        if self._clock() - self._asked_at < self._refresh_seconds:
            return False
        self._asked_at = self._clock()
        version = require_champion(self._registry)
        if version == self.version:
            self.refused = ""
            return False
        self._model = FraudModel(self._registry, version)
        self.version, self.threshold, self.explains = version, self._model.threshold, self._model.explains
        self.refused = ""
        return True

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """As `FraudModel.scores`."""
        return self._model.scores(rows)

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        """As `FraudModel.reasons`."""
        return self._model.reasons(row)
