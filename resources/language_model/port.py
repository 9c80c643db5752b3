"""The language model port, and the wrapper that every adapter of it gets."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from models.compose.budget import Spending
from models.compose.cache import MemoryCache
from models.errors import TesseraError
from models.text.pii import redact
from resources.calls.failure import InvalidAnswer
from resources.calls.guard import Answered, Guard
from resources.calls.policy import CallPolicy
from resources.calls.usage import Usage
from resources.cost_ledger import CostLedger
from resources.health import Health

_CHARACTERS_PER_TOKEN = 3


@dataclass(frozen=True)
class Document:
    """A text that an answer may be made from."""

    id: str
    text: str


@dataclass(frozen=True)
class Request:
    """A question to a language model.

    Attributes:
        prompt: of the person who asks; data, whatever it says.
        system: instructions of the application.
        documents: texts that the answer may be made from.
        schema: JSON Schema of the answer, an object; None: text.
        max_output_tokens: limit of the answer.
        temperature: 0: the likeliest words.
    """

    prompt: str
    system: str = ""
    documents: Sequence[Document] = ()
    schema: Mapping[str, Any] | None = None
    max_output_tokens: int = 512
    temperature: float = 0.0


class LanguageModel(ABC):
    """Answers requests. An adapter makes one call; `GuardedLanguageModel` adds what every call needs.

    Attributes:
        is_remote: texts leave this machine.
    """

    is_remote: ClassVar[bool] = False

    @property
    @abstractmethod
    def name(self) -> str:
        """Name and version of the model; part of the key of cached answers."""

    @abstractmethod
    def complete_once(self, request: Request, timeout_seconds: float) -> Answered[str]:
        """Return the answer, JSON where the request has a schema, and the tokens that were paid.

        Raises:
            CallFailed: the model gave no answer; it says if another try may help.
            TesseraError: the adapter cannot answer such a request.
        """

    @abstractmethod
    def check(self) -> Health:
        """Report if the model is ready; asks no paid service."""


class GuardedLanguageModel:
    """A language model with cache, budget, rate limit, tries, time limit, redaction, cost and trace spans."""

    def __init__(self, adapter: LanguageModel, policy: CallPolicy, guard: Guard | None = None) -> None:
        self._adapter, self._policy = adapter, policy
        self._guard = guard or Guard(adapter.name, "chat", policy, is_remote=adapter.is_remote)
        self._cache = MemoryCache(policy.cache_entries)

    def keep_costs(self, ledger: CostLedger) -> None:
        """Record paid calls in the ledger, and keep the limit of a day."""
        self._guard.keep_costs(ledger)

    @property
    def name(self) -> str:
        """That of the adapter."""
        return self._adapter.name

    @property
    def usage(self) -> Usage:
        """Calls, tokens and money since it was opened."""
        return self._guard.usage

    def complete(self, request: Request, spending: Spending | None = None) -> str:
        """Return the answer in text.

        Raises:
            CallRefused: the budget does not suffice; nothing was sent.
            CallFailed: every try failed.
        """
        return self._answered(replace(request, schema=None), spending)

    def complete_json(self, request: Request, spending: Spending | None = None) -> Any:
        """Return the answer as JSON that fits the request's schema, after one repair if it did not at first.

        Raises:
            InvalidAnswer: the repaired answer does not fit either.
            CallRefused: the budget does not suffice.
            CallFailed: every try failed.
        """
        if request.schema is None:
            raise TesseraError("The request has no schema.", expected="a JSON Schema", todo="Set `schema`.")
        answer = self._answered(request, spending)
        value, problem = _read(answer, request.schema)
        if not problem:
            return value
        repaired = self._answered(replace(request, prompt=_repair(request.prompt, answer, problem)), spending)
        value, second = _read(repaired, request.schema)
        if second:
            raise InvalidAnswer(
                f"{self.name} gave an answer that does not fit its schema, also after a repair: {second}.",
                expected="JSON that fits the schema",
                todo="Hand this request to a person, or ask another model.",
            )
        return value

    def check(self) -> Health:
        """Report if the model is ready."""
        return self._adapter.check()

    def _answered(self, request: Request, spending: Spending | None) -> str:
        sent, originals = self._sent(request)
        key = _key(self.name, sent)
        kept = self._cache.get([key])
        if key in kept:
            self.usage.add(cached=1)
            answer = str(kept[key]["answer"])
        else:
            answer = self._guard.call(
                lambda seconds: self._adapter.complete_once(sent, seconds),
                tokens=_tokens(sent),
                most_output=sent.max_output_tokens,
                spending=spending,
            )
            if self._policy.cache_entries:
                self._cache.put({key: {"answer": answer}})
        for placeholder, original in originals.items():
            answer = answer.replace(placeholder, _within_json(original) if request.schema else original)
        return answer

    def _sent(self, request: Request) -> tuple[Request, Mapping[str, str]]:
        """Return what the adapter is given, and what its placeholders stand for."""
        if not (self._adapter.is_remote and self._policy.redact):
            return request, {}
        masked = redact(request.prompt, self._policy.region)
        system = redact(request.system, self._policy.region, masked.originals)
        originals = system.originals
        documents: list[Document] = []
        for document in request.documents:
            text = redact(document.text, self._policy.region, originals)
            originals = text.originals
            documents.append(Document(document.id, text.text))
        self.usage.add(redactions=len(originals))
        return replace(request, prompt=masked.text, system=system.text, documents=tuple(documents)), originals


def prompt_with_documents(request: Request) -> str:
    """Return the prompt behind its documents, each between marks with its id, for models that take text only."""
    parts = [f"<document id={json.dumps(each.id)}>\n{each.text}\n</document>" for each in request.documents]
    return "\n\n".join([*parts, request.prompt])


def _key(name: str, request: Request) -> str:
    content = [
        name,
        request.system,
        request.prompt,
        [[each.id, each.text] for each in request.documents],
        request.schema,
        request.max_output_tokens,
        request.temperature,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _tokens(request: Request) -> int:
    """Return an estimate of the tokens of a request."""
    schema = json.dumps(request.schema) if request.schema else ""
    return math.ceil(len(request.system + prompt_with_documents(request) + schema) / _CHARACTERS_PER_TOKEN)


def _read(answer: str, schema: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the JSON of an answer, and what is wrong with it, "" if nothing is."""
    import jsonschema

    try:
        value = json.loads(answer)
    except ValueError as error:
        return None, f"it is no JSON: {error}"
    problem = next(iter(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value)), None)
    return value, "" if problem is None else f"{problem.json_path}: {problem.message}"


def _repair(prompt: str, answer: str, problem: str) -> str:
    said = f"Your answer was:\n{answer}\n\nIt was refused: {problem}."
    return f"{prompt}\n\n{said} Answer again with JSON that fits the schema."


def _within_json(text: str) -> str:
    return json.dumps(text)[1:-1]
