"""One version of the fraud model, as the stream and the nightly job both ask it: the same row, the same score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assets.fraud.training import APP, SERVICE
from models.errors import TesseraError
from models.features.fraud_definitions import FEATURES
from resources.registry.port import Registry

if TYPE_CHECKING:
    from models.training.computed_features import ComputedFeatures
    from models.training.model_package import LoadedModel

_REASONS = 5


def computed_features() -> ComputedFeatures:
    """Return the features that this release computes."""
    from models.training.computed_features import ComputedFeatures

    return ComputedFeatures(SERVICE, tuple(FEATURES))


class FraudModel:
    """The model package of `version`, loaded.

    Attributes:
        version: in the registry.
        threshold: score from which on a card is alerted.
        explains: whether it gives reasons; not every kind of model does.

    Args:
        registry: holds the version.
        version: the version.
        computed: features of this release, which it must read; None: their version is not compared.

    Raises:
        OtherRelease: it was trained on another version of the features.
        TesseraError: it reads features that the stream cannot compute, or has no threshold.
    """

    def __init__(self, registry: Registry, version: str, computed: ComputedFeatures | None = None) -> None:
        from models.training.model import explains
        from models.training.model_package import load

        loaded = load(registry.fetch(APP, version), trusted=registry.trusted_packages)
        if computed is not None:
            computed.check(loaded.encoder, loaded.card)
        self.threshold = alert_threshold(loaded, f"Version {version} of the fraud model")
        self._loaded = loaded
        self._columns = [FEATURES.index(name) for name in loaded.feature_names]
        self.version = version
        self.explains = explains(loaded.model)

    def scores(self, rows: Sequence[Sequence[float]] | np.ndarray) -> Sequence[float]:
        """Probability of fraud of each row of `FEATURES`, 0..1; a row's value does not depend on the others."""
        return self._loaded.model.predict(self._matrix(rows)).tolist() if len(rows) else []

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        """Return the features that moved the log-odds most, either way: exact contributions, the largest first.

        Empty for a kind of model that has none (`explains` is false then).
        """
        if not self.explains:
            return {}
        contributions = self._loaded.model.contributions(self._matrix([row]))[0]
        largest = np.argsort(-np.abs(contributions), kind="stable")[:_REASONS]
        names = self._loaded.feature_names
        return {names[place]: round(float(contributions[place]), 6) for place in largest}

    def _matrix(self, rows: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
        return np.asarray(rows, dtype=np.float32)[:, self._columns]


def alert_threshold(loaded: LoadedModel, named: str = "The fraud model") -> float:
    """The score from which on a card is alerted.

    Raises:
        TesseraError: the model reads features that the stream cannot compute, or has no threshold.
    """
    from models.fraud.threshold import ALERTING, threshold_of

    unknown = [name for name in loaded.feature_names if name not in FEATURES]
    if unknown or ALERTING not in loaded.extras:
        lacks = f"reads {', '.join(unknown)}" if unknown else f"has no {ALERTING}"
        raise TesseraError(
            f"{named} {lacks}.",
            expected="a model of the features in models/features/fraud_definitions.py, with an alert threshold",
            todo="Train again, or make another version champion: `tessera rollback fraud`.",
        )
    return threshold_of(loaded.extras[ALERTING])


def require_champion(registry: Registry) -> str:
    """Return the version of the fraud model that is champion.

    Raises:
        TesseraError: there is none.
    """
    version = registry.champion(APP)
    if version is None:
        raise TesseraError(
            "There is no fraud champion.",
            expected="a champion",
            todo="Train one: `tessera run fraud_training --date YYYY-MM-DD`.",
        )
    return version
