"""Articles that agents named: what a version learns of them, and what it must reach before it sends drafts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.shares import wilson_interval
from models.support.article_prior import MOST, article_prior, fused_score, known_articles
from models.support.hand_off import CitedPrecision, HandOffConfig, reasons_to_hand_off
from models.support.search_quality import not_measured, search_quality

SENDS = HandOffConfig(sends_drafts=True, min_cited_precision=0.8)
READY: dict[str, Any] = {
    "intent": "refund",
    "in_scope": True,
    "confidence": 0.9,
    "urgency": 0.1,
    "sentiment": 0.0,
    "draft": "It is paid back.",
    "draft_by": "m",
    "draft_problem": "",
    "history": {},
}


def test_a_prior_is_the_share_of_an_intents_tickets_smoothed_towards_none() -> None:
    prior = article_prior(["a", "a", "a", "a", "b"], ["en", "en", "en", "de", "en"], ["x", "x", "y", "z", None])
    assert prior == {"a": {"en": {"x": 0.4, "y": 0.2}, "de": {"z": 0.333333}}}
    assert known_articles(prior, {"a": 0.5, "b": 0.5}, "en") == {"x": 0.2, "y": 0.1}
    assert known_articles(prior, {"b": 1.0}, "fr") == {}


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["en", "de"]), st.sampled_from([None, *"stuvwxyz"]))
    ),
    share=st.floats(0, 1),
)
def test_probabilities_of_known_articles_are_probabilities(rows: list[tuple[str, str, Any]], share: float) -> None:
    prior = article_prior(*zip(*rows, strict=True)) if rows else article_prior([], [], [])
    for language in ("en", "de"):
        found = known_articles(prior, {"a": share, "b": 1 - share}, language)
        assert len(found) <= MOST
        assert sum(found.values()) <= 1
        assert all(0 <= value < 1 for value in found.values())


def test_what_is_known_outweighs_the_search_and_the_search_decides_where_nothing_is() -> None:
    assert fused_score(1, 0.0) > fused_score(2, 0.0) > fused_score(None, 0.0) == 0
    assert fused_score(5, 0.9) > fused_score(1, 0.0)


@given(n=st.integers(1, 500), data=st.data())
def test_the_interval_of_a_share_holds_the_share_and_narrows_with_more_of_the_same(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, n))
    low, high = wilson_interval(count, n)
    assert 0 <= low <= count / n <= high <= 1
    more = wilson_interval(4 * count, 4 * n)
    assert more[1] - more[0] < high - low
    assert wilson_interval(0, 0) == (0, 1)


def test_drafts_are_sent_only_by_a_version_whose_lower_bound_reaches_the_setting() -> None:
    right = CitedPrecision(model="m", drafts=100, right=95, problem="")
    wrong = CitedPrecision(model="m", drafts=100, right=85, problem="")
    few = CitedPrecision(model="m", drafts=5, right=5, problem="")
    assert reasons_to_hand_off(READY, SENDS, right) == []
    for measured, says in (
        (wrong, "0.850 [0.767, 0.907] of 100 drafts cite the article that agents named, and no other; the lower end"),
        (few, "1.000 [0.566, 1.000] of 5 drafts"),
        (CitedPrecision(), "no draft was measured"),
        (CitedPrecision(model="m", problem=""), "unknown of 0 drafts"),
    ):
        (reason,) = reasons_to_hand_off(READY, SENDS, measured)
        assert reason.startswith(f"a person sends drafts of this version: {says}")
    (reason,) = reasons_to_hand_off({**READY, "draft_by": "other"}, SENDS, right)
    assert "was measured with 'm', and 'other' wrote" in reason
    (reason,) = reasons_to_hand_off(READY, HandOffConfig(), right)
    assert "settings.support.steps.hand_off.sends_drafts" in reason


def test_only_drafts_that_would_be_sent_and_cite_the_named_article_alone_are_right() -> None:
    def row(found: str, cited: str, *, handed_off: bool = False) -> dict[str, Any]:
        return {"article_ids": list(found), "draft": cited, "cited": list(cited), "handed_off": handed_off}

    rows = [
        row("ab", "a"),
        row("ab", "ab"),
        row("ba", ""),
        row("bc", "b"),
        row("ab", "a", handed_off=True),
        row("a", "a"),
    ]
    found = search_quality(rows, ["a", "a", "a", "a", "a", None], "m")
    assert (found.tickets, found.first, found.found) == (5, 3, 4)
    assert (found.cited.drafts, found.cited.right) == (3, 1)
    assert found.metrics() == pytest.approx({"article_first": 0.6, "article_found": 0.8, "cited_precision": 1 / 3})
    assert "came first for 0.600 [" in str(found)


def test_without_a_label_that_names_an_article_nothing_is_claimed() -> None:
    found = search_quality([{"article_ids": [], "draft": "", "cited": [], "handed_off": True}], [None], "m")
    assert found == not_measured("no label of these tickets names the article that answered")
    assert found.metrics() == {}
