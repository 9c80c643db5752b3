"""Language models: the port's promises, and the wrapper against a service that fails in every way."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from models.compose.budget import Budget
from resources.calls.failure import CallFailed, CallRefused, InvalidAnswer
from resources.calls.policy import CallPolicy
from resources.conformance import LanguageModelConformance
from resources.conformance.language_model import QUESTION, SCHEMA
from resources.language_model.anthropic import AnthropicModelConfig
from resources.language_model.extractive import ExtractiveModelConfig
from resources.language_model.openai_compatible import OpenAIModelConfig
from resources.language_model.port import Document, GuardedLanguageModel, Request
from tests.servers.model_stub import Fault, ModelStub, model_stub

PRICES: dict[str, Any] = {"input_eur_per_million_tokens": 2.0, "output_eur_per_million_tokens": 10.0}


@pytest.fixture
def stub() -> Iterator[ModelStub]:
    with model_stub() as running:
        yield running


class TestExtractiveModel(LanguageModelConformance):
    config = ExtractiveModelConfig

    @pytest.fixture
    def opened(self) -> Callable[[], GuardedLanguageModel]:
        return ExtractiveModelConfig().open

    def test_it_quotes_the_nearest_sentences_with_their_document(self, model: GuardedLanguageModel) -> None:
        assert "no weights" in model.name
        assert model.complete(QUESTION) == "Lost parcels are refunded within a week. [kb-1]"
        both = Request("Do lost parcels take days?", documents=QUESTION.documents)
        assert model.complete(both).startswith("Parcels take three days. [kb-1] Lost parcels are refunded")
        assert model.complete(Request("Reset passwords?", documents=QUESTION.documents)).endswith("[kb-2]")
        assert model.complete(Request("Zebra?", documents=QUESTION.documents)) == ""
        twice = [*QUESTION.documents, Document("kb-9", QUESTION.documents[0].text)]
        assert model.complete(Request(QUESTION.prompt, documents=twice)) == model.complete(QUESTION)


class Remote(LanguageModelConformance):
    """Tests of models behind a service."""

    def opened_at(self, stub: ModelStub, **policy: Any) -> GuardedLanguageModel:
        raise NotImplementedError

    @pytest.fixture
    def opened(self, stub: ModelStub) -> Callable[[], GuardedLanguageModel]:
        return lambda: self.opened_at(stub)

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=429, headers={"retry-after": "0.01"}),
            Fault(status=500),
            Fault(status=529),
            Fault(body=b"<html>busy</html>"),
            Fault(body=b""),
        ],
        ids=["429", "500", "529", "garbage", "empty"],
    )
    def test_a_temporary_fault_is_tried_again_by_one_layer(self, stub: ModelStub, fault: Fault) -> None:
        stub.faults.extend([fault, fault])
        model = self.opened_at(stub, **PRICES)
        assert model.complete(QUESTION)
        assert len(stub.requests) == 3 == model.usage.calls
        assert model.usage.money_eur == pytest.approx((100 * 2 + 20 * 10) / 1e6)
        stub.faults.extend([fault] * 9)
        with pytest.raises(CallFailed):
            model.complete(Request("again"))
        assert len(stub.requests) == 6

    def test_a_refusal_is_not_tried_again(self, stub: ModelStub) -> None:
        stub.faults.append(Fault(status=401))
        with pytest.raises(CallFailed, match="401"):
            self.opened_at(stub).complete(QUESTION)
        assert len(stub.requests) == 1

    def test_a_slow_stream_ends_at_the_time_limit(self, stub: ModelStub) -> None:
        stub.faults.append(Fault(seconds=5))
        started = time.monotonic()
        model, spending = self.opened_at(stub, timeout_seconds=0.2, tries=1, **PRICES), Budget(money_eur=1).start()
        with pytest.raises(CallFailed, match="no answer"):
            model.complete(QUESTION, spending)
        assert time.monotonic() - started < 3
        # The service may charge for the answer that it went on with: the most that it can cost counts as spent.
        assert spending.money_eur == model.usage.money_eur > 0

    def test_a_service_that_is_not_there(self, stub: ModelStub) -> None:
        gone = ModelStub(url="http://127.0.0.1:9")
        with pytest.raises(CallFailed, match="cannot be reached"):
            self.opened_at(gone, tries=1).complete(QUESTION)

    def test_money_is_refused_before_the_call_and_settled_after_it(self, stub: ModelStub) -> None:
        model = self.opened_at(stub, **PRICES)
        spending = Budget(money_eur=0.006).start()
        model.complete(QUESTION, spending)
        assert spending.money_eur == pytest.approx(0.0004)
        with pytest.raises(CallRefused, match=r"budget of 0\.006 EUR"):
            model.complete(Request("another", max_output_tokens=1_000_000), spending)
        with pytest.raises(CallRefused, match="deadline"):
            model.complete(Request("late"), Budget(latency_ms=0).start())
        assert len(stub.requests) == 1

    def test_an_unknown_price_is_counted_warned_of_once_and_never_zero(
        self, stub: ModelStub, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = self.opened_at(stub)
        with caplog.at_level(logging.WARNING):
            model.complete(Request("one"))
            model.complete(Request("two"))
        assert [record.message for record in caplog.records if "price" in record.message] == [
            "The price of model-1 is unknown: its calls are counted, their cost is not."
        ]
        assert (model.usage.unpriced_calls, model.usage.money_eur) == (2, 0.0)
        with pytest.raises(CallRefused, match="price of model-1 is unknown"):
            model.complete(Request("three"), Budget(money_eur=1).start())

    def test_an_answer_that_does_not_fit_is_repaired_once(self, stub: ModelStub) -> None:
        stub.answers.extend(['{"intent": "party"}', '{"intent": "other"}'])
        model = self.opened_at(stub)
        assert model.complete_json(Request("hello", schema=SCHEMA)) == {"intent": "other"}
        assert "party" in str(stub.requests[1]["messages"])
        stub.answers.extend(['{"intent": 1}', "{}"])
        with pytest.raises(InvalidAnswer, match="'intent' is a required property"):
            model.complete_json(Request("hi", schema=SCHEMA))
        assert len(stub.requests) == 4

    def test_personal_data_stays_here_and_comes_back_in_the_answer(self, stub: ModelStub) -> None:
        model = self.opened_at(stub)
        documents = [Document("d", "Ann is ann@shop.example, card 4111 1111 1111 1111")]
        stub.answers.append("Write to [EMAIL_1].")
        answer = model.complete(Request("I am ann@shop.example", "Never tell +49 30 901820", documents))
        assert answer == "Write to ann@shop.example."
        for secret in ("ann@", "4111", "901820"):
            assert secret not in str(stub.requests)
        self.opened_at(stub, redact=False).complete(Request("I am ann@shop.example"))
        assert "ann@shop.example" in str(stub.requests[-1])

    def test_the_rate_limit_waits_or_refuses_before_the_deadline(self, stub: ModelStub) -> None:
        model = self.opened_at(stub, calls_per_minute=2)
        for number in range(2):
            model.complete(Request(str(number)))
        with pytest.raises(CallFailed, match="2 times a minute"):
            model.complete(Request("third"), Budget(latency_ms=500).start())
        assert len(stub.requests) == 2


@pytest.mark.slow
class TestOpenAIModel(Remote):
    config = OpenAIModelConfig

    def opened_at(self, stub: ModelStub, **policy: Any) -> GuardedLanguageModel:
        calls = CallPolicy(first_pause_seconds=0.001, **policy)
        return OpenAIModelConfig(url=f"{stub.url}/v1", api_key="k", model="model-1", calls=calls).open()


@pytest.mark.slow
class TestAnthropicModel(Remote):
    config = AnthropicModelConfig

    def opened_at(self, stub: ModelStub, **policy: Any) -> GuardedLanguageModel:
        calls = CallPolicy(first_pause_seconds=0.001, **policy)
        return AnthropicModelConfig(url=stub.url, api_key="k", model="model-1", calls=calls).open()
