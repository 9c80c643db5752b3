"""One version of a vector index: its record, and searching it by vectors, by words, or by both."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.timestamps import to_datetime
from models.vectors.bm25 import Bm25, SparseVector
from models.vectors.filters import Filter, checked
from models.vectors.fusion import Hit, reciprocal_ranks
from models.vectors.rows import checked_queries
from models.vectors.spec import IndexSpec, VectorSpace

#: Rows of each ranking that a hybrid search fuses, at least; and how many times the rows that are wanted.
_CANDIDATES, _CANDIDATES_PER_HIT = 50, 5
_MOST = 10_000

Queries = Sequence[Sequence[float]] | NDArray[np.floating[Any]]


@dataclass(frozen=True)
class IndexVersion:
    """One version of a collection.

    Attributes:
        collection: its name.
        number: of the version, from 1.
        spec: its description.
        state: `begun` until it is sealed.
        rows: number of them; of a version that is not sealed, those that a store has counted so far.
        was_published: the pointer was moved to it at some time, so that a rollback may go back to it.
    """

    collection: str
    number: int
    spec: IndexSpec
    state: Literal["begun", "sealed"]
    rows: int
    was_published: bool

    @property
    def title(self) -> str:
        """`articles, version 3`."""
        return f"{self.collection}, version {self.number}"


class Searcher(ABC):
    """An adapter's way to search one sealed version. Threads may share one.

    It may be kept open for days: rows that are erased meanwhile are not found from then on.
    """

    @abstractmethod
    def nearest(
        self, vectors: Sequence[list[float]], k: int, where: Filter | None, *, exact: bool
    ) -> Sequence[list[Hit]]:
        """Return the `k` nearest rows of each vector, the nearest first.

        Args:
            vectors: checked; of length 1 if the metric is cosine.
            k: rows wanted.
            where: checked condition; None: all rows.
            exact: compare each row, even if there is an approximate index.
        """

    @abstractmethod
    def matching(self, queries: Sequence[SparseVector], k: int, where: Filter | None) -> Sequence[list[Hit]]:
        """Return the `k` rows of each query with the greatest dot product of BM25 weights, of those above 0."""


class VectorIndex:
    """One sealed version, open for searching: it stays this one when the pointer moves."""

    def __init__(self, version: IndexVersion, bm25: Bm25 | None, searcher: Searcher) -> None:
        self.version = version
        self.bm25 = bm25
        self._searcher = searcher
        self._spec = version.spec
        self._compared = version.spec.space
        self._timestamps = [name for name, kind in version.spec.payload.items() if kind == "timestamp"]

    def search(
        self, vectors: Queries, space: VectorSpace, *, k: int = 10, where: Filter | None = None, exact: bool = False
    ) -> list[list[Hit]]:
        """Return the `k` nearest rows of each vector, the nearest first.

        Args:
            vectors: one per query.
            space: that they are in.
            k: rows wanted, 1 to 10,000.
            where: only rows that fit.
            exact: compare each row, even if there is an approximate index.

        Raises:
            TesseraError: the vectors are of another space than the index, or the filter does not fit its fields.
        """
        if space is not self._compared:
            self._spec.space.require(space, f"index {self.version.title}")
            self._compared = space  # it is frozen: the same object is of the same space the next time
        asked = checked_queries(vectors, space.dimension, space.metric)
        return self._ready(self._searcher.nearest(asked, _wanted(k), self._checked(where), exact=exact))

    def match(self, texts: Sequence[str], *, k: int = 10, where: Filter | None = None) -> list[list[Hit]]:
        """Return the `k` best rows of each text by BM25, the best first; only rows that have a word of it.

        Raises:
            TesseraError: the index has no lexical search, or the filter does not fit its fields.
        """
        if self.bm25 is None:
            raise TesseraError(
                f"The index {self.version.title} has no lexical search.",
                expected="an index that was built with a tokenizer",
                todo="Search by vectors alone, or build it with `tokenizer`.",
            )
        asked = [self.bm25.query(text) for text in texts]
        return self._ready(self._searcher.matching(asked, _wanted(k), self._checked(where)))

    def hybrid(
        self,
        vectors: Queries,
        texts: Sequence[str],
        space: VectorSpace,
        *,
        k: int = 10,
        where: Filter | None = None,
        exact: bool = False,
        weights: tuple[float, float] = (1, 1),
    ) -> list[list[Hit]]:
        """Return the `k` best rows of each pair of vector and text by reciprocal rank fusion of both rankings.

        Args:
            vectors: one per query.
            texts: one per query.
            space: that the vectors are in.
            k: rows wanted, 1 to 10,000.
            where: only rows that fit.
            exact: compare each row, even if there is an approximate index.
            weights: of the ranking by vectors and of that by words.

        Raises:
            TesseraError: as `search` and `match`, or the numbers of vectors and texts differ.
        """
        if len(vectors) != len(texts):
            raise TesseraError(
                f"There are {len(vectors)} vectors and {len(texts)} texts.",
                expected="one text for each vector",
                todo="Correct the queries.",
            )
        wide = min(_MOST, max(_CANDIDATES, _CANDIDATES_PER_HIT * _wanted(k)))
        dense = self.search(vectors, space, k=wide, where=where, exact=exact)
        lexical = self.match(texts, k=wide, where=where)
        return [reciprocal_ranks(pair, k, weights=weights) for pair in zip(dense, lexical, strict=True)]

    def _checked(self, where: Filter | None) -> Filter | None:
        return None if where is None else checked(where, self._spec.payload)

    def _ready(self, found: Sequence[list[Hit]]) -> list[list[Hit]]:
        """Return the hits with timestamps as such; of equal scores, the smaller id first."""
        for hits in found if self._timestamps else ():
            for hit in hits:
                for name in self._timestamps:
                    at = hit.payload.get(name)
                    if isinstance(at, int):
                        hit.payload[name] = to_datetime(at)
        return [hits if _is_ordered(hits) else sorted(hits, key=_best_first) for hits in found]


def _is_ordered(hits: Sequence[Hit]) -> bool:
    """Return True if each score is smaller than the one before, as nearly always: that is quickly seen."""
    before = math.inf
    for hit in hits:
        if not hit[1] < before:
            return False
        before = hit[1]
    return True


def _best_first(hit: Hit) -> tuple[float, str]:
    return -hit.score, hit.id


def _wanted(k: int) -> int:
    if not 1 <= k <= _MOST:
        raise TesseraError(f"k is {k}.", expected=f"1 to {_MOST} rows", todo="Correct the query.")
    return k
