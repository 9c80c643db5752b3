"""Retrieval of documents: BM25, vectors of passages, and both fused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text.embedder import Embedder
from models.vectors.bm25_index import Bm25Index

#: Scores of documents, one row per query; the higher, the nearer.
DocumentScores = NDArray[np.float64]

_SENTENCE_END = re.compile(r"(?<=[.!?。！？।])\s+|\n+")
#: Words of a passage; the embedder reads about 190.
PASSAGE_WORDS = 60
#: Weight of BM25: benchmarks/texts.py chooses it on half of the paragraphs of XQuAD.
DEFAULT_WEIGHT = 0.3
_QUERIES_AT_ONCE = 128
#: Documents without a space are cut after so many characters.
_PASSAGE_CHARACTERS = 400


class PassageIndex:
    """Vectors of the passages of documents; a document is as near as its nearest passage."""

    def __init__(self, documents: Sequence[str], embedder: Embedder) -> None:
        parts = [passages(document) for document in documents]
        self._embedder = embedder
        self._vectors = embedder.embed([part for each in parts for part in each])
        self._starts = np.cumsum([0, *(len(each) for each in parts[:-1])])

    def scores(self, queries: Sequence[str]) -> DocumentScores:
        """Return the highest cosine similarity of a passage of each document, shape `(n_queries, n_documents)`."""
        nearness = self._embedder.embed(queries) @ self._vectors.T
        return np.maximum.reduceat(nearness, self._starts, axis=1).astype(np.float64)


def passages(document: str) -> list[str]:
    """Return the document itself and, if it is long, groups of its sentences of about `PASSAGE_WORDS` words."""
    found: list[str] = []
    words = 0
    for sentence in _SENTENCE_END.split(document.strip()):
        length = max(len(sentence.split()), len(sentence) * PASSAGE_WORDS // _PASSAGE_CHARACTERS)
        if found and words + length <= PASSAGE_WORDS:
            found[-1] = f"{found[-1]} {sentence}"
            words += length
        else:
            found.append(sentence)
            words = length
    return [document, *found] if len(found) > 1 else [document]


def fused_scores(lexical: DocumentScores, dense: DocumentScores, weight: float) -> DocumentScores:
    """Return `weight` times BM25, as a share of the query's highest, plus cosine similarity."""
    highest = lexical.max(axis=1, keepdims=True, initial=0.0)
    return weight * lexical / np.where(highest == 0, 1.0, highest) + dense


@dataclass(frozen=True)
class Hit:
    """A document that was found: its place among the documents, and its rank from 1."""

    document: int
    rank: int


def ranked(scores: DocumentScores, k: int) -> list[list[Hit]]:
    """Return the `k` best documents of each query, best first; of equal ones the first comes first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[Hit(int(place), rank) for rank, place in enumerate(row, 1)] for row in order]


class HybridRetriever:
    """BM25 and vectors of passages, fused.

    Args:
        documents: at least one.
        embedder: of passages and queries.
        weight: of BM25.
    """

    def __init__(self, documents: Sequence[str], embedder: Embedder, weight: float = DEFAULT_WEIGHT) -> None:
        self._lexical, self._dense, self._weight = Bm25Index(documents), PassageIndex(documents, embedder), weight

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Return the `k` best documents of each query, best first."""
        found: list[list[Hit]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            asked = queries[start : start + _QUERIES_AT_ONCE]
            scores = fused_scores(self._lexical.scores(asked), self._dense.scores(asked), self._weight)
            found += ranked(scores, k)
        return found
