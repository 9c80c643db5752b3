"""The profile's ports as the parts of triage need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from models.compose.budget import Spending
from resources.embedder.port import GuardedEmbedder
from resources.language_model.port import Document, GuardedLanguageModel, Request
from resources.vectors.port import Vectors

if TYPE_CHECKING:
    from assets.support import knowledge_base as articles


def triage_resources(store: Vectors, embedder: GuardedEmbedder, model: GuardedLanguageModel) -> dict[str, Any]:
    """Return the resources by the names under which parts need them."""
    return {
        "embedder": embedder,
        "knowledge_base": ServedArticles(store, embedder),
        "language_model": ModelAnswers(model),
    }


class ModelAnswers:
    """The language model as the steps of triage need it (`models.support.answers.Answerer`)."""

    def __init__(self, model: GuardedLanguageModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    def answer(
        self, prompt: str, system: str, documents: Sequence[tuple[str, str]], *, max_tokens: int, spending: Spending
    ) -> str:
        """Return the answer to `prompt` from documents (id, text), paid from `spending`.

        Raises:
            CallRefused: the budget does not suffice; nothing was sent.
            CallFailed: every try failed.
        """
        listed = [Document(*each) for each in documents]
        request = Request(prompt, system, listed, max_output_tokens=max_tokens)
        return self._model.complete(request, spending)

    def choose(self, prompt: str, system: str, options: Sequence[str], max_tokens: int, spending: Spending) -> str:
        """Return the one of the options that the model chooses, validated by a schema, paid from `spending`.

        Raises:
            CallRefused: the budget does not suffice; nothing was sent.
            CallFailed: every try failed.
            InvalidAnswer: it chose none of them, also after a repair.
            TesseraError: the model fills in no schema.
        """
        schema = {
            "type": "object",
            "properties": {"intent": {"type": "string", "enum": [*options]}},
            "required": ["intent"],
            "additionalProperties": False,
        }
        request = Request(prompt, system, schema=schema, max_output_tokens=max_tokens)
        return str(self._model.complete_json(request, spending)["intent"])


class ServedArticles:
    """The served version of the index of articles (`models.support.parts.KnowledgeBase`), opened when it is needed."""

    def __init__(self, store: Vectors, embedder: GuardedEmbedder) -> None:
        self._store, self._embedder = store, embedder

    @property
    def version(self) -> str:
        """Number of the index version."""
        return str(self._opened.index.version.number)

    def search(
        self,
        texts: Sequence[str],
        languages: Sequence[str],
        *,
        k: int,
        known: Sequence[Mapping[str, float]] | None = None,
        spending: Spending | None = None,  # noqa: ARG002 - the embedder's own limits hold
    ) -> list[list[Mapping[str, Any]]]:
        """Return the best articles for each text, best first; `known` as in `KnowledgeBase.search`.

        Raises:
            TesseraError: no index is served, or it was built by another embedder.
        """
        return [
            [
                {
                    "id": one.article_id,
                    "title": one.title,
                    "body": one.passage,
                    "language": one.language,
                    "score": round(one.score, 9),
                    "updated_at": one.updated_at.isoformat(),
                }
                for one in found.articles
            ]
            for found in self._opened.search(texts, languages, k=k, known=known)
        ]

    @cached_property
    def _opened(self) -> articles.KnowledgeBase:
        from assets.support.knowledge_base import open_knowledge_base

        return open_knowledge_base(self._store, self._embedder)
