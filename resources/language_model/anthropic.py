"""Language models of Anthropic, or behind the same interface (`/v1/messages`)."""

import json
from functools import cached_property
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from resources.calls.failure import CallFailed
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.calls.sdk import closed_with, failures_of, not_installed, tokens
from resources.health import Health
from resources.language_model.port import GuardedLanguageModel, LanguageModel, Request, prompt_with_documents

_TOOL = "answer"


class AnthropicModel(LanguageModel):
    """A language model behind Anthropic's interface; JSON is asked for as the input of one tool."""

    is_remote: ClassVar[bool] = True

    def __init__(self, url: str, api_key: str, model: str) -> None:
        self._url, self._api_key, self._model = url, api_key, model

    @property
    @override
    def name(self) -> str:
        return self._model

    @override
    def complete_once(self, request: Request, timeout_seconds: float) -> Answered[str]:
        import anthropic

        client = self._client.with_options(timeout=timeout_seconds)
        with failures_of(anthropic, self._model):
            answer = client.messages.create(**self._arguments(request))
        text = self._text(answer, is_json=request.schema is not None)
        return Answered(text, tokens(answer, "input_tokens"), tokens(answer, "output_tokens"))

    @override
    def check(self) -> Health:
        self._client  # noqa: B018 - fails if the package is missing
        return Health(True, f"{self._model} at {self._url or 'https://api.anthropic.com'} (not asked)")

    @cached_property
    def _client(self) -> Any:
        try:
            import anthropic
        except ImportError:
            raise not_installed("anthropic") from None
        client = anthropic.Anthropic(base_url=self._url or None, api_key=self._api_key or "none", max_retries=0)
        return closed_with(self, client)

    def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt_with_documents(request)}],
            "max_tokens": request.max_output_tokens,
        }
        if request.system:
            arguments["system"] = request.system
        if request.schema is not None:
            tool = {"name": _TOOL, "description": "Give the answer.", "input_schema": dict(request.schema)}
            arguments |= {"tools": [tool], "tool_choice": {"type": "tool", "name": _TOOL}}
        return arguments

    def _text(self, answer: Any, *, is_json: bool) -> str:
        parts = answer.content or []
        if is_json:
            found = [json.dumps(part.input) for part in parts if getattr(part, "type", "") == "tool_use"]
        else:
            found = ["".join(part.text for part in parts if getattr(part, "type", "") == "text")] if parts else []
        if not found:
            raise CallFailed(f"{self._model} gave an answer without content.", is_temporary=True)
        return found[0]


class AnthropicModelConfig(dg.Config):
    """A language model of Anthropic. Needs requirements/anthropic.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["anthropic"] = "anthropic"
    url: str = Field(default="", description="Base address; empty: Anthropic's.")
    api_key: str = Field(default="", description="Key of the service; a secret: write {env: NAME}.")
    model: str = Field(description="Name of the model, as the service spells it.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Limits, prices and privacy of calls.")

    def open(self) -> GuardedLanguageModel:
        """Return the model; nothing is sent yet."""
        return GuardedLanguageModel(AnthropicModel(self.url, self.api_key, self.model), self.calls)
