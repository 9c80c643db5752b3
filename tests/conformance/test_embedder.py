"""Embedders: the port's promises, and what goes over the wire to a service."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resources.calls.policy import CallPolicy
from resources.conformance import EmbedderConformance
from resources.embedder.hashed import HashedEmbedderConfig
from resources.embedder.minilm import MiniLMEmbedderConfig
from resources.embedder.openai_compatible import OpenAIEmbedderConfig
from resources.embedder.port import GuardedEmbedder
from tests.servers.model_stub import DIMENSION, Fault, ModelStub, model_stub


class TestHashedEmbedder(EmbedderConformance):
    config = HashedEmbedderConfig

    @pytest.fixture
    def opened(self) -> Callable[[], GuardedEmbedder]:
        return HashedEmbedderConfig().open


@pytest.mark.slow
class TestMiniLMEmbedder(EmbedderConformance):
    config = MiniLMEmbedderConfig

    @pytest.fixture
    def opened(self) -> Callable[[], GuardedEmbedder]:
        return MiniLMEmbedderConfig().open


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    with model_stub() as running:
        yield running


def opened_at(stub: ModelStub, **policy: Any) -> GuardedEmbedder:
    calls = CallPolicy(first_pause_seconds=0.001, **policy)
    url = f"{stub.url}/v1"
    return OpenAIEmbedderConfig(url=url, api_key="k", model="small", dimension=DIMENSION, calls=calls).open()


@pytest.mark.slow
class TestOpenAIEmbedder(EmbedderConformance):
    config = OpenAIEmbedderConfig

    @pytest.fixture
    def opened(self, stub: ModelStub) -> Callable[[], GuardedEmbedder]:
        return lambda: opened_at(stub)

    def test_batches_cost_and_key(self, stub: ModelStub) -> None:
        embedder = opened_at(stub, batch_size=2, input_eur_per_million_tokens=1000.0)
        embedder.embed(["a b", "c d", "e f", "a b"])
        assert [one["input"] for one in stub.requests] == [["a b", "c d"], ["e f"]]
        assert stub.headers[0]["authorization"] == "Bearer k"
        assert (embedder.usage.calls, embedder.usage.input_tokens) == (2, 21)
        assert embedder.usage.money_eur == pytest.approx(0.021)

    def test_vectors_of_another_dimension_are_refused(self, stub: ModelStub) -> None:
        other = OpenAIEmbedderConfig(url=f"{stub.url}/v1", model="small", dimension=DIMENSION + 1).open()
        with pytest.raises(Exception, match=rf"\(1, {DIMENSION}\), not of {DIMENSION + 1}"):
            other.embed(["a"])

    def test_personal_data_stays_here(self, stub: ModelStub) -> None:
        stub.faults.append(Fault(status=429, headers={"retry-after": "0.01"}))
        embedder = opened_at(stub)
        embedder.embed(["mail ann@shop.example from 10.0.0.1"])
        assert {text for one in stub.requests for text in one["input"]} == {"mail [EMAIL_1] from [IP_2]"}
        assert len(stub.requests) == 2
        opened_at(stub, redact=False).embed(["mail ann@shop.example"])
        assert stub.requests[-1]["input"] == ["mail ann@shop.example"]
