"""Answers without a language model: the sentences of the documents that are nearest to the question."""

import re
from typing import ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.text.retrieval import Bm25Index, ranked
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.language_model.port import GuardedLanguageModel, LanguageModel, Request

#: A sentence is quoted if it is at least so near to the question as the nearest one: words that all texts share (the,
#: every) make any sentence a little alike.
_SHARE_OF_BEST = 0.5
_SENTENCE_END = re.compile(r"(?<=[.!?。！？।])\s+|\n+")


class ExtractiveModel(LanguageModel):
    """Quotes sentences and writes none: no weights, no service. Each quote names its document."""

    def __init__(self, sentences: int) -> None:
        self._sentences = sentences

    @property
    @override
    def name(self) -> str:
        return "extractive (no weights: quotes documents)"

    @override
    def complete_once(self, request: Request, timeout_seconds: float) -> Answered[str]:
        if request.schema is not None:
            raise TesseraError(
                "The extractive answerer has no weights and fills in no schema.",
                expected="a request for text",
                todo="Choose another `language_model` in stack.yaml.",
            )
        # A sentence that several documents have is quoted once, from the first.
        first: dict[str, str] = {}
        for document in request.documents:
            for sentence in filter(None, map(str.strip, _SENTENCE_END.split(document.text))):
                first.setdefault(sentence, document.id)
        found = [(id, sentence) for sentence, id in first.items()]
        if not found:
            return Answered("")
        scores = Bm25Index([sentence for _, sentence in found]).scores([request.prompt])
        enough = max(_SHARE_OF_BEST * scores.max(), 1e-9)
        near = [hit.document for hit in ranked(scores, self._sentences)[0] if scores[0, hit.document] >= enough]
        return Answered(" ".join(f"{found[place][1]} [{found[place][0]}]" for place in sorted(near)))

    @override
    def check(self) -> Health:
        return Health(True, f"{self.name}, up to {self._sentences} sentences")


class ExtractiveModelConfig(dg.Config):
    """Quotes the nearest sentences of the documents: no weights, no service, no text of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar[dict[str, Gap]] = {
        "structured": Gap("it quotes, and fills in no schema", "^TesseraError: .*fills in no schema"),
        "free_text": Gap("without documents it has nothing to quote"),
    }

    kind: Literal["extractive"] = "extractive"
    sentences: int = Field(default=3, ge=1, le=20, description="Sentences that are quoted at most.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Limits, prices and privacy of calls.")

    def open(self) -> GuardedLanguageModel:
        """Return the answerer."""
        return GuardedLanguageModel(ExtractiveModel(self.sentences), self.calls)
