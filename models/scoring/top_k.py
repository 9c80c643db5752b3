"""The best rows of a stream, exactly, in memory that does not grow with the stream."""

import numpy as np
from numpy.typing import NDArray

from models.training.model import Matrix


class TopRows:
    """The `k` rows with the highest scores seen so far; among equals the earlier row wins. NaN is never among them.

    Attributes:
        index: number of each row in the stream, best first, shape `(<= k,)`.
        scores: their scores, shape `(<= k,)`.
        rows: their matrix rows, shape `(<= k, width)`.
    """

    def __init__(self, k: int, width: int) -> None:
        self._k = k
        self.index: NDArray[np.int64] = np.empty(0, np.int64)
        self.scores: NDArray[np.float32] = np.empty(0, np.float32)
        self.rows: Matrix = np.empty((0, width), np.float32)

    def offer(self, first: int, scores: NDArray[np.float32], rows: Matrix) -> None:
        """Take what belongs to the best of these rows, which are numbered from `first` and come after all others.

        Args:
            first: number of the first row.
            scores: shape `(n,)`.
            rows: shape `(n, width)`; copied, so a buffer may be reused.
        """
        better = np.flatnonzero(scores > self._bar())
        if not better.size:
            return
        merged = np.concatenate([self.scores, scores[better]])
        best = np.argsort(-merged, kind="stable")[: self._k]
        self.index = np.concatenate([self.index, better + first])[best]
        self.rows = np.concatenate([self.rows, rows[better]])[best]
        self.scores = merged[best]

    def _bar(self) -> float:
        """Threshold that a later row must exceed; equal scores lose to earlier rows."""
        if self._k == 0:
            return float("inf")
        return float(self.scores[-1]) if len(self.scores) == self._k else float("-inf")
