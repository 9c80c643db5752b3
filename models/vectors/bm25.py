"""BM25 as sparse vectors: a document's weights and a query's weights, whose dot product is the score.

A *term* is the number of a word: 29 bits of its CRC-32, so that no index has to store words. (Of 100,000 different
words, about nine pairs share a number.) Every store is given the same weights, and so gives the same scores.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError, choose_from
from models.vectors.tokens import TOKENIZERS

_TERM_BITS = 29
#: Number of different terms.
TERMS = 1 << _TERM_BITS
_NONE = np.empty(0, np.uint32)


@dataclass(frozen=True)
class SparseVector:
    """Weights of terms, ascending by term; other terms weigh nothing."""

    terms: NDArray[np.uint32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.terms)


@dataclass(frozen=True)
class Bm25:
    """Statistics of a set of documents, which weigh documents and queries.

    Attributes:
        documents: number of them.
        mean_length: in words, at least 1.
        terms: that occur, ascending.
        frequencies: number of documents that each of `terms` occurs in.
        k1: how much more a term counts that occurs more often in a document.
        b: how much less a term counts in a longer document, 0 to 1.
        tokenizer: one of `models.vectors.tokens.TOKENIZERS`.
    """

    documents: int
    mean_length: float
    terms: NDArray[np.uint32]
    frequencies: NDArray[np.uint32]
    k1: float = 1.2
    b: float = 0.75
    tokenizer: str = "grams-1"

    def document(self, text: str) -> SparseVector:
        """Return the weights of a document: the saturated frequency of each of its terms."""
        return self.weighed(*counted(text, self.tokenizer))

    def weighed(self, terms: NDArray[np.uint32], counts: NDArray[np.uint32]) -> SparseVector:
        """Return the weights of a document with these terms, as `document`."""
        length = float(counts.sum()) / self.mean_length
        saturated = counts * (self.k1 + 1) / (counts + self.k1 * (1 - self.b + self.b * length))
        return SparseVector(terms, saturated.astype(np.float32))

    def query(self, text: str) -> SparseVector:
        """Return the weights of a query: the rarity (IDF) of each term that occurs in a document, times its count."""
        terms, counts = counted(text, self.tokenizer)
        place = np.searchsorted(self.terms, terms)
        place[place == len(self.terms)] = 0
        known = self.terms[place] == terms if len(self.terms) else np.zeros(len(terms), bool)
        found = self.frequencies[place[known]].astype(np.float64)
        rarity = np.log1p((self.documents - found + 0.5) / (found + 0.5))
        return SparseVector(terms[known], (rarity * counts[known]).astype(np.float32))

    def only(self, terms: NDArray[np.uint32]) -> Bm25:
        """Return the statistics without terms that no document has any more; no score of any document changes.

        So nothing shows which words an erased person used.
        """
        kept = np.isin(self.terms, terms)
        return replace(self, terms=self.terms[kept], frequencies=self.frequencies[kept])

    def to_bytes(self) -> bytes:
        """Return all of it as bytes."""
        numbers = {name: getattr(self, name) for name in ("documents", "mean_length", "k1", "b", "tokenizer")}
        columns = self.terms.astype("<u4").tobytes() + self.frequencies.astype("<u4").tobytes()
        return json.dumps(numbers).encode() + b"\n" + zlib.compress(columns, 1)

    @staticmethod
    def from_bytes(content: bytes) -> Bm25:
        """Return what `to_bytes` gave.

        Raises:
            TesseraError: the texts were taken apart in a way that this version does not know.
        """
        head, _, packed = content.partition(b"\n")
        numbers: dict[str, Any] = json.loads(head)
        if numbers["tokenizer"] not in TOKENIZERS:
            raise TesseraError(
                f"The texts of the index were taken apart by tokenizer {numbers['tokenizer']!r}, unknown here.",
                expected=choose_from(numbers["tokenizer"], TOKENIZERS),
                todo="Build the index again.",
            )
        columns = np.frombuffer(zlib.decompress(packed), "<u4").astype(np.uint32)
        middle = len(columns) // 2
        return Bm25(terms=columns[:middle], frequencies=columns[middle:], **numbers)


def fitted(texts: Iterable[str], tokenizer: str = "grams-1", *, k1: float = 1.2, b: float = 0.75) -> Bm25:
    """Return the statistics of these documents."""
    return of_counts((counted(text, tokenizer) for text in texts), tokenizer, k1=k1, b=b)


def of_counts(
    counts: Iterable[tuple[NDArray[np.uint32], NDArray[np.uint32]]],
    tokenizer: str,
    *,
    k1: float = 1.2,
    b: float = 0.75,
) -> Bm25:
    """Return the statistics of documents whose terms were `counted` by the tokenizer."""
    lengths: list[int] = []
    found: list[NDArray[np.uint32]] = []
    for terms, times in counts:
        lengths.append(int(times.sum()))
        found.append(terms)
    terms, frequencies = np.unique(np.concatenate(found), return_counts=True) if found else (_NONE, _NONE)
    mean = max(1.0, sum(lengths) / len(lengths)) if lengths else 1.0
    return Bm25(len(lengths), mean, terms, frequencies.astype(np.uint32), k1, b, tokenizer)


def counted(text: str, tokenizer: str) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return the terms of a text, ascending, and how often each occurs."""
    numbers = np.fromiter(map(term, TOKENIZERS[tokenizer](text)), np.uint32)
    terms, counts = np.unique(numbers, return_counts=True)
    return terms, counts.astype(np.uint32)


def term(word: str) -> int:
    """Return the number of a word, below `TERMS`."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) & (TERMS - 1)
