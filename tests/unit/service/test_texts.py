"""The OpenAI SDK, unchanged, asks the profile's embedder and language model."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import httpx
import numpy as np
import openai
import pytest
from service_world import ServiceWorld

from resources.calls.failure import CallFailed
from resources.calls.guard import Answered
from resources.calls.policy import CallPolicy
from resources.health import Health
from resources.language_model.port import GuardedLanguageModel, LanguageModel, Request

TEXTS = ["My parcel is late", "Where is my money?"]


def asked(world: ServiceWorld, ask: Callable[[Any], Awaitable[Any]], key: str = "none") -> Any:
    """An answer to the SDK, of the service in this process."""

    async def of_client() -> Any:
        transport = httpx.ASGITransport(world.app)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport) as http:
            options: dict[str, Any] = {"http_client": http, "max_retries": 0}
            client = openai.AsyncOpenAI(api_key=key, base_url="http://127.0.0.1:8000/v1", **options)
            return await ask(client)

    return asyncio.run(of_client())


def test_embeddings_are_those_of_the_port(world: ServiceWorld) -> None:
    (key,) = world.key("sdk").values()
    embedder = world.stack.open("embedder")
    name, vectors = embedder.identity.name, embedder.embed(TEXTS)
    forms: list[dict[str, Any]] = [{}, {"encoding_format": "float"}]
    for form in forms:
        found = asked(world, lambda it, form=form: it.embeddings.create(model=name, input=TEXTS, **form), key)
        np.testing.assert_array_equal(np.array([one.embedding for one in found.data], np.float32), vectors)
    with pytest.raises(openai.NotFoundError):
        asked(world, lambda it: it.embeddings.create(model="ada", input="x"), key)
    with pytest.raises(openai.AuthenticationError):
        asked(world, lambda it: it.embeddings.create(model=name, input="x"))


def test_an_answer_is_that_of_the_port(world: ServiceWorld) -> None:
    (key,) = world.key("sdk").values()
    name = world.stack.open("language_model").name
    documents = [{"id": "kb-1", "text": "A parcel arrives in three days. Money is paid back within a week."}]
    question = {"role": "user", "content": "When does my parcel arrive?"}
    messages = [{"role": "system", "content": "Be short."}, question]
    found = asked(
        world,
        lambda it: it.chat.completions.create(
            model=name,
            messages=messages,
            extra_body={"documents": documents},
        ),
        key,
    )
    assert found.choices[0].message.content == "A parcel arrives in three days. [kb-1]"
    assert found.choices[0].finish_reason == "stop"


DOCUMENTS = [{"id": "kb-1", "text": "A parcel arrives in three days. Money is paid back within a week."}]


async def chunks_of(client: Any, **asked: Any) -> list[Any]:
    """Every chunk of a stream."""
    question = {"role": "user", "content": "When does my parcel arrive?"}
    extra = {"documents": DOCUMENTS}
    stream = await client.chat.completions.create(messages=[question], stream=True, extra_body=extra, **asked)
    return [one async for one in stream]


def test_a_stream_has_the_words_of_the_whole_answer_and_its_tokens(world: ServiceWorld) -> None:
    (key,) = world.key("sdk").values()
    name = world.stack.open("language_model").name
    found = asked(world, lambda it: chunks_of(it, model=name, stream_options={"include_usage": True}), key)
    said = [one.choices[0].delta.content or "" for one in found if one.choices]
    assert "".join(said) == "A parcel arrives in three days. [kb-1]"
    assert len(said) > len(["A", "parcel", "arrives", "in", "three", "days.", "[kb-1]"])
    assert [one.choices[0].finish_reason for one in found if one.choices][-1] == "stop"
    assert (found[-1].choices, found[-1].usage.total_tokens) == ([], 0)
    assert all(one.usage is None for one in found[:-1])
    without = asked(world, lambda it: chunks_of(it, model=name), key)
    assert [one.choices[0].finish_reason for one in without][-1] == "stop"
    with pytest.raises(openai.NotFoundError):
        asked(world, lambda it: chunks_of(it, model="ada"), key)


class FailingModelConfig(dg.Config):
    """A language model that fails, or hangs, after the stream has begun; named by its dotted path."""

    kind: Literal["failing"] = "failing"
    hangs: bool = False

    def open(self) -> GuardedLanguageModel:
        return GuardedLanguageModel(FailingModel(self.hangs), CallPolicy(tries=1))


class FailingModel(LanguageModel):
    """Answers nothing."""

    is_remote = True
    may_go = threading.Event()

    def __init__(self, hangs: bool) -> None:
        self._hangs = hangs

    @property
    def name(self) -> str:
        return "failing"

    def complete_once(self, request: Request, timeout_seconds: float) -> Answered[str]:
        if self._hangs:
            self.may_go.wait(10)
        raise CallFailed("the model is overloaded", is_temporary=True)

    def check(self) -> Health:
        return Health(True, "")


@pytest.mark.slow
@pytest.mark.parametrize(("hangs", "status"), [(False, "503"), (True, "504")])
def test_an_error_in_the_middle_is_the_last_event(tmp_path: Path, hangs: bool, status: str) -> None:
    port = {"kind": f"{__name__}.FailingModelConfig", "hangs": hangs}
    world = ServiceWorld(tmp_path / "home", {"seconds": 1.5} if hangs else {}, {"language_model": port})
    body = {"model": "failing", "messages": [{"role": "user", "content": "x"}], "stream": True}
    header = world.key("sdk")
    try:
        answer = world.ask("/v1/chat/completions", "POST", json=body, headers=header)
        with pytest.raises(openai.APIError, match=r"within 1\.5 s" if hangs else "overloaded"):
            asked(world, lambda it: chunks_of(it, model="failing"), header["X-API-Key"])
    finally:
        FailingModel.may_go.set()
        FailingModel.may_go = threading.Event()
    events = answer.text.strip().split("\n\n")
    assert (answer.status_code, len(events)) == (200, 2)
    assert answer.headers["content-type"].startswith("text/event-stream")
    said = json.loads(events[1].removeprefix("event: error\ndata: "))["error"]
    assert (said["code"], said["request_id"]) == (status, answer.headers["x-request-id"])
