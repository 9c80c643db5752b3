"""OpenAI-compatible `/v1/embeddings` and `/v1/chat/completions` over the profile's embedder and language model."""

import base64
import time
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Body, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pipelines.gateway.problem import Refusal
from pipelines.service.chat_stream import MEDIA_TYPE as STREAM_TYPE
from pipelines.service.chat_stream import streamed
from pipelines.service.door import Door
from pipelines.service.errors import PROBLEMS, answers
from pipelines.service.rules import ALL, rule

_MOST_TEXTS, _MOST_CHARACTERS = 256, 100_000


class EmbeddingsAsked(BaseModel):
    """Texts to embed; what OpenAI's clients send besides is ignored."""

    model_config = ConfigDict(extra="ignore")

    input: str | list[str] = Field(max_length=_MOST_CHARACTERS)
    model: str = Field(description="Name of the profile's embedder.")
    encoding_format: Literal["float", "base64"] = "float"


class OneEmbedding(BaseModel):
    """The vector of one text."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(description="Numbers, or little-endian float32 in base64.")


class TokensUsed(BaseModel):
    """Tokens that were paid; 0 for a model on this machine."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class EmbeddingsMade(BaseModel):
    """One vector per text, in order."""

    object: Literal["list"] = "list"
    data: list[OneEmbedding]
    model: str
    usage: TokensUsed


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(max_length=_MOST_CHARACTERS)


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = Field(default=False, description="The event before the last one has the tokens.")


class Quoted(BaseModel):
    """A text that the answer may be made from."""

    model_config = ConfigDict(extra="forbid")

    id: str
    text: str


class ChatAsked(BaseModel):
    """A question; `documents` is Tessera's own, what else OpenAI's clients send is ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(description="Name of the profile's language model.")
    messages: list[ChatMessage] = Field(min_length=1, max_length=100)
    max_tokens: int = Field(default=512, ge=1, le=8192)
    temperature: float = Field(default=0.0, ge=0, le=2)
    stream: bool = Field(default=False, description="Answer by server-sent events, as OpenAI's API does.")
    stream_options: StreamOptions | None = None
    documents: list[Quoted] = Field(default=[], max_length=100)


class ChatChoice(BaseModel):
    """The answer."""

    index: int = 0
    message: ChatMessage
    finish_reason: Literal["stop"] = "stop"


class ChatMade(BaseModel):
    """One answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokensUsed


_EMBEDDINGS = Body(openapi_examples={"example": {"value": {"input": "Where is my parcel?", "model": "NAME"}}})
_QUESTION = {"model": "NAME", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
_CHAT = Body(openapi_examples={"example": {"value": _QUESTION}})

_USED = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
_VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.12, -0.03]}],
    "model": "NAME",
    "usage": {**_USED, "completion_tokens": 0, "total_tokens": 9},
}
_SAID = {
    "id": "chat-1772366400",
    "object": "chat.completion",
    "created": 1772366400,
    "model": "NAME",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A parcel arrives in three days. [kb-1]"},
            "finish_reason": "stop",
        }
    ],
    "usage": _USED,
}
_STREAM = {
    "description": "The answer; with `stream`, its chunks as server-sent events.",
    "content": {"application/json": {"example": _SAID}, STREAM_TYPE: {"schema": {"type": "string"}}},
}


def add_texts(service: FastAPI, door: Door) -> None:
    """Add the routes; the models are opened when they are first asked."""
    thread = door.thread("texts")

    async def embeddings(asked: Annotated[EmbeddingsAsked, _EMBEDDINGS]) -> EmbeddingsMade:
        return await thread.run(lambda: _embedded(thread.ports.embedder, asked))

    async def chat(request: Request, asked: Annotated[ChatAsked, _CHAT]) -> Response:
        def answered() -> ChatMade:
            return _answered(thread.ports.language_model, asked)

        if not asked.stream:
            return Response((await thread.run(answered)).model_dump_json(), media_type="application/json")
        await thread.run(lambda: _check_name(asked.model, thread.ports.language_model.name))
        wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
        return streamed(request, thread.run(answered), asked.model, with_usage=wants_usage)

    vectors, said = "Vectors of texts, as OpenAI's API gives them", "An answer of the language model, as OpenAI's API"
    for path, endpoint, name, summary, gives, responses in (
        ("/v1/embeddings", embeddings, "embeddings", vectors, EmbeddingsMade, answers(_VECTORS)),
        ("/v1/chat/completions", chat, "chat_completions", f"{said} gives it", ChatMade, {**PROBLEMS, 200: _STREAM}),
    ):
        about: dict[str, Any] = {"operation_id": name, "summary": summary, "tags": ["texts"], "response_model": gives}
        about["responses"] = responses
        service.add_api_route(path, endpoint, methods=["POST"], openapi_extra=rule("viewer", ALL), **about)


def _embedded(embedder: Any, asked: EmbeddingsAsked) -> EmbeddingsMade:
    _check_name(asked.model, embedder.identity.name)
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if not 0 < len(texts) <= _MOST_TEXTS:
        raise Refusal(
            422, f"{len(texts)} texts are given.", expected=f"1 to {_MOST_TEXTS}", todo="Send several requests."
        )
    before = embedder.usage.input_tokens
    vectors = np.asarray(embedder.embed(texts), "<f4")
    paid = embedder.usage.input_tokens - before
    as_text = asked.encoding_format == "base64"
    found = [base64.b64encode(row.tobytes()).decode() if as_text else row.tolist() for row in vectors]
    data = [OneEmbedding(index=place, embedding=one) for place, one in enumerate(found)]
    return EmbeddingsMade(data=data, model=asked.model, usage=TokensUsed(prompt_tokens=paid, total_tokens=paid))


def _answered(model: Any, asked: ChatAsked) -> ChatMade:
    from resources.language_model.port import Document
    from resources.language_model.port import Request as Question

    _check_name(asked.model, model.name)
    turns = [one for one in asked.messages if one.role in ("user", "assistant")]
    prompt = turns[0].content if len(turns) == 1 else "\n".join(f"{one.role}: {one.content}" for one in turns)
    request = Question(
        prompt,
        system="\n".join(one.content for one in asked.messages if one not in turns),
        documents=[Document(one.id, one.text) for one in asked.documents],
        max_output_tokens=asked.max_tokens,
        temperature=asked.temperature,
    )
    before = model.usage
    sent, given = before.input_tokens, before.output_tokens
    answer = ChatMessage(role="assistant", content=model.complete(request))
    after = model.usage
    sent, given = after.input_tokens - sent, after.output_tokens - given
    used = TokensUsed(prompt_tokens=sent, completion_tokens=given, total_tokens=sent + given)
    made = int(time.time())
    return ChatMade(
        id=f"chat-{made}", created=made, model=asked.model, choices=[ChatChoice(message=answer)], usage=used
    )


def _check_name(asked: str, name: str) -> None:
    if asked != name:
        raise Refusal(
            404, f"There is no model {asked[:80]!r}.", expected=f"{name!r}, the profile's", todo="Correct `model`."
        )
