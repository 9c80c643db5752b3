"""The simulated shop's tickets, labels and articles: true to its laws, known in advance, never trivially guessed."""

import json
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import CONTRACTS
from models.contracts.checking import check_rows
from models.simulation.bayes_optimal_support import best_accuracy, intent_chances, label_chances
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.simulation.support.intents import CHANCE, INTENTS, MISTAKEN, NAMES, UNCLEAR_CHANCE
from models.simulation.support.tickets import Ticket
from models.simulation.support.wordings import LANGUAGES, Draws, wordings
from models.text.articles import newest_articles
from models.text.pii import find_pii
from models.text.ticket_labels import labels_at

pytestmark = pytest.mark.slow

FIRST = date(2025, 1, 1)
DAYS = 160
LAST = FIRST + timedelta(days=DAYS - 1)
DEFECTS = DefectShares(duplicate=0.02, blank_text=0.02)


def a_shop(seed: int = 7, customers: int = 1000) -> Shop:
    return Shop(customers, seed, FIRST, DEFECTS)


@cache
def shop() -> Shop:
    return a_shop()


@cache
def delivered(table: str) -> pa.Table:
    return pa.concat_tables([shop().delivered(table, FIRST + timedelta(days=n)) for n in range(DAYS)])


@cache
def kept(table: str) -> pl.DataFrame:
    return pl.DataFrame(check_rows(CONTRACTS[table], delivered(table)).kept)


@cache
def orders() -> pl.DataFrame:
    return pl.DataFrame(shop().clean_orders(FIRST, LAST))


@cache
def drawn() -> tuple[Ticket, ...]:
    first = FIRST.toordinal()
    return tuple(ticket for day in range(first, first + DAYS) for ticket in shop().support.tickets.opened(day))


@cache
def truth() -> pl.DataFrame:
    return pl.DataFrame(shop().ticket_truth(FIRST, LAST))


@pytest.mark.slow
def test_volume_follows_customers_and_orders_and_all_intents_and_languages_occur() -> None:
    assert 3.5 < len(drawn()) / DAYS < 6.5, "0.4 % of the customers a day"
    assert {ticket.intent for ticket in drawn()} == set(NAMES)
    assert {ticket.language for ticket in drawn()} == set(LANGUAGES)
    assert 25 <= len(NAMES) <= 35
    about_orders = sum(ticket.situation in ("fresh", "waiting", "arrived") for ticket in drawn())
    bought = orders().filter(~pl.col("is_return"))["order_id"].n_unique()
    assert 0.01 < about_orders / bought < 0.04


def test_a_day_alone_is_the_day_after_others_and_another_seed_is_another_desk() -> None:
    day = FIRST + timedelta(days=100)
    for table in ("tickets", "ticket_labels", "articles"):
        alone = a_shop().delivered(table, day)
        assert alone == shop().delivered(table, day)
        assert alone.schema.remove(len(alone.schema) - 1) == CONTRACTS[table].lake_schema()
        assert shop().delivered(table, FIRST - timedelta(days=1)).num_rows == 0
    assert a_shop(8).delivered("tickets", day) != shop().delivered("tickets", day)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["tickets", "ticket_labels", "articles"])
def test_the_contract_finds_exactly_the_known_faults(table: str) -> None:
    checked = check_rows(CONTRACTS[table], delivered(table))
    counts = shop().defect_counts(table, FIRST, LAST)
    if table != "tickets":
        assert (checked.reasons, counts) == ({}, {})
        return
    assert checked.reasons == {
        "ticket_id was delivered before": counts["duplicate"],
        "text is empty": counts["blank_text"],
    }
    assert min(counts.values()) > 5
    assert checked.kept.num_rows == len(drawn())


@pytest.mark.slow
def test_the_original_of_a_row_is_json_with_its_values() -> None:
    for table, column in (("tickets", "text"), ("articles", "body"), ("ticket_labels", "intent")):
        for row in delivered(table).slice(0, 300).to_pylist():
            original = json.loads(row["_original"])
            assert original[column] == row[column]
            assert list(original) == CONTRACTS[table].arrow_schema().names


@pytest.mark.slow
def test_the_best_reachable_accuracy_is_at_most_95_percent_and_is_what_the_likeliest_intent_reaches() -> None:
    chances = intent_chances(drawn())
    best = best_accuracy(chances)
    assert 0.90 < best <= 0.95
    right = np.array([row.argmax() == ticket.main for row, ticket in zip(chances, drawn(), strict=True)])
    assert abs(right.mean() - best) < 3 * np.sqrt(best * (1 - best) / len(right))
    two = np.array([ticket.second_intent >= 0 for ticket in drawn()])
    unclear = np.array([ticket.group >= 0 for ticket in drawn()])
    assert right[~two & ~unclear].all()
    for part in (two, unclear):
        expected = chances[part].max(axis=1)
        assert 0.4 < expected.mean() < 0.9
        assert abs(right[part].mean() - expected.mean()) < 3 * 0.5 / np.sqrt(part.sum())
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert truth()["best_chance"].to_numpy() == pytest.approx(chances.max(axis=1))


