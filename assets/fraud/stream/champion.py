"""The fraud champion of the stream; follows the registry without a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from assets.fraud.model import FraudModel, computed_features, require_champion
from assets.fraud.training import APP
from models.errors import TesseraError
from models.ledger import champions_before
from resources.registry.port import Registry


class FraudChampion:
    """The `Scorer` of the present champion; asks the registry again at most every `refresh_seconds`.

    Where the champion cannot be used when it is opened, e.g. because it was trained on other features than this release
    computes, the newest champion before it that can scores, as in a night.

    Attributes:
        version: of the champion it scores with.
        threshold: score from which a payment raises an alert.
        explains: whether the model gives reasons.

    Raises:
        TesseraError: there is no champion, or neither it nor one before it can be used.
    """

    def __init__(
        self, registry: Registry, *, refresh_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._refresh_seconds, self._clock = registry, refresh_seconds, clock
        self.version, self.threshold, self.explains = "", 1.0, False
        self._asked_at = -np.inf
        self._refused: TesseraError | None = None
        self._begin()

    def follow(self) -> str:
        """Follow the registry; return a message if the champion changed or cannot be used, else "". Never raises.

        A champion that cannot be served, or a registry that does not answer, leaves the former champion scoring: scores
        of yesterday's champion are better than none. `refused` then says why; it is news once.
        """
        try:
            if not self.refresh():
                return ""
        except TesseraError as error:
            is_known, self._refused = error.what == self.refused, error
            return "" if is_known else self.note
        return f"version {self.version} is the champion now"

    @property
    def refused(self) -> str:
        """Why the newest champion does not score; "" if it does."""
        return self._refused.what if self._refused else ""

    @property
    def note(self) -> str:
        """The same with what to do, and which version scores; "" if the champion does."""
        return f"{self._refused} Version {self.version} goes on scoring." if self._refused else ""

    def refresh(self) -> bool:
        """Load a new champion and return True, if there is one; cheap: a package is read only on a change.

        Raises:
            TesseraError: as for the class; the model before stays.
        """
        if self._clock() - self._asked_at < self._refresh_seconds:
            return False
        self._asked_at = self._clock()
        version = require_champion(self._registry)
        if version != self.version:
            self._use(version)
            self._refused = None
            return True
        self._refused = None
        return False

    def _begin(self) -> None:
        require_champion(self._registry)
        self._asked_at = self._clock()
        refused: list[TesseraError] = []
        for version in champions_before(self._registry.ledger(APP)):
            try:
                self._use(version)
            except TesseraError as error:
                refused.append(error)
            else:
                self._refused = refused[0] if refused else None
                return
        raise refused[0]

    def _use(self, version: str) -> None:
        self._model = FraudModel(self._registry, version, computed_features())
        self.version, self.threshold, self.explains = version, self._model.threshold, self._model.explains

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """As `FraudModel.scores`."""
        return self._model.scores(rows)

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        """As `FraudModel.reasons`."""
        return self._model.reasons(row)
