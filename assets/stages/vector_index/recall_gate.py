"""The gate of a vector index: how much of exact search its approximate search finds."""

# pyright: basic
# pyarrow has no static types.

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.errors import TesseraError
from models.vectors.exact import nearest, scores
from models.vectors.rows import checked_vectors
from resources.vectors.port import VectorIndex

#: Stores add up in another order than numpy: hits as near as the last exact one, but for this, count as found.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class RecallGate:
    """Demands on approximate search.

    Attributes:
        k: hits per query.
        least_recall: mean share of the exact hits that has to be found, 0 to 1.
        queries: rows that are searched for, at most; the same ones for the same rows.
        seed: of their choice.
    """

    k: int = 10
    least_recall: float = 0.95
    queries: int = 200
    seed: int = 0


def require_recall(index: VectorIndex, rows: pa.Table, gate: RecallGate) -> float:
    """Return the mean recall@k of approximate search for vectors half-way between two rows; 1 without rows.

    Args:
        index: that is tested.
        rows: columns `id` and `vector` of all of its rows, from elsewhere than the index.
        gate: the demands.

    Raises:
        TesseraError: it finds less than the gate demands.
    """
    space = index.version.spec.space
    if not len(rows):
        return 1.0
    vectors = checked_vectors(rows["vector"], space.dimension, space.metric)
    asked = _queries(vectors, gate)
    _, exact = nearest(asked, vectors, space.metric, gate.k)
    place = {id: at for at, id in enumerate(rows["id"].to_pylist())}
    found = index.search(asked, space, k=gate.k)
    shares: list[float] = []
    for query, hits, best in zip(asked, found, exact, strict=True):
        places = [place[hit.id] for hit in hits if hit.id in place]
        near = scores(query[None, :], vectors[places], space.metric)[0] if places else np.empty(0)
        least = best[-1] - _ROUNDING * max(1.0, abs(float(best[-1])))
        shares.append(min(1.0, float((near >= least).sum()) / len(best)))
    mean = float(np.mean(shares))
    if mean < gate.least_recall:
        raise TesseraError(
            f"{index.version.title}: approximate search finds {mean:.3f} of the {gate.k} nearest rows (mean of"
            f" {len(asked)} queries, worst {min(shares):.3f}). It is not served.",
            expected=f"at least {gate.least_recall:g}, as exact search has them",
            todo="Raise `hnsw_ef` or `hnsw_ef_construct` of vectors in stack.yaml, or lower the gate's `least_recall`.",
        )
    return mean


def _queries(vectors: np.ndarray, gate: RecallGate) -> np.ndarray:
    draw = np.random.default_rng(gate.seed)
    count = min(gate.queries, len(vectors))
    pairs = draw.choice(len(vectors), count, replace=False), draw.integers(0, len(vectors), count)
    middle = (vectors[pairs[0]] + vectors[pairs[1]]) / 2
    # Opposite vectors have no middle: cosine cannot compare a vector of zeros.
    return np.where(np.abs(middle).max(axis=1, keepdims=True) > _ROUNDING, middle, vectors[pairs[0]]).astype(np.float32)
