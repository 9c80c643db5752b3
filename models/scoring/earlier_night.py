"""The rows of a night beside those that were published before, entity by entity, in one pass over both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.scoring.audit_checks import Check, Observer
from models.scoring.distribution import score_bins, score_histogram, valid_scores
from models.scoring.output import OutputContract
from models.training.agreement import rank_correlation

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Pairs of scores of an entity that are kept for the rank correlation; beyond twice as many, every second is dropped.
_PAIRS = 8_192
#: Pairs that a rank correlation needs to mean anything.
_FEWEST_PAIRS = 50
#: Share of the entities that count as the top.
_TOP = 0.1


class EarlierNight(Observer):
    """New and vanished entities, rank correlation of the scores of those that stayed, and how many of the top stayed.

    Entities are compared where a row is an entity and rows ascend by it; of other rows only scores are counted.

    Args:
        contract: of the rows.
        earlier: batches of the earlier night's rows, in the contract's order; read once.
    """

    def __init__(self, contract: OutputContract, earlier: Iterable[pa.RecordBatch]) -> None:
        self.before: NDArray[np.float64] = np.zeros(score_bins(contract.column(contract.score)))
        self._key, self._score = contract.entity, contract.column(contract.score)
        self._compares = contract.order == (contract.entity,)
        self._earlier = iter(earlier)
        self._held: list[tuple[pa.Array, NDArray[np.float64]]] = []
        self._rows = self._earlier_rows = self._kept = 0
        self._pairs: list[NDArray[np.float64]] = []
        self._every, self._seen = 1, 0

    def observe(self, batch: pa.RecordBatch) -> None:
        """Look the next rows up among the earlier ones."""
        self._rows += batch.num_rows
        if not self._compares or not batch.num_rows:
            return
        keys = batch.column(self._key)
        last = keys[-1].as_py()
        while (not self._held or self._held[-1][0][-1].as_py() < last) and self._read():
            pass
        if not self._held or not self._compares:
            return
        held_keys = pa.concat_arrays([keys for keys, _ in self._held])
        held_scores = np.concatenate([scores for _, scores in self._held])
        at = pc.index_in(keys, value_set=held_keys)
        found = np.asarray(at.is_valid())
        self._kept += int(found.sum())
        now = batch.column(self._score.name).to_numpy(zero_copy_only=False).astype(np.float64)
        self._remember(np.stack([held_scores[np.asarray(at.drop_null())], now[found]], axis=1))
        later = pc.greater(held_keys, last)
        self._held = [(held_keys.filter(later), held_scores[np.asarray(later)])] if pc.any(later).as_py() else []

    def checks(self) -> Iterator[Check]:
        """None: its numbers are compared with what is usual."""
        yield from ()

    def numbers(self) -> dict[str, float]:
        """Return `new_share`, `vanished_share`, `rank_correlation` and `top_kept_share`, where they can be known."""
        self.exhaust()
        if not self._compares or not self._rows or not self._earlier_rows:
            return {}
        found = {
            "new_share": 1 - self._kept / self._rows,
            "vanished_share": 1 - self._kept / self._earlier_rows,
        }
        pairs = np.concatenate(self._pairs) if self._pairs else np.empty((0, 2))
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        if len(pairs) < _FEWEST_PAIRS:
            return found
        if np.isfinite(rank := rank_correlation(pairs[:, 0], pairs[:, 1])):
            found["rank_correlation"] = rank
        top = [
            set(np.argsort(-values, kind="stable")[: max(1, round(_TOP * len(pairs)))].tolist()) for values in pairs.T
        ]
        return {**found, "top_kept_share": len(top[0] & top[1]) / len(top[0])}

    def exhaust(self) -> None:
        """Count the earlier rows that are left."""
        while self._read():
            self._held = []

    def _read(self) -> bool:
        batch = next(self._earlier, None)
        while batch is not None and not batch.num_rows:
            batch = next(self._earlier, None)
        if batch is None:
            return False
        self._compares = self._compares and self._key in batch.schema.names
        self.before += score_histogram(valid_scores(batch, self._score), self._score)
        self._earlier_rows += batch.num_rows
        if self._compares:
            scores = batch.column(self._score.name).to_numpy(zero_copy_only=False).astype(np.float64)
            self._held.append((batch.column(self._key), scores))
        return True

    def _remember(self, pairs: NDArray[np.float64]) -> None:
        """Keep evenly spaced pairs: memory does not grow with the rows."""
        first = -self._seen % self._every
        self._seen += len(pairs)
        self._pairs.append(pairs[first :: self._every])
        while sum(len(one) for one in self._pairs) > 2 * _PAIRS:
            self._pairs = [np.concatenate(self._pairs)[::2]]
            self._every *= 2
