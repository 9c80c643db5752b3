"""The tests of the vectors port, on rows made from a seed: each search is compared with numpy or plain Python."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import RefusedValue, TesseraError
from models.timestamps import to_epoch_micros
from models.vectors import filters
from models.vectors.bm25 import Bm25, fitted
from models.vectors.bm25_index import Bm25Index
from models.vectors.exact import nearest, recall
from models.vectors.filters import Between, Equal, Every, Filter, Missing, Not, OneOf, Some
from models.vectors.fusion import Hit, reciprocal_ranks
from models.vectors.rows import vectors_of
from models.vectors.spec import IndexSpec, Metric, VectorSpace
from resources.conformance.suite import Conformance, needs
from resources.vectors.port import VectorIndex, Vectors

Open = Callable[[], Vectors]

# pyright: basic

DAY = date(2026, 1, 1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAYLOAD: Mapping[str, Any] = {
    "lang": "text",
    "stock": "integer",
    "price": "float",
    "on_sale": "boolean",
    "listed_at": "timestamp",
    "tags": "texts",
    "body": "document",
}
WORDS = ["fox", "foxes", "dog", "lazy", "river", "Straße", "naïve", "café", "東京", "شمس", "नदी", "ไทย"]


def space(metric: Metric = "cosine", dimension: int = 8, **changes: Any) -> VectorSpace:
    """Return a space of toy vectors."""
    given: dict[str, Any] = {"embedder": "toy", "digest": "d1", "dimension": dimension, "metric": metric}
    return VectorSpace(**(given | changes))


def spec_of(metric: Metric = "cosine", **changes: Any) -> IndexSpec:
    """Return the description of an index with a field of each type, whose rows belong to customers."""
    given: dict[str, Any] = {"space": space(metric), "payload": PAYLOAD, "subject": "customer"}
    return IndexSpec(**(given | changes))


def made(count: int, *, seed: int = 1, dimension: int = 8) -> pa.Table:
    """Return rows with vectors, texts, subjects and a payload of which each third value is missing."""
    draw = np.random.default_rng(seed)

    def some(values: Sequence[Any]) -> list[Any]:
        return [None if at % 3 == len(values) % 3 else value for at, value in enumerate(values)]

    texts = [" ".join(draw.choice(WORDS, draw.integers(0, 7))) for _ in range(count)]
    listed = pa.array(some([NOON + timedelta(hours=at) for at in range(count)]), pa.timestamp("us", "UTC"))
    vectors = draw.normal(size=(count, dimension)).astype(np.float32)
    return pa.table(
        {
            "id": [f"r{at:04d}" for at in range(count)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension),
            "text": texts,
            "subject": [None if at % 5 == 4 else f"c{at % 5}" for at in range(count)],
            "digest": [f"d{at}" for at in range(count)],
            "lang": some([["en", "de", "日本"][at % 3] for at in draw.integers(0, 3, count)]),
            "stock": pa.array(some([int(at) for at in draw.integers(-3, 4, count)]), pa.int64()),
            "price": some([float(at) / 4 for at in draw.integers(-4, 5, count)]),
            "on_sale": some([bool(at) for at in draw.integers(0, 2, count)]),
            "listed_at": listed,
            "tags": pa.array(
                some([[*draw.choice(["new", "hot", "été"], at, False)] for at in draw.integers(0, 4, count)]),
                pa.list_(pa.string()),
            ),
            "body": texts,
        }
    )


def begun(store: Vectors, rows: pa.Table, spec: IndexSpec | None = None, collection: str = "articles") -> int:
    """Return the number of a version that holds the rows and is not sealed."""
    spec = spec or spec_of()
    number = store.begin(collection, spec, statistics(rows, spec))
    store.upsert(collection, number, rows if spec.tokenizer else rows.drop_columns(["text"]))
    return number


def built(store: Vectors, rows: pa.Table, spec: IndexSpec | None = None, collection: str = "articles") -> VectorIndex:
    """Return a sealed and published version that holds the rows."""
    number = begun(store, rows, spec, collection)
    store.seal(collection, number)
    store.publish(collection, number)
    return store.open(collection)


def statistics(rows: pa.Table, spec: IndexSpec) -> Bm25 | None:
    """Return BM25's statistics of the rows' texts, if the index is searched by words."""
    return fitted(rows["text"].to_pylist(), spec.tokenizer) if spec.tokenizer else None


def ids(found: Sequence[Sequence[Hit]]) -> list[list[str]]:
    """Return the ids of hits."""
    return [[hit.id for hit in hits] for hits in found]


def payload_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a row has."""
    return {name: row[name] for name in PAYLOAD if row[name] is not None}


