"""An embedder without weights: hashed n-grams. It sees spelling only, no meaning."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.text.embedder import EmbedderIdentity, Embeddings, encodable

# scikit-learn has no static types.
# pyright: basic

#: Part of the identity: another number means other vectors of the same text.
_VERSION = 1
#: Name of the embedder.
HASHED = "hashed-ngrams (no weights: lexical only)"


class HashedEmbedder:
    """Lexical vectors: words, pairs of words and pieces of 3 to 5 characters, hashed with signs into `dimension`.

    Texts are alike if they share spelling. It has no weights and needs no training: texts of any language have
    vectors, and words of one meaning have nothing in common.
    """

    def __init__(self, dimension: int = 384) -> None:
        self._vectorizers: tuple[Any, ...] | None = None
        settings = f"hashed words 1-2, characters 3-5, version {_VERSION}"
        self.identity = EmbedderIdentity(HASHED, hashlib.sha256(settings.encode()).hexdigest(), dimension)

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector of unit length per text; a text without letters and digits has the first unit vector."""
        if not texts:
            return np.empty((0, self.identity.dimension), np.float32)
        given = [encodable(text) for text in texts]
        counts: Any = sum(one.transform(given) for one in self._prepared())
        vectors = counts.toarray().astype(np.float32)
        vectors = np.sign(vectors) * np.log1p(np.abs(vectors))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[lengths[:, 0] == 0, 0] = 1.0
        return vectors / np.where(lengths == 0, 1.0, lengths)

    def layers(self, texts: Sequence[str]) -> Embeddings:
        """Return the vectors: there are no inner layers."""
        return self.embed(texts)

    def _prepared(self) -> tuple[Any, ...]:
        if self._vectorizers is None:
            from sklearn.feature_extraction.text import HashingVectorizer

            shared: dict[str, Any] = {"n_features": self.identity.dimension, "norm": None, "alternate_sign": True}
            self._vectorizers = (
                HashingVectorizer(ngram_range=(1, 2), **shared),
                HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), **shared),
            )
        return self._vectorizers
