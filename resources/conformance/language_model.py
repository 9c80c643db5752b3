"""The tests of the language model port."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from models.compose.budget import Budget
from resources.calls.failure import CallRefused
from resources.conformance.suite import Conformance, needs
from resources.language_model.port import Document, GuardedLanguageModel, Request

DOCUMENTS = (
    Document("kb-1", "Parcels take three days. Lost parcels are refunded within a week."),
    Document("kb-2", "Passwords are reset by mail."),
)
QUESTION = Request("Are lost parcels refunded?", "Answer from the documents.", DOCUMENTS)
SCHEMA = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": ["refund", "other"]}},
    "required": ["intent"],
    "additionalProperties": False,
}


class LanguageModelConformance(Conformance):
    """The tests that every language model must pass. A harness overrides the fixture `opened`."""

    port: ClassVar = "language_model"

    @pytest.fixture
    def opened(self) -> Callable[[], GuardedLanguageModel]:
        """A function that opens the model under test, as another process would."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def model(self, opened: Callable[[], GuardedLanguageModel]) -> GuardedLanguageModel:
        """The model under test."""
        return opened()

    def test_a_question_about_documents_is_answered(self, model: GuardedLanguageModel) -> None:
        assert model.complete(QUESTION).strip()

    @needs("free_text")
    def test_a_question_without_documents_is_answered(self, model: GuardedLanguageModel) -> None:
        assert model.complete(Request("Say hello, 你好 🙂")).strip()

    @needs("structured")
    def test_an_answer_by_schema_is_json_that_fits_it(self, model: GuardedLanguageModel) -> None:
        answer = model.complete_json(Request("I want my money back.", schema=SCHEMA))
        assert answer["intent"] in ("refund", "other")

    def test_an_equal_request_is_answered_from_the_cache(self, model: GuardedLanguageModel) -> None:
        first, calls = model.complete(QUESTION), model.usage.calls
        assert model.complete(QUESTION, Budget(calls=0).start()) == first
        assert (model.usage.calls, model.usage.cached) == (calls, 1)

    def test_no_budget_is_gone_over(self, model: GuardedLanguageModel) -> None:
        with pytest.raises(CallRefused, match="0 calls"):
            model.complete(QUESTION, Budget(calls=0).start())
        assert model.usage.calls == 0

    def test_it_has_a_name_and_is_ready(
        self, model: GuardedLanguageModel, opened: Callable[[], GuardedLanguageModel]
    ) -> None:
        assert model.name == opened().name
        assert model.check().ok