def stored(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row's payload as filters see it."""
    found = payload_of(row)
    at = found.get("listed_at")
    return found if at is None else found | {"listed_at": to_epoch_micros(at)}


def lexical_scores(rows: pa.Table, query: str, bm25: Bm25) -> dict[str, float]:
    """Return the BM25 score of each row that has a word of the query."""
    asked = dict(zip(*(part.tolist() for part in vars(bm25.query(query)).values()), strict=True))
    found: dict[str, float] = {}
    for id, text in zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True):
        weights = dict(zip(*(part.tolist() for part in vars(bm25.document(text)).values()), strict=True))
        if common := asked.keys() & weights.keys():
            found[id] = sum(asked[term] * weights[term] for term in common)
    return found


def conditions() -> st.SearchStrategy[Filter]:
    """Return a strategy for filters on the payload."""
    numbers = st.integers(-4, 5)
    prices = st.integers(-4, 5).map(lambda quarter: quarter / 4)
    times = st.integers(-2, 45).map(lambda hours: NOON + timedelta(hours=hours))
    by_field = {"lang": st.sampled_from(["en", "de", "日本", "fr", ""]), "stock": numbers, "price": prices}
    by_field |= {"on_sale": st.booleans(), "listed_at": times, "tags": st.sampled_from(["new", "hot", "été", "x"])}
    bounded = st.sets(st.sampled_from(["at_least", "below", "at_most", "above"]), max_size=2)
    leaves: list[st.SearchStrategy[Filter]] = [st.sampled_from(sorted(by_field)).map(Missing)]
    for field, values in by_field.items():
        leaves.append(values.map(lambda value, field=field: Equal(field, value)))
        leaves.append(st.lists(values, max_size=3).map(lambda some, field=field: OneOf(field, tuple(some))))
        if field in ("stock", "price", "listed_at"):
            limits = bounded.flatmap(lambda names, values=values: _mapped(names, values))
            leaves.append(limits.map(lambda some, field=field: Between(field, **some)))
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, max_size=3).map(lambda some: Every(tuple(some))),
            st.lists(inner, max_size=3).map(lambda some: Some(tuple(some))),
        ),
        max_leaves=5,
    )


