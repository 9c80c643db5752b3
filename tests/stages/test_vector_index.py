"""A vector index as an asset: built again only as far as something changed, and served only if search finds enough."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from assets.stages.vector_index.build import BuiltIndex, VectorIndexPlan, build_index
from assets.stages.vector_index.recall_gate import RecallGate
from models.errors import RefusedValue, TesseraError
from models.vectors.spec import IndexSpec, VectorSpace
from resources.embedder.openai_compatible import OpenAIEmbedderConfig
from resources.embedder.port import GuardedEmbedder
from resources.stack.ports import VectorsResource
from resources.vectors.port import Vectors
from resources.vectors.qdrant_edge import QdrantEdgeConfig
from tests.servers.model_stub import DIMENSION, model_stub

SPACE = VectorSpace(embedder="toy", digest="1", dimension=8, metric="cosine")
SPEC = IndexSpec(space=SPACE, payload={"lang": "text"}, subject="customer")


class Toy:
    """Embeds a text by a seed made of it, and remembers what it was given."""

    def __init__(self, dimension: int = 8) -> None:
        self.given: list[str] = []
        self._dimension = dimension

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.given += texts
        seeds = [np.frombuffer(text.encode().ljust(4, b"."), np.uint8) for text in texts]
        return np.stack([np.random.default_rng(seed.tolist()).normal(size=self._dimension) for seed in seeds]).astype(
            "f4"
        )


@pytest.fixture
def store(tmp_path: Path) -> Vectors:
    return QdrantEdgeConfig(path=str(tmp_path / "vectors")).open()


def articles(*texts: str, langs: Sequence[str] = ()) -> pa.Table:
    count = len(texts)
    return pa.table(
        {
            "id": pa.array([f"a{at}" for at in range(count)], pa.string()),
            "text": pa.array(texts, pa.string()),
            "subject": pa.array([f"c{at}" for at in range(count)], pa.string()),
            "lang": pa.array(langs or ["en"] * count, pa.string()),
        }
    )


def plan(embed: Toy, spec: IndexSpec = SPEC, **changes: object) -> VectorIndexPlan:
    return VectorIndexPlan("articles", spec, embed, **changes)  # type: ignore[arg-type]


def test_only_changed_texts_are_embedded_again(store: Vectors) -> None:
    toy = Toy()
    first = build_index(store, articles("one", "two", "three", "two"), plan(toy))
    assert (first.number, first.rows, first.embedded, first.copied) == (1, 4, 3, 1)
    toy.given.clear()
    again = build_index(store, articles("one", "two", "three", "two"), plan(toy))
    assert (again.number, again.is_new, toy.given, [one.number for one in store.versions("articles")]) == (
        1,
        False,
        [],
        [1],
    )
    second = build_index(store, articles("one", "zwei", "three"), plan(toy))
    assert (second.number, second.embedded, second.copied, toy.given) == (2, 1, 2, ["zwei"])
    assert [hits[0].id for hits in store.open("articles").search(Toy()(["zwei", "three"]), SPACE)] == ["a1", "a2"]
    moved = build_index(store, articles("one", "zwei", "three", langs=["en", "de", "en"]), plan(toy))
    assert (moved.number, moved.is_new, toy.given) == (3, True, ["zwei"]), "another payload, the same texts"


def test_a_build_step_by_step_equals_one_from_nothing(store: Vectors, tmp_path: Path) -> None:
    for texts in (["one"], ["one", "two"], ["uno", "two", "three"]):
        build_index(store, articles(*texts), plan(Toy()))
    fresh = QdrantEdgeConfig(path=str(tmp_path / "fresh")).open()
    build_index(fresh, articles("uno", "two", "three"), plan(Toy()))
    assert store.rows("articles").equals(fresh.rows("articles"))
    assert store.open("articles").match(["two"]) == fresh.open("articles").match(["two"])


def test_another_embedder_embeds_everything_again(store: Vectors) -> None:
    build_index(store, articles("one", "two"), plan(Toy()))
    other = SPEC.model_copy(update={"space": SPACE.model_copy(update={"digest": "2"})})
    built = build_index(store, articles("one", "two"), plan(Toy(), other))
    assert (built.number, built.embedded, built.copied) == (2, 2, 0)


def test_an_index_that_finds_too_little_is_not_served(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(800, 32)).astype(np.float32)
    rows = articles(*[f"t{at}" for at in range(800)]).append_column(
        "vector", pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 32)
    )
    space = SPACE.model_copy(update={"dimension": 32})
    wide = SPEC.model_copy(update={"space": space, "tokenizer": ""})
    few = QdrantEdgeConfig(path=str(tmp_path / "v"), index_from_rows=1, hnsw_m=4, hnsw_ef_construct=4, hnsw_ef=1).open()
    build_index(few, rows.slice(0, 5), plan(Toy(), wide))
    with pytest.raises(TesseraError, match=r"approximate search finds 0.* It is not served") as refused:
        build_index(few, rows, plan(Toy(), wide, gate=RecallGate(queries=50)))
    assert "hnsw_ef" in refused.value.todo
    assert (few.current("articles"), [one.number for one in few.versions("articles")]) == (1, [1])
    exact = QdrantEdgeConfig(path=str(tmp_path / "v")).open()
    assert build_index(exact, rows, plan(Toy(), wide)).recall == 1
    assert exact.rollback("articles") == 1


def test_whoever_is_erased_comes_back_with_no_build(store: Vectors) -> None:
    rows = articles("one", "two", "three")
    build_index(store, rows, plan(Toy()))
    build_index(store, articles("one", "two", "trois"), plan(Toy()))
    store.forget("customer", "c1", day=date(2026, 1, 1), why="asked")
    again = build_index(store, rows, plan(Toy()))
    assert (again.rows, store.rows("articles")["subject"].to_pylist()) == (2, ["c0", "c2"])
    assert store.rows("articles", 1)["subject"].to_pylist() == ["c0", "c2"]


def test_rows_that_do_not_fit_leave_the_pointer(store: Vectors) -> None:
    build_index(store, articles("one"), plan(Toy()))
    wrong = articles("one", "two").append_column("colour", pa.array(["x", "y"]))
    with pytest.raises(RefusedValue, match="a column 'colour'"):
        build_index(store, wrong, plan(Toy()))
    with pytest.raises(TesseraError, match="no column 'text'"):
        build_index(store, wrong.drop_columns(["text"]), plan(Toy()))
    with pytest.raises(TesseraError, match=r"1 rows .* have no text"):
        build_index(store, pa.table({"id": ["a"], "text": pa.array([None], pa.string())}), plan(Toy()))
    with pytest.raises(RefusedValue, match="9 numbers"):
        build_index(store, articles("new"), plan(Toy(9)))
    assert store.current("articles") == 1


def test_it_is_an_asset_of_a_run(tmp_path: Path) -> None:
    class Edge(VectorsResource):
        backend: QdrantEdgeConfig

    @dg.asset
    def article_index(vectors: VectorsResource) -> dg.MaterializeResult:
        built = build_index(vectors.open(), articles("one", "two"), plan(Toy()))
        return dg.MaterializeResult(metadata=built.metadata())

    found = dg.materialize(
        [article_index], resources={"vectors": Edge(backend=QdrantEdgeConfig(path=str(tmp_path / "v")))}
    )
    (event,) = found.get_asset_materialization_events()
    told = event.step_materialization_data.materialization.metadata
    assert (told["index_version"].value, told["dagster/row_count"].value, told["recall_at_k"].value) == (1, 2, 1.0)


def test_an_index_without_rows_is_served(store: Vectors) -> None:
    assert build_index(store, articles(), plan(Toy())).rows == 0
    assert store.open("articles").match(["one"]) == [[]]


def test_an_index_of_an_endpoint_refuses_vectors_of_another_model_behind_the_same_name(store: Vectors) -> None:
    draw, rotation = np.random.default_rng(3), np.linalg.qr(np.random.default_rng(4).normal(size=(DIMENSION,) * 2))[0]

    def opened() -> tuple[GuardedEmbedder, VectorSpace]:
        found = OpenAIEmbedderConfig(url=f"{stub.url}/v1", model="small", dimension=DIMENSION).open()
        name = found.identity
        return found, VectorSpace(embedder=name.name, digest=name.digest, dimension=name.dimension, metric="cosine")

    def build() -> BuiltIndex:
        embedder, space = opened()
        spec = IndexSpec(space=space, payload={"lang": "text"}, subject="customer")
        return build_index(
            store, articles("router light", "an invoice"), VectorIndexPlan("articles", spec, embedder.embed)
        )

    with model_stub() as stub:
        assert (build().number, build().is_new) == (1, False)
        # Rounding errors of a service, which differ from call to call.
        stub.embedded = lambda vectors: (vectors + 0.002 * draw.normal(size=vectors.shape)).astype(np.float32)
        embedder, space = opened()
        assert store.open("articles").search(embedder.embed(["router"]), space)[0][0].id == "a0"
        assert not build().is_new, "and nothing is embedded again"
        stub.embedded = lambda vectors: (vectors @ rotation).astype(np.float32)
        embedder, changed = opened()
        with pytest.raises(TesseraError, match="cannot be compared") as refused:
            store.open("articles").search(embedder.embed(["router"]), changed)
        assert all(repr(one.digest) in refused.value.what for one in (store.version("articles").spec.space, changed))
        assert (build().number, build().is_new) == (2, False)


def test_an_index_of_an_earlier_day_is_found_by_its_day_and_not_served(store: Vectors) -> None:
    def of(day: int, text: str) -> BuiltIndex:
        spec = SPEC.model_copy(update={"day": date(2026, 1, day)})
        return build_index(store, articles(text, langs=[text]), plan(Toy(), spec))

    served = of(10, "ten")
    assert served.is_served
    assert store.current("articles") == served.number

    earlier = [of(day, f"day {day}") for day in (3, 4, 2, 5, 6)]
    assert not any(built.is_served for built in earlier)
    assert store.current("articles") == served.number
    # The last one and two before it are left, and the same rows again make none.
    assert [one.spec.day for one in store.versions("articles")] == [date(2026, 1, day) for day in (10, 2, 5, 6)]
    assert not of(5, "day 5").is_new

    def text_of(day: int) -> str:
        rows = store.rows("articles", store.version_of("articles", date(2026, 1, day)).number)
        return rows["lang"][0].as_py()

    assert [text_of(day) for day in (2, 4, 5, 9, 10, 20)] == ["day 2", "day 2", "day 5", "day 6", "ten", "ten"]
    with pytest.raises(TesseraError, match="no version of 2026-01-01 or before: 2026-01-02, 2026-01-05"):
        store.version_of("articles", date(2026, 1, 1))

    assert of(11, "eleven").is_served
    assert [one.spec.day for one in store.versions("articles")] == [date(2026, 1, day) for day in (10, 11)]
    assert of(10, "another ten").is_served is False
