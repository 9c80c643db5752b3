"""Parts of the triage composition: each is kept as files, read again, and used as a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from models.compose.budget import Spending
from models.compose.call import Call
from models.compose.fields import Column, FieldType
from models.compose.prompt import Prompt
from models.compose.step import Leaf, Step
from models.errors import TesseraError
from models.support.answers import ANSWER_PROMPT, Answerer, checked_draft, documents_of
from models.support.article_prior import ArticlePrior, known_articles
from models.support.fields import ANSWER, ANSWERED, ARTICLES, DECIDED, DECISION, LANGUAGE, SEARCHED, SENTIMENT, TEXT
from models.support.hand_off import NOT_MEASURED, CitedPrecision, HandOffConfig, reasons_to_hand_off
from models.support.search_words import searched_for
from models.text.language import LanguageDetector, is_unsupported
from models.text.sentiment import sentiment

_PROMPT = Prompt.need(ANSWER_PROMPT)
_TEXT, _TEXTS, _RECORD = (FieldType(name) for name in ("text", "texts", "record"))


class KnowledgeBase(Protocol):
    """The served version of the index of articles."""

    @property
    def version(self) -> str:
        """Name of the index version."""
        ...

    def search(
        self,
        texts: Sequence[str],
        languages: Sequence[str],
        *,
        k: int,
        known: Sequence[Mapping[str, float]] | None = None,
        spending: Spending | None = None,
    ) -> list[list[Mapping[str, Any]]]:
        """Return the best articles for each text, best first: `id`, `title`, `body`, `language`, `score`.

        Args:
            texts: of the tickets.
            languages: of each; articles in it are found first.
            k: articles of each text, at most.
            known: for each text, article -> probability that it answers, as earlier tickets say.
            spending: budget of the request.
        """
        ...


@dataclass(frozen=True)
class LanguagePart:
    """Language of a text, among the supported ones; a text too short or mixed is of the default one."""

    languages: tuple[str, ...]
    default: str

    loader: ClassVar = "models.support.parts:LanguagePart.read"
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> LanguagePart:  # noqa: ARG003
        """Return the part that `save` described."""
        return cls(tuple(saved["languages"]), str(saved["default"]))

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {"languages": list(self.languages), "default": self.default}

    def step(self, name: str) -> Step:
        """Return it as a step."""
        detector = LanguageDetector(self.languages, self.default)

        def detect(text: Column) -> Mapping[str, Column]:
            found = [detector.detect(one) for one in text]
            return {
                "language": _TEXT.column([one.language for one in found]),
                "language_confidence": np.array([one.confidence for one in found], dtype=np.float64),
            }

        return Leaf(name, TEXT, LANGUAGE, detect)


@dataclass(frozen=True)
class SentimentPart:
    """Sentiment of a text by a list of words."""

    loader: ClassVar = "models.support.parts:SentimentPart.read"
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> SentimentPart:  # noqa: ARG003
        """Return the part."""
        return cls()

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {}

    def step(self, name: str) -> Step:
        """Return it as a step."""
        return Leaf(name, TEXT, SENTIMENT, lambda text: {"sentiment": np.array([sentiment(one) for one in text])})


@dataclass(frozen=True)
class SearchPart:
    """The best articles for a text: by vectors and words, fused. Articles change, and the composition stays.

    Attributes:
        knowledge_base: the served articles.
        articles: of each ticket, at most.
        words: intent -> words that are looked for beside the ticket's own (`models.support.search_words`).
        prior: articles that answered tickets of an intent and language before.
    """

    knowledge_base: KnowledgeBase
    articles: int
    words: Mapping[str, str]
    prior: ArticlePrior

    loader: ClassVar = "models.support.parts:SearchPart.read"
    needs: ClassVar[tuple[str, ...]] = ("knowledge_base",)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> SearchPart:  # noqa: ARG003
        """Return the part, over the knowledge base of the resources."""
        return cls(resources["knowledge_base"], int(saved["articles"]), dict(saved["words"]), saved["prior"])

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        return {"articles": self.articles, "words": dict(self.words), "prior": self.prior}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def search(text: Column, language: Column, intent: Column, guesses: Column, call: Call) -> Mapping[str, Column]:
            base = self.knowledge_base
            asked = [searched_for(*each, self.words) for each in zip(text, intent, strict=True)]
            known = [known_articles(self.prior, *each) for each in zip(guesses, language, strict=True)]
            found = base.search(asked, language.tolist(), k=self.articles, known=known, spending=call.spending)
            return {
                "article_ids": _TEXTS.column([[str(one["id"]) for one in hits] for hits in found]),
                "articles": _RECORD.column([{"hits": hits, "index_version": base.version} for hits in found]),
            }

        return Leaf(name, SEARCHED, ARTICLES, search, wants_call=True)


@dataclass(frozen=True)
class AnswerPart:
    """A draft of the answer by a language model, from the articles that were found; kept only if it cites them.

    No call is made for a ticket that belongs to no intent, is in a language that is not supported, or has no article in
    its language: a person answers it.
    """

    answerer: Answerer
    prompt: Prompt
    max_tokens: int
    min_support: float

    loader: ClassVar = "models.support.parts:AnswerPart.read"
    needs: ClassVar[tuple[str, ...]] = ("language_model", _PROMPT)

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> AnswerPart:  # noqa: ARG003
        """Return the part, over the language model of the resources and the composition's prompt."""
        return cls(resources["language_model"], resources[_PROMPT], **saved)

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - its prompt is the composition's
        """Describe it."""
        return {"max_tokens": self.max_tokens, "min_support": self.min_support}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def answer(
            text: Column,
            language: Column,
            language_confidence: Column,
            in_scope: Column,
            articles: Column,
            history: Column,
            call: Call,
        ) -> Mapping[str, Column]:
            rows = zip(text, language, language_confidence, in_scope, articles, history, strict=True)
            found = [self._drafted(*row, spending=call.spending) for row in rows]
            columns = zip(*found, strict=True) if found else ([], [], [], [])
            kinds = [ANSWER[field] for field in ANSWER]
            return {
                field: kind.column(list(values)) for field, kind, values in zip(ANSWER, kinds, columns, strict=True)
            }

        return Leaf(name, ANSWERED, ANSWER, answer, waits=True, wants_call=True)

    def _drafted(
        self,
        text: str,
        language: str,
        language_confidence: float,
        in_scope: bool,
        articles: Mapping[str, Any],
        history: Mapping[str, Any],
        *,
        spending: Spending,
    ) -> tuple[str, list[str], str, str]:
        if is_unsupported(language_confidence):
            return "", [], "", f"the text is in no supported language ({1 - language_confidence:.1%})"
        hits = [hit for hit in articles.get("hits", ()) if hit["language"] == language]
        if not in_scope or not hits:
            return "", [], "", f"no article in {language!r} was found" if in_scope else "its intent is unknown"
        documents = documents_of(hits, history)
        system = self.prompt.text.replace("{language}", language)
        try:
            said = self.answerer.answer(text, system, documents, max_tokens=self.max_tokens, spending=spending)
        except TesseraError as error:
            return "", [], self.answerer.name, error.what.rstrip(".")
        draft = checked_draft(said, documents, min_support=self.min_support)
        return draft.text, list(draft.cited), self.answerer.name, draft.problem


