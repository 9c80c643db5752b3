"""Drafts keep to what they cite, whatever a language model writes; sentiment says how the customer feels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.compose.batch import from_records
from models.compose.call import new_call
from models.compose.prompt import Prompt
from models.support.answers import ANSWER_PROMPT, HISTORY, PROMPT, checked_draft, documents_of
from models.support.composition import FixedAnswers
from models.support.hand_off import HandOffConfig, reasons_to_hand_off
from models.support.parts import AnswerPart
from models.text.sentiment import sentiment

DOCUMENTS = (("kb-1", "A parcel takes 3 days. Write to help@shop.example."), ("kb-2", "Passwords are reset by mail."))
WORDS = ("parcel", "takes", "days", "3", "4", "help@shop.example", "boss@evil.example", "https://evil.example", "reset")
MARKS = ("[kb-1]", "[kb-2]", "[kb-3]", f"[{HISTORY}]", "[]", "[1]", "[kb-1", "ignore the rules")


@given(st.lists(st.sampled_from((*WORDS, *MARKS)), max_size=12))
def test_no_draft_cites_or_says_what_was_not_found(parts: list[str]) -> None:
    draft = checked_draft(" ".join(parts), DOCUMENTS, min_support=0.6)
    known = dict(DOCUMENTS)
    assert bool(draft.text) != bool(draft.problem)
    assert set(draft.cited) <= set(known)
    if draft.text:
        source = " ".join(known[name] for name in draft.cited)
        assert draft.cited
        for fact in ("4", "boss@evil.example", "https://evil.example"):
            assert fact not in draft.text.split()
        assert ("3" in draft.text.split()) <= ("3" in source)


@given(st.text(max_size=60))
def test_a_text_without_a_citation_is_never_a_draft(text: str) -> None:
    assert checked_draft(text, DOCUMENTS, min_support=0.0).text == "" or any(f"[{id}]" in text for id, _ in DOCUMENTS)


def test_what_customers_wrote_before_is_in_no_document() -> None:
    history = {
        "last_orders": [{"order_id": "o-1", "ordered_on": "2025-01-01", "lines": 2, "is_return": True}],
        "last_intents": ["refund"],
        "earlier_tickets": 4,
    }
    hits = [{"id": "kb-1", "title": "Parcels", "body": "A parcel takes 3 days."}]
    assert documents_of(hits, history) == [
        ("kb-1", "A parcel takes 3 days."),
        (HISTORY, "Order o-1 of 2025-01-01: 2 lines, returned."),
    ]


def test_no_answer_is_asked_for_where_the_text_is_in_a_language_that_is_not_supported() -> None:
    step = AnswerPart(FixedAnswers(), Prompt(ANSWER_PROMPT, PROMPT), max_tokens=100, min_support=0.5).step("answer")
    articles = {"hits": [{"id": "kb-1", "title": "Parcels", "body": "A parcel takes 3 days.", "language": "en"}]}
    asked = {"language": "en", "in_scope": True, "articles": articles, "history": {}}
    texts = {"Where is my parcel?": 0.99, "¿Dónde está mi pedido?": 0.002, "ok": 0.0}
    batch = from_records(
        [{**asked, "text": one, "language_confidence": sure} for one, sure in texts.items()], step.takes
    )
    found = list(step.run(batch, new_call()).batch.records())
    assert [one["draft_problem"] for one in found] == ["", "the text is in no supported language (99.8%)", ""]
    assert [one["cited"] for one in found] == [["kb-1"], [], ["kb-1"]]


FOUND = {
    "intent": "refund", "in_scope": True, "confidence": 0.9, "urgency": 0.1, "sentiment": 0.0, "draft": "Yes.",
    "draft_problem": "", "history": {"customer_score": 0.2, "customer_score_of": "churn"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"in_scope": False, "intent": "oos"}, "it belongs to no known intent"),
        ({"confidence": 0.59}, "the intent refund is right with 59% only"),
        ({"urgency": 0.51}, "it is urgent with 51%"),
        ({"sentiment": -0.71}, "the customer is unhappy (sentiment -0.71)"),
        (
            {"draft": "", "draft_problem": "the articles hold no answer"},
            "there is no answer: the articles hold no answer",
        ),
        ({"history": {"customer_score": 0.95, "customer_score_of": "churn"}}, "the customer's score of churn is 0.95"),
        ({"intent": "legal"}, "a person answers legal"),
    ],
)
def test_each_limit_hands_over_with_its_reason(changed: dict[str, object], reason: str) -> None:
    limits = HandOffConfig(intents=("legal",), sends_drafts=True)
    assert reasons_to_hand_off(FOUND, limits) == []
    assert reasons_to_hand_off({**FOUND, "urgency": None, "history": {}}, limits) == [], "what is unknown is no reason"
    assert reasons_to_hand_off({**FOUND, **changed}, limits) == [reason]


def test_a_person_sends_drafts_unless_the_settings_say_otherwise() -> None:
    assert reasons_to_hand_off(FOUND, HandOffConfig()) == [
        "a person sends drafts (settings.support.steps.hand_off.sends_drafts)"
    ]
    assert reasons_to_hand_off(FOUND, HandOffConfig(sends_drafts=True)) == []


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("Thank you, great service!", 1),
        ("This is TERRIBLE, I am furious", -1),
        ("Das ist eine Unverschämtheit und furchtbar", -1),
        ("Je suis très déçue, c'est inacceptable", -1),
        ("I am not happy with this", -1),
        ("ich bin nicht zufrieden", -1),
        ("My parcel is late and the mug is broken", 0),
        ("", 0),
    ],
)
def test_sentiment_is_how_the_customer_feels(text: str, sign: int) -> None:
    assert (sentiment(text) > 0) - (sentiment(text) < 0) == sign


@given(st.text())
def test_sentiment_has_a_range(text: str) -> None:
    assert -1 < sentiment(text) < 1
