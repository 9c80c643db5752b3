"""The embedder without weights: spelling only."""

from collections.abc import Sequence
from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.text.embedder import EmbedderIdentity, Embeddings
from models.text.hashed import HashedEmbedder
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.embedder.port import Embedder, GuardedEmbedder
from resources.health import Health


class HashedEmbedderAdapter(Embedder):
    """Hashed n-grams: texts are alike if they share spelling."""

    def __init__(self, dimension: int) -> None:
        self._model = HashedEmbedder(dimension)

    @property
    @override
    def identity(self) -> EmbedderIdentity:
        return self._model.identity

    @override
    def embed_once(self, texts: Sequence[str], timeout_seconds: float) -> Answered[Embeddings]:
        return Answered(self._model.embed(texts))

    @override
    def check(self) -> Health:
        return Health(True, f"{self.identity.name}, {self.identity.dimension} dimensions")


class HashedEmbedderConfig(dg.Config):
    """Hashed n-grams: no weights, and no meaning: texts are alike if they share spelling."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hashed"] = "hashed"
    dimension: int = Field(default=384, ge=16, le=16_384, description="Numbers of a vector.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Limits, prices and privacy of calls.")

    def open(self) -> GuardedEmbedder:
        """Return the embedder."""
        return GuardedEmbedder(HashedEmbedderAdapter(self.dimension), self.calls)