def _mapped(names: set[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    every: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(names, values)
    return st.fixed_dictionaries(every)


class VectorsConformance(Conformance):
    """The tests that every store of vectors must pass. A harness overrides the fixture `opened`.

    The harness's adapter builds an approximate index for 200 rows, so that these tests reach it.
    """

    port: ClassVar = "vectors"

    @pytest.fixture
    def opened(self) -> Open:
        """A function that opens the store under test, the same one each time, as another process would."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def store(self, opened: Open) -> Vectors:
        """The store under test, empty at first."""
        return opened()

    def test_nothing_is_there_at_first(self, store: Vectors) -> None:
        assert store.check().ok
        assert store.check().says
        assert [*store.collections()] == [*store.versions("articles")] == []
        assert store.current("articles") is None
        for asked in (store.open, store.rollback, store.version, store.rows):
            with pytest.raises(TesseraError, match="'articles' serves nothing: it has no version"):
                asked("articles")
        with pytest.raises(TesseraError, match="has no version 7"):
            store.open("articles", 7)

    def test_an_index_without_rows_answers_with_nothing(self, store: Vectors) -> None:
        index = built(store, made(0))
        assert index.version.rows == 0
        assert index.search(np.ones((2, 8)), space()) == [[], []]
        assert index.search(np.ones((1, 8)), space(), where=Equal("lang", "en"), exact=True) == [[]]
        assert index.match(["fox", ""]) == [[], []]
        assert index.hybrid(np.ones((1, 8)), ["fox"], space()) == [[]]
        assert len(store.rows("articles")) == 0

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclid"])
    def test_exact_search_is_that_of_numpy(self, store: Vectors, metric: Metric) -> None:
        rows, queries = made(40), vectors_of(made(6, seed=2))
        index = built(store, rows, spec_of(metric))
        places, scores = nearest(queries, vectors_of(rows), metric, 5)
        found = index.search(queries, space(metric), k=5, exact=True)
        assert ids(found) == [[f"r{at:04d}" for at in line] for line in places]
        assert np.allclose([[hit.score for hit in hits] for hits in found], scores, atol=1e-5)
        assert ids(index.search(queries, space(metric), k=5)) == ids(found), "so few rows are all compared"
        assert len(index.search(queries, space(metric), k=99, exact=True)[0]) == 40

    @pytest.mark.parametrize("metric", ["cosine", "dot", "euclid"])
    def test_approximate_search_finds_nearly_all(self, store: Vectors, metric: Metric) -> None:
        rows, queries = made(300), vectors_of(made(20, seed=2))
        index = self._plain(store, rows, metric)
        exact = index.search(queries, space(metric), exact=True)
        assert np.mean(recall(ids(index.search(queries, space(metric))), ids(exact))) >= 0.95
        only = Equal("lang", "en")
        exact = index.search(queries, space(metric), exact=True, where=only)
        assert np.mean(recall(ids(index.search(queries, space(metric), where=only)), ids(exact))) >= 0.95

    @staticmethod
    def _plain(store: Vectors, rows: pa.Table, metric: Metric) -> VectorIndex:
        spec = spec_of(metric, payload={"lang": "text"}, tokenizer="")
        return built(store, rows.select(["id", "vector", "subject", "lang", "text"]), spec)

    def test_several_queries_are_answered_as_each_alone(self, store: Vectors) -> None:
        index, queries, texts = built(store, made(40)), vectors_of(made(4, seed=2)), ["fox", "lazy dog", "", "東京 नदी"]
        for together, alone in (
            (
                index.search(queries, space(), exact=True),
                [index.search([one], space(), exact=True)[0] for one in queries],
            ),
            (index.match(texts), [index.match([text])[0] for text in texts]),
        ):
            assert ids(together) == ids(alone)
        assert index.search(queries[:0], space()) == index.match([]) == []

    def test_words_are_found_with_the_scores_of_bm25(self, store: Vectors) -> None:
        rows = made(60)
        index, bm25 = built(store, rows), statistics(rows, spec_of())
        assert bm25 is not None
        for query in ("fox", "foxes", "lazy dogs", "STRASSE", "naive cafe", "東京", "شمس", "नदी", "ไทย", "unheard", ""):
            expected = lexical_scores(rows, query, bm25)
            (found,) = index.match([query], k=99)
            assert {hit.id for hit in found} == expected.keys(), query
            assert np.allclose([hit.score for hit in found], [expected[hit.id] for hit in found], rtol=1e-5)
            assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        assert "Straße" in str(index.match(["strasse"])[0][0].payload["body"])

    def test_words_have_the_scores_that_evaluate_retrieval_gives_them(self, store: Vectors) -> None:
        rows, queries = made(60), ["fox", "lazy dogs", "naive cafe 東京", "unheard", ""]
        expected = Bm25Index(rows["text"].to_pylist()).scores(queries)
        for line, hits in zip(expected, built(store, rows).match(queries, k=99), strict=True):
            found = {int(hit.id[1:]): hit.score for hit in hits}
            assert {*found} == {*np.flatnonzero(line).tolist()}
            assert np.allclose([*found.values()], line[[*found]], rtol=1e-5)

    def test_hybrid_search_fuses_the_ranks_of_both(self, store: Vectors) -> None:
        index, queries = built(store, made(60)), vectors_of(made(3, seed=2))
        texts = ["lazy fox", "東京", "unheard"]
        dense, lexical = index.search(queries, space(), k=50, exact=True), index.match(texts, k=50)
        for weights in ((1.0, 1.0), (0.3, 0.7)):
            found = index.hybrid(queries, texts, space(), k=10, exact=True, weights=weights)
            expected = [reciprocal_ranks(pair, 10, weights=weights) for pair in zip(dense, lexical, strict=True)]
            assert [[(hit.id, hit.score) for hit in hits] for hits in found] == [
                [(hit.id, hit.score) for hit in hits] for hits in expected
            ]
        with pytest.raises(TesseraError, match="3 vectors and 1 texts"):
            index.hybrid(queries, ["fox"], space())

    def test_filters_fit_the_rows_that_they_fit_in_plain_python(self, store: Vectors) -> None:
        rows = made(40)
        index, kept = built(store, rows), rows.to_pylist()
        by_words = {hit.id for hit in index.match(["fox lazy"], k=99)[0]}

        @settings(max_examples=40, database=None, derandomize=True)
        @given(conditions())
        @example(Missing("tags"))  # null in some rows, an empty list in others
        @example(Not(Missing("tags")))
        def fits(where: Filter) -> None:
            checked = filters.checked(where, PAYLOAD)
            expected = {row["id"] for row in kept if filters.holds(checked, stored(row))}
            for exact in (True, False):
                (found,) = index.search(np.ones((1, 8)), space(), k=99, where=where, exact=exact)
                assert {hit.id for hit in found} == expected
            (found,) = index.match(["fox lazy"], k=99, where=where)
            assert {hit.id for hit in found} == expected & by_words

        fits()

    def test_filters_that_do_not_fit_the_fields_are_refused(self, store: Vectors) -> None:
        index = built(store, made(3))
        for where, says in (
            (Equal("langg", "en"), "did you mean 'lang'"),
            (Equal("lang", 3), "'lang' is of type text, and a value is 3"),
            (OneOf("stock", (1, "x")), "'stock' is of type integer, and a value is 'x'"),
            (Equal("stock", True), "'stock' is of type integer, and a value is True"),
            (Between("listed_at", below=datetime(2026, 1, 1)), "a timestamp with a time zone"),
            (Between("lang", below="x"), "a range of 'lang'"),
            (Not(Every((Equal("body", "x"),))), "'body', a document"),
            (Equal("subject", "c1"), "names a field 'subject'"),
        ):
            for asked in (
                lambda where=where: index.search(np.ones((1, 8)), space(), where=where),
                lambda where=where: index.match(["fox"], where=where),
            ):
                with pytest.raises(TesseraError) as refused:
                    asked()
                assert says in str(refused.value)

    def test_payload_comes_back_as_it_was_given(self, store: Vectors) -> None:
        extreme = {
            "id": ["a 'quoted' \"id\" 🦊", "ünï\u0301", "-"],
            "vector": [[float(at == place) for place in range(8)] for at in range(3)],
            "text": ["", "\n\t💥 'x' \\ %s $1", "x"],
            "lang": ["", "🦊\u2028'\"\\%", None],
            "stock": [2**53, -(2**53), 0],
            "price": [1.0, -0.1, 1e300],
            "on_sale": [True, False, None],
            "listed_at": pa.array(
                [datetime(1, 1, 1, tzinfo=UTC), NOON + timedelta(microseconds=1), None], pa.timestamp("us", "UTC")
            ),
            "tags": [[], ["", "x, y", "{z}"], None],
            "body": ["x" * 100_000, "", None],
        }
        rows = pa.table(extreme)
        index = built(store, rows)
        (found,) = index.search(np.ones((1, 8)), space())
        assert {hit.id: hit.payload for hit in found} == {row["id"]: payload_of(row) for row in rows.to_pylist()}
        whole = {hit.id: {name: type(value) for name, value in hit.payload.items()} for hit in found}
        assert whole[rows["id"][0].as_py()]["price"] is float
        for row in rows.to_pylist():
            given_at = {
                name: row[name] for name in ("lang", "stock", "price", "on_sale", "listed_at") if row[name] is not None
            }
            where = Every(tuple(Equal(name, value) for name, value in given_at.items()))
            assert ids(index.search(np.ones((1, 8)), space(), where=where)) == [[row["id"]]]
        assert store.rows("articles").select([*PAYLOAD]).to_pylist() == [
            {name: row[name] for name in PAYLOAD} for row in sorted(rows.to_pylist(), key=lambda row: row["id"])
        ]

    def test_the_longest_ids_and_texts_are_kept_and_found(self, store: Vectors) -> None:
        # Of four bytes each, and without a pattern that an index could shorten.
        longest = ["".join(map(chr, np.random.default_rng(at).integers(0x20000, 0x2A000, 1000))) for at in range(3)]
        rows = pa.table({"id": longest[:1], "vector": [[1.0] * 8], "text": longest[1:2], "subject": longest[2:]})
        rows = rows.append_column("lang", pa.array(longest[1:2])).append_column("tags", pa.array([longest[:2]]))
        index = built(store, rows)
        for where in (Equal("lang", longest[1]), OneOf("tags", (longest[0], "x"))):
            assert ids(index.search(np.ones((1, 8)), space(), where=where)) == [longest[:1]]
        assert ids(index.match([longest[1][:10]])) == [longest[:1]]
        assert ids(index.match([" ".join(longest)], where=Missing("stock"))) == [longest[:1]]

    def test_rows_are_read_back_as_they_were_written(self, store: Vectors, opened: Open) -> None:
        rows = made(30)
        built(store, rows, spec_of("dot"))
        found = opened().rows("articles")
        assert found.drop_columns(["vector"]).equals(
            rows.select(found.schema.names).drop_columns(["vector"]).cast(found.drop_columns(["vector"]).schema)
        )
        assert np.array_equal(vectors_of(found), vectors_of(rows)), "to the last bit"
        built(store, rows)
        lengths = np.linalg.norm(vectors_of(store.rows("articles")), axis=1)
        assert np.allclose(lengths, 1, atol=1e-6), "cosine: at length 1"

    def test_a_row_replaces_that_of_the_same_id_until_the_version_is_sealed(self, store: Vectors, opened: Open) -> None:
        first, second = made(10), made(10, seed=3).slice(2, 3)
        number = begun(store, first)
        assert opened().upsert("articles", number, second) == 3
        assert opened().delete("articles", number, ["r0000", "r0009", "unknown"]) == 2
        assert opened().seal("articles", number).rows == 8
        found = {row["id"]: row["lang"] for row in store.rows("articles", number).to_pylist()}
        expected = {row["id"]: row["lang"] for row in [*first.to_pylist(), *second.to_pylist()]}
        assert found == {id: lang for id, lang in expected.items() if id not in ("r0000", "r0009")}
        for change in (
            lambda: store.upsert("articles", number, second),
            lambda: store.delete("articles", number, ["r0001"]),
        ):
            with pytest.raises(TesseraError, match="articles, version 1 is not open for writing: it is sealed"):
                change()
        assert store.seal("articles", number) == store.version("articles", number)

    def test_a_version_that_is_not_sealed_is_neither_searched_nor_published(self, store: Vectors) -> None:
        number = begun(store, made(3))
        assert (store.version("articles", number).state, store.current("articles")) == ("begun", None)
        for asked in (store.open, store.publish, store.rows):
            with pytest.raises(TesseraError, match="articles, version 1 is not sealed"):
                asked("articles", number)
        with pytest.raises(TesseraError, match="serves nothing: versions 1 are not published"):
            store.open("articles")

    def test_rows_that_do_not_fit_are_refused_and_none_is_written(self, store: Vectors) -> None:
        number = store.begin("articles", spec_of(), fitted(["x"]))
        good: dict[str, Any] = {"id": ["a", "b"], "vector": [[1.0] * 8] * 2, "text": ["x", "y"], "lang": ["en", "de"]}
        changes: Sequence[tuple[Mapping[str, Any], str]] = (
            ({"vector": [[1.0] * 8, [float("nan")] * 8]}, "not finite"),
            ({"vector": [[1.0] * 8, [float("inf")] * 8]}, "not finite"),
            ({"vector": [[1.0] * 8, [0.0] * 8]}, "zeros"),
            ({"vector": [[1.0] * 8, [1.0] * 7]}, "Row 1 has a vector of 7 numbers"),
            ({"vector": [[1.0] * 8, None]}, "Row 1 has no vector"),
            ({"id": ["r", "r"]}, "ids are there twice, e.g. 'r'"),
            ({"id": ["r", None]}, "has no id"),
            ({"id": ["r", ""]}, "has no id"),
            ({"id": ["r", "x\0"]}, "zero character"),
            ({"lang": ["x\0", "y"]}, "zero character"),
            ({"lang": [1, 2]}, "'lang' is of type int64"),
            ({"stock": [2**53 + 1, 0]}, "beyond 2^53"),
            ({"stock": [0.5, 0]}, "'stock' is of type double"),
            ({"price": [float("nan"), 0]}, "not finite"),
            ({"listed_at": [datetime(2026, 1, 1)] * 2}, "'listed_at' is of type timestamp[us]"),
            ({"text": ["x", None]}, "no text"),
            ({"colour": ["x", "y"]}, "a column 'colour'"),
        )
        for change, says in changes:
            with pytest.raises(RefusedValue) as refused:
                store.upsert("articles", number, pa.table({**good, **change}))
            assert says in str(refused.value)
        assert store.seal("articles", number).rows == 0

    def test_a_query_of_another_space_is_refused_by_naming_both(self, store: Vectors) -> None:
        index = built(store, made(3))
        for other, says in (
            (space(embedder="minilm"), ["embedder 'minilm'", "embedder 'toy'"]),
            (space(digest="d2"), ["digest 'd2'", "digest 'd1'"]),
            (space("dot"), ["metric 'dot'", "metric 'cosine'"]),
            (space(dimension=4), ["dimension 4", "dimension 8"]),
        ):
            for asked in (
                lambda other=other: index.search(np.ones((1, other.dimension)), other),
                lambda other=other: index.hybrid(np.ones((1, other.dimension)), ["fox"], other),
            ):
                with pytest.raises(TesseraError, match="cannot be compared") as refused:
                    asked()
                assert all(part in refused.value.what for part in [*says, "articles, version 1"])
        with pytest.raises(RefusedValue, match="7 numbers"):
            index.search([[1.0] * 7], space())
        with pytest.raises(RefusedValue, match="Query 1 has a vector with a number that is not finite"):
            index.search([[1.0] * 8, [float("nan")] * 8], space())
        with pytest.raises(TesseraError, match="k is 0"):
            index.search([[1.0] * 8], space(), k=0)

    def test_an_index_without_words_says_so(self, store: Vectors) -> None:
        index = self._plain(store, made(3), "cosine")
        with pytest.raises(TesseraError, match="has no lexical search"):
            index.match(["fox"])
        with pytest.raises(TesseraError, match="described with tokenizer 'grams-1', its statistics are of ''"):
            store.begin("articles", spec_of())

    @pytest.mark.parametrize("name", ["", "Articles", "a b", "../x", "a" * 41, "ä", "_x", "1x"])
    def test_names_that_a_store_might_not_take_are_refused(self, store: Vectors, name: str) -> None:
        with pytest.raises(TesseraError, match="no name of a collection"):
            store.begin(name, spec_of(), fitted([]))

    def test_the_pointer_moves_at_once_and_back_and_readers_keep_their_version(
        self, store: Vectors, opened: Open
    ) -> None:
        reader = built(store, made(5))
        second = begun(store, made(9))
        store.seal("articles", second)
        assert (store.current("articles"), len(opened().rows("articles"))) == (1, 5)
        store.publish("articles", second)
        assert (opened().current("articles"), opened().open("articles").version.rows) == (2, 9)
        assert len(reader.search(np.ones((1, 8)), space(), k=99)[0]) == 5
        never = begun(store, made(2))
        store.seal("articles", never)
        assert [one.was_published for one in store.versions("articles")] == [True, True, False]
        assert opened().rollback("articles") == 1
        assert (store.current("articles"), store.open("articles").version.number) == (1, 1)
        with pytest.raises(TesseraError, match="no version of 'articles' to go back to before version 1"):
            store.rollback("articles")
        store.publish("articles", second)
        assert store.current("articles") == 2

    def test_versions_that_no_one_needs_are_removed_and_their_numbers_never_come_back(
        self, store: Vectors, opened: Open
    ) -> None:
        for count in range(1, 5):
            built(store, made(count))
        unpublished = begun(store, made(1))
        assert [*store.vacuum("articles", keep=1)] == [1, 2]
        assert [one.number for one in opened().versions("articles")] == [3, 4, unpublished]
        with pytest.raises(TesseraError, match="articles, version 4 is served"):
            store.remove("articles", 4)
        store.remove("articles", unpublished)
        store.remove("articles", 3)
        with pytest.raises(TesseraError, match="no version of 'articles' to go back to"):
            store.rollback("articles")
        assert begun(opened(), made(1)) == 6
        assert [*store.vacuum("articles", keep=0)] == []

    def test_collections_do_not_see_each_other(self, store: Vectors) -> None:
        built(store, made(3), collection="articles")
        built(store, made(5), spec_of("dot"), collection="articles_2")
        assert [*store.collections()] == ["articles", "articles_2"]
        assert (store.open("articles").version.rows, store.open("articles_2").version.rows) == (3, 5)

    @needs("erasable")
    def test_an_erased_subject_leaves_every_version_and_does_not_come_back(self, store: Vectors, opened: Open) -> None:
        rows = made(20)
        texts = [
            "secretword" if subject == "c1" else text
            for subject, text in zip(rows["subject"].to_pylist(), rows["text"].to_pylist(), strict=True)
        ]
        rows = rows.set_column(rows.schema.get_field_index("text"), "text", pa.array(texts))
        built(store, rows)
        reader = built(store, rows)
        unfinished = begun(store, rows)
        built(store, rows.drop_columns(["subject"]), spec_of(subject=""), "nobodys")
        before = store.rows("articles")
        others = [
            id
            for id, subject in zip(rows["id"].to_pylist(), rows["subject"].to_pylist(), strict=True)
            if subject != "c1"
        ]
        assert [hit.id for hit in reader.match(["secretword"], k=99)[0]]
        scores = reader.match(["fox"], k=99)

        assert opened().forget("customer", "c1", day=DAY, why="asked") == {"articles": 3 * 4}
        for number in (1, 2):
            assert store.rows("articles", number).equals(before.take(pa.array([int(id[1:]) for id in others])))
            assert store.version("articles", number).rows == 16
            index = store.open("articles", number)
            assert ids(index.match(["secretword"])) == [[]]
            assert index.bm25 is not None
            assert not len(index.bm25.query("secretword")), "its words leave the statistics"
            assert [hit for hit in scores[0] if hit.id in others] == index.match(["fox"], k=99)[0]
        assert {hit.id for hit in reader.search(np.ones((1, 8)), space(), k=99)[0]} == {*others}, "an open reader"
        assert store.upsert("articles", unfinished, rows) == 16, "also when it is written again"
        store.seal("articles", unfinished)
        assert "c1" not in store.rows("articles", unfinished)["subject"].to_pylist()
        assert not len(store.open("articles", unfinished).bm25.query("secretword"))  # type: ignore[union-attr]
        assert len(store.rows("nobodys")) == 20
        assert opened().forget("customer", "c1", day=DAY, why="again") == {"articles": 0}
        assert ("c1" in store.forgotten("customer"), "c2" in store.forgotten("customer")) == (True, False)
        with pytest.raises(TesseraError, match="'custmer' is no entity"):
            store.forget("custmer", "c1", day=DAY, why="asked")

    @needs("erasable")
    def test_all_rows_of_an_index_may_be_erased(self, store: Vectors) -> None:
        index = built(store, made(5).slice(0, 1))
        assert store.forget("customer", "c0", day=DAY, why="asked") == {"articles": 1}
        assert index.search(np.ones((1, 8)), space()) == index.match(["fox"]) == [[]]

    def test_readers_are_never_disturbed(self, store: Vectors, opened: Open) -> None:
        built(store, made(30))
        wrong: list[object] = []
        done = threading.Event()

        def read() -> None:
            other = opened()
            while not done.wait(0.1):
                index = other.open("articles")
                (found,) = index.search(np.ones((1, 8)), space(), k=99)
                if len(found) not in (24, 30) or len(index.match(["fox"], k=99)) != 1:
                    wrong.append(found)

        def watched() -> None:
            try:
                read()
            except BaseException as error:
                wrong.append(error)
                raise

        threads = [threading.Thread(target=watched) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                built(store, made(30))
            store.forget("customer", "c1", day=DAY, why="asked")
            store.rollback("articles")
        finally:
            done.set()
            for thread in threads:
                thread.join(60)
        assert wrong == []

    def test_threads_may_share_an_index(self, store: Vectors) -> None:
        index, queries = built(store, made(60)), vectors_of(made(8, seed=2))
        alone = [ids(index.search([one], space(), exact=True)) for one in queries]
        found: dict[int, list[list[list[str]]]] = {}

        def ask(at: int) -> None:
            found[at] = [ids(index.search([queries[at]], space(), exact=True)) for _ in range(20)]

        threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(queries))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found == {at: [one] * 20 for at, one in enumerate(alone)}
