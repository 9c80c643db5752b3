"""The fraud model in charge, as the stream asks it; follows the registry without a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assets.fraud_learning import APP
from models.errors import TesseraError
from models.features.fraud_definitions import FEATURES
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.training.package import LoadedModel

_REASONS = 5


class FraudChampion:
    """The `Scorer` of whoever is champion; asks the registry again at most every `refresh_seconds`.

    Raises:
        TesseraError: there is no champion, or it reads features that the stream cannot compute.
    """

    def __init__(
        self, registry: Registry, *, refresh_seconds: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._refresh_seconds, self._clock = registry, refresh_seconds, clock
        self.version, self.threshold, self.explains = "", 1.0, False
        self._asked_at = -np.inf
        self.refresh()

    def refresh(self) -> bool:
        """Whether another model is in charge than before; cheap: the ledger is read, a package only when it changed.

        Raises:
            TesseraError: as for the class; the model before stays.
        """
        if self._clock() - self._asked_at < self._refresh_seconds:
            return False
        self._asked_at = self._clock()
        version = self._registry.champion(APP)
        if version is None:
            raise TesseraError(
                "No fraud model is in charge.",
                expected="a champion",
                todo="Train one: `tessera run fraud_training --date YYYY-MM-DD`.",
            )
        if version == self.version:
            return False
        self._take(version)
        return True

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """Probability of fraud of each row of features, 0..1; a row's value does not depend on the others."""
        return self._loaded.model.predict(self._matrix(rows)).tolist()

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        """The features that moved the log-odds most, either way: exact contributions, the largest first.

        Empty for a kind of model that has none (`explains` is false then).
        """
        if not self.explains:
            return {}
        contributions = self._loaded.model.contributions(self._matrix([row]))[0]
        largest = np.argsort(-np.abs(contributions), kind="stable")[:_REASONS]
        names = self._loaded.feature_names
        return {names[place]: round(float(contributions[place]), 6) for place in largest}

    def _take(self, version: str) -> None:
        from models.alerting import ALERTING, threshold_of
        from models.training.package import load

        loaded: LoadedModel = load(self._registry.fetch(APP, version))
        unknown = [name for name in loaded.feature_names if name not in FEATURES]
        if unknown or ALERTING not in loaded.extras:
            lacks = f"reads {', '.join(unknown)}" if unknown else f"has no {ALERTING}"
            raise TesseraError(
                f"Version {version} of the fraud model {lacks}.",
                expected="a model of the features in models/features/fraud_definitions.py, with an alert threshold",
                todo="Train again, or put another version in charge: `tessera rollback fraud`.",
            )
        self._columns = [FEATURES.index(name) for name in loaded.feature_names]
        self._loaded, self.version = loaded, version
        self.threshold = threshold_of(loaded.extras[ALERTING])
        self.explains = _explains(loaded, len(self._columns))

    def _matrix(self, rows: Sequence[Sequence[float]]) -> np.ndarray:
        return np.asarray(rows, dtype=np.float32)[:, self._columns]


def _explains(loaded: LoadedModel, features: int) -> bool:
    try:
        loaded.model.contributions(np.zeros((1, features), dtype=np.float32))
    except TesseraError:  # what a kind of model without exact contributions says
        return False
    return True