@dataclass(frozen=True)
class HandOffPart:
    """The decision to hand a ticket to a person: a rule, which no text can change.

    Attributes:
        limits: beyond which a person answers.
        measured: drafts of the version; None only while they are measured.
    """

    limits: HandOffConfig
    measured: CitedPrecision | None = NOT_MEASURED

    loader: ClassVar = "models.support.parts:HandOffPart.read"
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> HandOffPart:  # noqa: ARG003
        """Return the part that `save` described."""
        return cls(
            HandOffConfig.model_validate(saved["limits"]), CitedPrecision.model_validate(saved["cited_precision"])
        )

    def save(self, folder: Path) -> Mapping[str, Any]:  # noqa: ARG002 - it has no files
        """Describe it."""
        measured = self.measured or NOT_MEASURED
        return {"limits": self.limits.model_dump(mode="json"), "cited_precision": measured.model_dump(mode="json")}

    def step(self, name: str) -> Step:
        """Return it as a step."""

        def decide(**columns: Column) -> Mapping[str, Column]:
            rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
            reasons = [reasons_to_hand_off(_plain(row), self.limits, self.measured) for row in rows]
            return {
                "handed_off": np.array([bool(one) for one in reasons], dtype=np.bool_),
                "reasons": _TEXTS.column(reasons),
            }

        return Leaf(name, DECIDED, DECISION, decide)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record in which a number that is missing is None."""
    return {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
