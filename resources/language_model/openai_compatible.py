"""Language models behind an OpenAI-compatible service (`/v1/chat/completions`)."""

from functools import cached_property
from typing import Any, ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from resources.calls.failure import CallFailed
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.calls.sdk import failures_of, openai_client, tokens
from resources.health import Health
from resources.language_model.port import GuardedLanguageModel, LanguageModel, Request, prompt_with_documents


class OpenAIModel(LanguageModel):
    """A language model behind a service."""

    is_remote: ClassVar[bool] = True

    def __init__(self, url: str, api_key: str, model: str) -> None:
        self._url, self._api_key, self._model = url, api_key, model

    @property
    @override
    def name(self) -> str:
        return self._model

    @override
    def complete_once(self, request: Request, timeout_seconds: float) -> Answered[str]:
        import openai

        client = self._client.with_options(timeout=timeout_seconds)
        with failures_of(openai, self._model):
            answer = client.chat.completions.create(**self._arguments(request))
        choice = (answer.choices or [None])[0]
        text = getattr(getattr(choice, "message", None), "content", None)
        if not isinstance(text, str):
            raise CallFailed(f"{self._model} gave an answer without text.", is_temporary=True)
        return Answered(text, tokens(answer, "prompt_tokens"), tokens(answer, "completion_tokens"))

    @override
    def check(self) -> Health:
        self._client  # noqa: B018 - fails if the package is missing
        return Health(True, f"{self._model} at {self._url} (not asked)")

    @cached_property
    def _client(self) -> Any:
        return openai_client(self, self._url, self._api_key)

    def _arguments(self, request: Request) -> dict[str, Any]:
        system = [{"role": "system", "content": request.system}] if request.system else []
        arguments: dict[str, Any] = {
            "model": self._model,
            "messages": [*system, {"role": "user", "content": prompt_with_documents(request)}],
            "max_completion_tokens": request.max_output_tokens,
            "temperature": request.temperature,
        }
        if request.schema is not None:
            form = {"name": "answer", "schema": dict(request.schema), "strict": True}
            arguments["response_format"] = {"type": "json_schema", "json_schema": form}
        return arguments


class OpenAIModelConfig(dg.Config):
    """A language model behind an OpenAI-compatible service. Needs requirements/openai.lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["openai_compatible"] = "openai_compatible"
    url: str = Field(description="Base address, as https://api.openai.com/v1.")
    api_key: str = Field(default="", description="Key of the service; a secret: write {env: NAME}.")
    model: str = Field(description="Name of the model, as the service spells it.")
    calls: CallPolicy = Field(default=CallPolicy(), description="Limits, prices and privacy of calls.")

    def open(self) -> GuardedLanguageModel:
        """Return the model; nothing is sent yet."""
        return GuardedLanguageModel(OpenAIModel(self.url, self.api_key, self.model), self.calls)