@pytest.mark.slow
def test_labels_at_are_as_often_right_as_the_laws_say() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    newest = pl.DataFrame(labels_at(pa.table(kept("ticket_labels")), at)).join(truth(), on="ticket_id")
    agreed = (newest["intent"] == newest["intent_right"]).mean()
    assert 0.965 < float(agreed or 0) < 0.999
    best = best_accuracy(label_chances(drawn()))
    reached = float((newest["intent"] == newest["best_intent"]).mean() or 0)
    assert best < best_accuracy(intent_chances(drawn()))
    assert abs(reached - best) < 3 * np.sqrt(best * (1 - best) / len(newest))
    assert 0.6 < len(newest) / len(drawn()) < 0.85, "not every ticket gets a label"


def test_agents_name_the_live_article_that_answers_most_tickets() -> None:
    known = kept("ticket_labels").join(
        truth().select("ticket_id", "language", "intent"), on="ticket_id", suffix="_true"
    )
    named = known.filter(pl.col("article_id").is_not_null())
    assert 0.45 < named.height / known.height < 0.65, "labels may leave it open"
    articles = shop().support.articles
    right = [
        row["article_id"] in articles.relevant(row["intent_true"], row["language"], row["delivered_on"].toordinal() - 1)
        for row in named.to_dicts()
    ]
    assert 0.88 < np.mean(right) < 0.99
    published = kept("articles").select("article_id", "delivered_on").unique("article_id")
    there = named.join(published, on="article_id", how="left")
    assert (there["delivered_on"] > there["delivered_on_right"]).all(), "it was published before the label"


def test_labels_come_days_later_and_some_are_put_right() -> None:
    said = kept("ticket_labels").join(kept("tickets"), on="ticket_id", how="left")
    waited = (said["labelled_at"] - said["opened_at"]).dt.total_days()
    assert waited.null_count() == 0
    assert waited.min() >= 0
    assert waited.max() >= 9
    again = kept("ticket_labels").group_by("ticket_id").agg(pl.col("intent").n_unique(), pl.len().alias("times"))
    assert Counter(again["times"].to_list()).keys() == {1, 2}
    assert again.filter(pl.col("intent") == 2).height > 0
    assert 0.2 < kept("ticket_labels")["urgent"].null_count() / said.height < 0.4


def test_urgency_is_known_and_depends_on_intent_wording_and_waiting() -> None:
    expected = float(truth()["urgency"].mean() or 0)
    assert abs(float(truth()["urgent"].mean() or 0) - expected) < 0.05
    chance = {ticket.intent: ticket.urgency for ticket in drawn() if not ticket.wording and ticket.days_waited < 7}
    assert chance["fraud_report"] > 0.8 > 0.1 > chance["invoice_request"]
    for intent in ("complaint", "login_problem"):
        calm, strong = ([t.urgency for t in drawn() if t.intent == intent and t.wording == w] for w in (0, 2))
        assert max(calm) < min(strong)


@pytest.mark.slow
def test_tickets_name_their_writers_own_orders_and_real_returns() -> None:
    lines = orders()
    owner = dict(zip(lines["order_id"], lines["customer_id"], strict=True))
    late = kept("tickets").filter(
        pl.col("opened_at") > datetime(2025, 3, 1, tzinfo=UTC), pl.col("order_id").is_not_null()
    )
    assert late.height > 50
    assert all(owner[row["order_id"]] == row["customer_id"] for row in late.to_dicts())
    by_id = {ticket.ticket_id: ticket for ticket in drawn()}
    sent_back = late.filter(pl.col("ticket_id").map_elements(lambda id: by_id[id].situation == "returned", pl.Boolean))
    assert sent_back.height > 10
    assert all(f"C{order}" in owner for order in sent_back["order_id"])
    assert kept("tickets")["customer_id"].null_count() > 20, "guests"
    known = set(pl.DataFrame(shop().customers(LAST))["customer_id"])
    assert set(kept("tickets")["customer_id"].drop_nulls()) <= known


