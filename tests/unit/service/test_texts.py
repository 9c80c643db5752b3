"""The OpenAI SDK, unchanged, asks the profile's embedder and language model."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from service_world import ServiceWorld

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
