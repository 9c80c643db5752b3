"""Count of the payments of a day from whose score on a card is alerted."""

from collections.abc import Mapping

import pyarrow as pa

from models.scoring.batch import AsPredicted
from models.training.model import Matrix


class AlertCounter(AsPredicted):
    """Publishes scores as predicted, and counts those of at least `threshold`."""

    def __init__(self, threshold: float) -> None:
        self._threshold, self._over = threshold, 0

    def observe(self, first: int, predicted: Mapping[str, pa.Array], matrix: Matrix) -> None:
        """Count the next scores."""
        del first, matrix
        self._over += int((predicted["score"].to_numpy() >= self._threshold).sum())

    def counts(self) -> Mapping[str, int]:
        """Payments over the model's alert threshold."""
        return {"over_threshold": self._over}
