"""The decision rule of rankings: the place of each item among those of its entity."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from models.training.model import Matrix

# pyarrow has no static types.
# pyright: basic


class RankWithinEntity:
    """Ranks items of an entity by descending score, from 1; equal scores in the order of the rows.

    Memory: a score, an entity number and a rank per row.
    """

    def __init__(self, entity: str, score: str = "score") -> None:
        self._entity, self._score = entity, score
        self._scores: list[np.ndarray] = []
        self._starts: list[np.ndarray] = []
        self._last: object = None
        self._ranks: np.ndarray | None = None

    def observe(self, first: int, predicted: Mapping[str, pa.Array], matrix: Matrix) -> None:
        """Remember scores, and at which rows another entity begins; rows come in the order of entities."""
        del first, matrix
        entities = predicted[self._entity].to_numpy(zero_copy_only=False)
        if not entities.size:
            return
        before = np.concatenate([np.array([self._last], dtype=object), entities[:-1]])
        self._starts.append(entities != before)
        self._scores.append(predicted[self._score].to_numpy(zero_copy_only=False).astype(np.float64))
        self._last = entities[-1]

    def columns(self, first: int, predicted: Mapping[str, pa.Array], rows: int) -> Mapping[str, pa.Array]:
        """The column `rank` of these rows."""
        del predicted
        if self._ranks is None:
            self._ranks = self._ranked()
        return {"rank": pa.array(self._ranks[first : first + rows], pa.int32())}

    def counts(self) -> Mapping[str, int]:
        """Return the number of entities."""
        return {"entities": int(sum(starts.sum() for starts in self._starts))}

    def _ranked(self) -> np.ndarray:
        if not self._scores:
            return np.empty(0, dtype=np.int32)
        scores, starts = np.concatenate(self._scores), np.concatenate(self._starts)
        groups = np.cumsum(starts) - 1
        order = np.lexsort((np.arange(scores.size), -scores, groups))
        ranks = np.empty(scores.size, dtype=np.int32)
        ranks[order] = np.arange(scores.size) - np.flatnonzero(starts)[groups[order]] + 1
        return ranks
