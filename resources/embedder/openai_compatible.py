"""Embedders behind an OpenAI-compatible service (`/v1/embeddings`)."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import dagster as dg
import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.text.embedder import EmbedderIdentity, Embeddings
from resources.calls.failure import CallFailed
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.calls.sdk import failures_of, openai_client, tokens
from resources.embedder.port import Embedder, GuardedEmbedder
from resources.health import Health


class OpenAIEmbedder(Embedder):
    """An embedder behind a service, which may change its weights under the same name: the digest is not known here."""

    is_remote: ClassVar[bool] = True

    def __init__(self, url: str, api_key: str, model: str, dimension: int) -> None:
        self._url, self._api_key, self._model = url, api_key, model
        self._identity = EmbedderIdentity(model, "", dimension)

    @property
    @override
    def identity(self) -> EmbedderIdentity:
        return self._identity

    @override
    def embed_once(self, texts: Sequence[str], timeout_seconds: float) -> Answered[Embeddings]:
        import openai

        client = self._client.with_options(timeout=timeout_seconds)
        with failures_of(openai, self._model):
            answer = client.embeddings.create(
                model=self._model,
                # services refuse an empty text
                input=[text or " " for text in texts],
                encoding_format="float",
            )
        return Answered(self._vectors(answer, len(texts)), tokens(answer, "prompt_tokens"))

    @override
    def check(self) -> Health:
        self._client  # noqa: B018 - fails if the package is missing
        return Health(True, f"{self._model} at {self._url} (not asked)")

    @cached_property
    def _client(self) -> Any:
        return openai_client(self, self._url, self._api_key)

    def _vectors(self, answer: Any, n: int) -> Embeddings:
        rows = {int(one.index): one.embedding for one in answer.data or ()}
        try:
            vectors = np.array([rows[place] for place in range(n)], np.float32)
        except (KeyError, ValueError, TypeError):
            raise self._unfit(f"{len(rows)} vectors for {n} texts") from None
        if vectors.shape != (n, self.identity.dimension):
            raise self._unfit(f"vectors of shape {vectors.shape}, not of {self.identity.dimension} dimensions")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self._unfit("a vector without a direction")
        return vectors / lengths

    def _unfit(self, why: str) -> CallFailed:
        return CallFailed(f"{self._model} gave {why}.", is_temporary=False)


class OpenAIEmbedderConfig(dg.Config):
    """An embedder behind an OpenAI-compatible service. Needs requirements/openai.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["openai_compatible"] = "openai_compatible"
    url: str = Field(description="Base address, as https://api.openai.com/v1.")
    api_key: str = Field(default="", description="Key of the service; a secret: write {env: NAME}.")
    model: str = Field(description="Name of the model, as the service spells it.")
    dimension: int = Field(ge=1, description="Numbers of a vector; an answer of another dimension is refused.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Limits, prices and privacy of calls.")

    def open(self) -> GuardedEmbedder:
        """Return the embedder; nothing is sent yet."""
        return GuardedEmbedder(OpenAIEmbedder(self.url, self.api_key, self.model, self.dimension), self.calls)