def test_texts_hold_personal_data_slips_and_both_intents() -> None:
    texts = kept("tickets")["text"].to_list()
    kinds = Counter(finding.kind for text in texts for finding in find_pii(text, "GB"))
    assert {"EMAIL", "PHONE", "CARD"} <= kinds.keys()
    assert len(set(texts)) > 0.98 * len(texts)
    assert not any(re.search(r"[\[\]{}|]", text) for text in texts), "every choice is made, every slot filled"
    assert 0.05 < float(truth()["second_intent"].is_not_null().mean() or 0) < 0.2
    shown = Counter(word for text in texts for word in re.findall(r"[^\W\d_]{4,}", text.lower()))
    assert sum(count == 1 for count in shown.values()) > 0.15 * len(shown), "words that occur once: slips"


def test_new_wordings_come_into_use_as_time_goes_by() -> None:
    for language in LANGUAGES:
        known = wordings(language)
        for name in NAMES:
            early = {known.line(f"={name}", Draws(key), 0).split()[0] for key in range(50)}
            late = {known.line(f"={name}", Draws(key), 400).split()[0] for key in range(50)}
            assert len(known.sections[f"={name}"]) >= 4
            assert late - early or len(late) >= len(early)
        assert {f"?{group}" for group in ("waiting", "goods", "vague")} <= known.sections.keys()


def test_every_language_can_say_everything() -> None:
    for language in LANGUAGES[1:]:
        assert wordings(language).sections.keys() == wordings("en").sections.keys()


def test_the_article_that_answers_a_ticket_is_live_that_night_in_its_language_or_in_english() -> None:
    versions = kept("articles")
    for day in (FIRST, FIRST + timedelta(days=97), LAST):
        known = versions.filter(pl.col("delivered_on") <= day).to_arrow().cast(CONTRACTS["articles"].lake_schema())
        live = newest_articles(known)
        language = dict(zip(live["article_id"].to_pylist(), live["language"].to_pylist(), strict=True))
        for intent in INTENTS:
            for spoken in LANGUAGES:
                found = shop().support.articles.relevant(intent.name, spoken, day.toordinal())
                assert len(found) == (intent.name not in ("oos", "praise"))
                assert all(language[id] in (spoken, "en") for id in found)
    assert shop().support.articles.relevant(
        "warranty_repair", "fr", FIRST.toordinal()
    ) == shop().support.articles.relevant("warranty_repair", "en", FIRST.toordinal())


def test_articles_are_edited_replaced_and_nearly_repeated() -> None:
    rows = kept("articles")
    times = Counter(rows["article_id"].to_list())
    assert max(times.values()) >= 3
    retired = rows.filter(pl.col("is_retired"))
    assert 0 < retired.height < 60
    assert all(f"{id}-2" in times or f"{id.rsplit('-')[0]}-3" in times for id in retired["article_id"])
    edited = rows.filter(pl.col("article_id") == times.most_common(1)[0][0])["body"]
    assert edited.n_unique() > 1
    assert rows.filter(pl.col("title").str.contains("business customers")).height > 5
    assert len(rows.filter(pl.col("delivered_on") == FIRST)) > 80


def test_chances_are_chances() -> None:
    np.testing.assert_allclose(CHANCE.sum(axis=1), 1)
    np.testing.assert_allclose(MISTAKEN.sum(axis=1), 1)
    assert (np.diag(MISTAKEN) == 0).all()
    assert (UNCLEAR_CHANCE.sum(axis=0) < 0.5).all()


FLAG = st.sampled_from([None, True, False])
LABELS = st.lists(
    st.fixed_dictionaries(
        {
            "ticket_id": st.sampled_from(["t1", "t2"]),
            "intent": st.sampled_from(["a", "b", "c"]),
            "urgent": FLAG,
            "handed_off": FLAG,
            "article_id": st.sampled_from([None, "a1", "a2"]),
            "labelled_at": st.integers(1, 9).map(lambda n: datetime(2026, 1, n, tzinfo=UTC)),
        }
    ),
    max_size=12,
    unique_by=lambda row: (row["ticket_id"], row["labelled_at"]),
)


@settings(max_examples=20, deadline=None)
@given(rows=LABELS, day=st.integers(1, 9))
def test_the_newest_label_counts_and_keeps_what_it_leaves_open(rows: list[dict[str, Any]], day: int) -> None:
    moment = datetime(2026, 1, day, tzinfo=UTC)
    expected: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda one: one["labelled_at"]):
        if row["labelled_at"] < moment:
            before = expected.get(row["ticket_id"], {})
            expected[row["ticket_id"]] = {n: before.get(n) if value is None else value for n, value in row.items()}
    schema = pa.schema([f for f in CONTRACTS["ticket_labels"].lake_schema() if f.name != "delivered_on"])
    found = labels_at(pa.Table.from_pylist(rows, schema), moment).to_pylist()
    assert found == [expected[id] for id in sorted(expected)]
