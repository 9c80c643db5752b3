"""Articles of the knowledge base: found in the ticket's language, and as they were edited or retired the day before."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.support.knowledge_base import index_articles, open_knowledge_base, search_articles
from models.contracts import ARTICLES
from models.errors import TesseraError
from models.text.articles import newest_articles, passage_rows
from models.text.hashed import HashedEmbedder
from resources.lake.delta import DeltaLake
from resources.lake.port import Lake
from resources.vectors.port import Vectors
from resources.vectors.qdrant_edge import QdrantEdgeConfig

FIRST = date(2026, 3, 1)
TRACK = "Open the page My orders and choose the parcel: the carrier shows where it is and when it arrives."
RETURN = "Send goods back within thirty days: print the label, put it on the box and leave it at any post office."


def version(
    name: str, title: str, body: str, *, day: int = 0, language: str = "en", retired: bool = False
) -> dict[str, Any]:
    delivered = FIRST + timedelta(days=day)
    at = datetime(delivered.year, delivered.month, delivered.day, 9, tzinfo=UTC)
    values = {"article_id": name, "title": title, "body": body, "language": language}
    return {**values, "updated_at": at, "is_retired": retired, "delivered_on": delivered}


def stored(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([*rows], schema=ARTICLES.lake_schema())


BASE = [
    version("track", "Where is my parcel?", TRACK),
    version("return", "Return an article", RETURN),
    version(
        "return-de",
        "Artikel zurücksenden",
        "Rücksendung in dreißig Tagen: das Etikett drucken und aufkleben.",
        language="DE",
    ),
]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return DeltaLake(str(tmp_path / "lake"))


@pytest.fixture
def store(tmp_path: Path) -> Vectors:
    return QdrantEdgeConfig(path=str(tmp_path / "vectors")).open()


def deliver(lake: Lake, rows: Sequence[dict[str, Any]]) -> None:
    day = rows[0]["delivered_on"]
    lake.replace("articles", stored(rows), by="delivered_on", first=day, last=day)


def found(store: Vectors, text: str, language: str | None = "en", k: int = 3) -> list[str]:
    (search,) = search_articles(store, HashedEmbedder(), [text], [language], k=k)
    return [article.article_id for article in search.articles]


def test_an_edit_and_a_retirement_show_the_next_night_and_nothing_else_is_embedded(lake: Lake, store: Vectors) -> None:
    deliver(lake, BASE)
    first = index_articles(store, lake, HashedEmbedder())
    assert (first.rows, first.embedded, first.recall) == (3, 3, 1)
    assert found(store, "where's my parcel???") == ["track", "return"]
    again = index_articles(store, lake, HashedEmbedder())
    assert (again.is_new, again.embedded, again.number) == (False, 0, first.number)
    deliver(lake, [version("return", "Return an article", "Returns are free: hand the box to the courier.", day=1)])
    edited = index_articles(store, lake, HashedEmbedder())
    assert (edited.embedded, edited.copied) == (1, 2)
    (search,) = search_articles(store, HashedEmbedder(), ["courier for my return"], ["en"])
    assert search.articles[0].passage == "Returns are free: hand the box to the courier."
    assert search.articles[0].updated_at == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert (search.index_version, search.note) == (edited.number, "")
    deliver(lake, [version("track", "Where is my parcel?", TRACK, day=2, retired=True)])
    index_articles(store, lake, HashedEmbedder())
    assert found(store, "where is my parcel") == ["return"]
    deliver(lake, [version("track", "Where is my parcel?", TRACK, day=3)])
    index_articles(store, lake, HashedEmbedder())
    assert found(store, "where is my parcel")[0] == "track", "a retired article may come back"


def test_articles_of_the_tickets_language_come_first_and_others_with_a_note(lake: Lake, store: Vectors) -> None:
    deliver(lake, BASE)
    index_articles(store, lake, HashedEmbedder())
    base = open_knowledge_base(store, HashedEmbedder())
    german, french, unknown, nothing = base.search(
        ["Etikett drucken", "label for a parcel return", "print the label, Etikett drucken", ""],
        ["de", "fr", None, "EN"],
    )
    assert [a.article_id for a in german.articles] == ["return-de"]
    assert (german.articles[0].language, german.note) == ("de", "")
    assert french.note == "No article is in 'fr': articles in all languages were searched."
    assert {a.article_id for a in french.articles} == {"track", "return", "return-de"}
    assert {a.language for a in unknown.articles} == {"en", "de"}
    assert unknown.note == ""
    assert [a.rank for a in unknown.articles] == [1, 2, 3]
    assert {a.language for a in nothing.articles} == {"en"}
    assert base.search([], []) == []


def test_a_long_article_is_found_once_by_its_best_passage(lake: Lake, store: Vectors) -> None:
    sentences = [
        f"Step {n} explains the setting number {n} of the router in so many words that it is long." for n in range(40)
    ]
    deliver(
        lake,
        [*BASE, version("router", "Set up a router", "\n".join([*sentences, "Hold the reset pin for ten seconds."]))],
    )
    built = index_articles(store, lake, HashedEmbedder())
    assert built.rows > 10
    (search,) = search_articles(store, HashedEmbedder(), ["hold the reset pin"], ["en"], k=2)
    assert search.articles[0].article_id == "router"
    assert len({a.article_id for a in search.articles}) == len(search.articles)
    assert "reset pin" in search.articles[0].passage
    assert len(search.articles[0].passage.split()) < 100


def test_a_source_without_articles_has_an_empty_knowledge_base(lake: Lake, store: Vectors) -> None:
    assert index_articles(store, lake, HashedEmbedder()).rows == 0
    (search,) = search_articles(store, HashedEmbedder(), ["anything"], ["en"])
    assert (search.articles, search.note) == ((), "No article is in 'en': articles in all languages were searched.")


def test_another_embedder_is_refused_by_name_until_the_next_night(lake: Lake, store: Vectors) -> None:
    deliver(lake, BASE)
    index_articles(store, lake, HashedEmbedder())
    other = open_knowledge_base(store, HashedEmbedder(64))
    with pytest.raises(TesseraError, match="cannot be compared"):
        other.search(["parcel"], ["en"])
    assert index_articles(store, lake, HashedEmbedder(64)).embedded == 3
    assert (
        open_knowledge_base(store, HashedEmbedder(64)).search(["my parcel"], ["en"])[0].articles[0].article_id
        == "track"
    )


def test_texts_of_any_characters_are_indexed(lake: Lake, store: Vectors) -> None:
    deliver(
        lake, [version("odd#1", "Zero\0 title", "A body with \0 inside.\n\n日本語の本文。"), version("odd", "…", "?")]
    )
    assert index_articles(store, lake, HashedEmbedder()).rows == 2
    assert set(found(store, "body", "en")) == {"odd#1", "odd"}


VERSIONS = st.lists(
    st.builds(
        version,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["t1", "t2"]),
        st.sampled_from(["one", "two. " * 80]),
        day=st.integers(0, 9),
        retired=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda row: (row["article_id"], row["updated_at"]),
)


@settings(max_examples=25, deadline=None)
@given(rows=VERSIONS, random=st.randoms())
def test_the_newest_version_counts_in_whatever_order_versions_are_delivered(
    rows: list[dict[str, Any]], random: Any
) -> None:
    expected = {}
    for row in sorted(rows, key=lambda one: one["updated_at"]):
        expected[row["article_id"]] = row
    kept = {name: row for name, row in expected.items() if not row["is_retired"]}
    random.shuffle(rows)
    newest = newest_articles(stored(rows))
    assert newest.to_pylist() == [kept[name] for name in sorted(kept)]
    made = passage_rows(newest).to_pylist()
    assert {row["article_id"] for row in made} == set(kept)
    assert len({row["id"] for row in made}) == len(made)


def test_articles_that_answered_before_are_found_whatever_their_words_and_language_while_they_are_live(
    store: Vectors, lake: Lake
) -> None:
    deliver(lake, [*BASE, version("gone", "Parcels", TRACK)])
    deliver(lake, [version("gone", "Parcels", TRACK, day=1, retired=True)])
    index_articles(store, lake, HashedEmbedder(64))
    base = open_knowledge_base(store, HashedEmbedder(64))
    known = [{}, {"return": 0.9}, {"return-de": 0.5, "gone": 0.5}]
    plain, answered, other = base.search(["where is my parcel"] * 3, ["en"] * 3, k=2, known=known)
    assert plain.articles[0].article_id == "track"
    assert [one.article_id for one in answered.articles] == ["return", "track"]
    assert [one.article_id for one in other.articles] == ["return-de", "track"], "a retired one is not brought back"
    assert [one.rank for one in other.articles] == [1, 2]
    assert answered.articles[0].passage == plain.articles[1].passage
