"""The interface of an embedder, and the identity that an index stores with its vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.text.probing import is_same_digest

#: float32, one row per text.
Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class EmbedderIdentity:
    """Identity of an embedder; vectors of two embedders can be compared only if all of it is equal.

    Attributes:
        name: of the model, as people know it.
        digest: of the weights, hexadecimal; of the settings for an embedder without weights; behind an endpoint, of the
            vectors of some texts (`models.text.probing`).
        dimension: of a vector.
        is_normalised: vectors have unit length, so that dot product and cosine similarity are the same.
    """

    name: str
    digest: str
    dimension: int
    is_normalised: bool = True

    def is_same(self, other: "EmbedderIdentity") -> bool:
        """Return True if vectors of both can be compared."""
        return replace(self, digest="") == replace(other, digest="") and is_same_digest(self.digest, other.digest)


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, digest and dimension, as an index stores them."""
        ...

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector per text, float32, shape `(n_texts, dimension)`; an empty text has a vector, too."""
        ...

    def layers(self, texts: Sequence[str]) -> Embeddings:
        """Return what trained heads read: vectors of inner layers, and at the end of each row that of `embed`.

        Float32, shape `(n_texts, width)`; of a model whose inner layers are not here, the rows are those of `embed`.
        """
        ...


def encodable(text: str) -> str:
    """Replace what UTF-8 cannot hold: halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


class RememberingEmbedder:
    """Keeps the rows of `layers` of texts in memory, so that each different text is embedded once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._rows: dict[str, NDArray[np.float32]] = {}

    @property
    def identity(self) -> EmbedderIdentity:
        """That of the embedder."""
        return self._embedder.identity

    def remember(self, texts: Sequence[str], rows: Embeddings) -> None:
        """Keep rows of `layers` that were computed before by the same embedder."""
        self._rows.update(zip(texts, rows, strict=True))

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Return one vector per text; only those that are new are embedded."""
        return self.layers(texts)[:, -self.identity.dimension :]

    def layers(self, texts: Sequence[str]) -> Embeddings:
        """Return one row per text; only those that are new are embedded."""
        new = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if new:
            self._rows.update(zip(new, self._embedder.layers(new), strict=True))
        if not texts:
            return np.empty((0, self.identity.dimension), np.float32)
        return np.stack([self._rows[text] for text in texts])
