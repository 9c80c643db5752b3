"""Retrieval of documents: BM25, vectors of passages, and both fused."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.text.embedder import Embedder

#: Scores of documents, one row per query; the higher, the nearer.
DocumentScores = NDArray[np.float64]

_ACCENTS = re.compile(r"[\u0300-\u036f]")
_WORD = re.compile(r"[^\W_]+")
#: Scripts that are written without spaces: their runs are cut into pairs of characters.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
#: BM25's usual saturation of repeated terms, and share of the document's length that counts.
_K1, _B = 1.2, 0.75
_SENTENCE_END = re.compile(r"(?<=[.!?。！？।])\s+|\n+")
#: Words of a passage; the embedder reads about 190.
PASSAGE_WORDS = 60
#: Weight of BM25: benchmarks/retrieval.py chooses it on half of the paragraphs of XQuAD.
DEFAULT_WEIGHT = 0.3
_QUERIES_AT_ONCE = 128
#: Documents without a space are cut after so many characters.
_PASSAGE_CHARACTERS = 400


def terms(text: str) -> list[str]:
    """Return the terms of a text: words without case and accents; pairs of characters where no spaces are written."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    found: list[str] = []
    for word in _WORD.findall(plain):
        if _UNSPACED.search(word):
            found += [word[place : place + 2] for place in range(max(1, len(word) - 1))]
        else:
            found.append(_stem(word))
    return found


def _stem(word: str) -> str:
    """Return the word without the ending of an English plural (Harman's S stemmer, 1991)."""
    if len(word) > 4 and word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and word[-2] not in "us":
        return word[:-1]
    return word


class Bm25Index:
    """BM25 weights of documents, with Lucene's inverse document frequency, which is never negative."""

    def __init__(self, documents: Sequence[str]) -> None:
        from scipy.sparse import csc_matrix

        counts = [Counter(terms(document)) for document in documents]
        self._columns = {term: place for place, term in enumerate(sorted({t for count in counts for t in count}))}
        lengths = np.array([sum(count.values()) for count in counts], np.float64)
        mean = lengths.mean() if lengths.any() else 1.0
        rows = np.repeat(np.arange(len(counts)), [len(count) for count in counts])
        columns = np.array([self._columns[term] for count in counts for term in count], np.int64)
        times = np.array([n for count in counts for n in count.values()], np.float64)
        weights = times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * lengths[rows] / mean)) if rows.size else times
        frequency = np.bincount(columns, minlength=len(self._columns))
        self._idf = np.log1p((len(counts) - frequency + 0.5) / (frequency + 0.5))
        self._weights: Any = csc_matrix(
            (weights * self._idf[columns], (rows, columns)), shape=(len(counts), len(self._columns))
        )

    def scores(self, queries: Sequence[str]) -> DocumentScores:
        """Return BM25 of each document, shape `(n_queries, n_documents)`; 0 without a common term."""
        from scipy.sparse import csr_matrix

        counts = [Counter(term for term in terms(query) if term in self._columns) for query in queries]
        rows = np.repeat(np.arange(len(counts)), [len(count) for count in counts])
        columns = [self._columns[term] for count in counts for term in count]
        times = [float(n) for count in counts for n in count.values()]
        asked = csr_matrix((times, (rows, columns)), shape=(len(counts), len(self._columns)))
        return np.asarray((asked @ self._weights.T).toarray(), np.float64)


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
