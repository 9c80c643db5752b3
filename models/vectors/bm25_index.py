"""BM25 scores of documents in memory: the same weights as a vector index stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.vectors.bm25 import Bm25, SparseVector, counted, of_counts


class Bm25Index:
    """Weights of documents, which stay in memory; it scores all of them for a query.

    Args:
        documents: their texts.
        tokenizer: one of `models.vectors.tokens.TOKENIZERS`.
    """

    def __init__(self, documents: Sequence[str], tokenizer: str = "grams-1") -> None:
        counts = [counted(document, tokenizer) for document in documents]
        self.statistics: Bm25 = of_counts(counts, tokenizer)
        self._weights = self._matrix([self.statistics.weighed(*each) for each in counts])

    def scores(self, queries: Sequence[str]) -> NDArray[np.float64]:
        """Return BM25 of each document, shape `(n_queries, n_documents)`; 0 without a common term."""
        asked = self._matrix([self.statistics.query(query) for query in queries])
        return np.asarray((asked @ self._weights.T).toarray(), np.float64)

    def _matrix(self, vectors: Sequence[SparseVector]) -> Any:
        from scipy.sparse import csr_matrix

        limits = np.cumsum([0, *map(len, vectors)])
        terms = np.concatenate([np.empty(0, np.uint32), *(one.terms for one in vectors)])
        weights = np.concatenate([np.empty(0), *(one.weights for one in vectors)])
        columns = np.searchsorted(self.statistics.terms, terms)
        return csr_matrix((weights, columns, limits), shape=(len(vectors), len(self.statistics.terms)))
