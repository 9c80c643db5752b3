"""The stores of vectors: the port's promises, and what only one of them does."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typing_extensions import override

from models.errors import TesseraError
from models.vectors.filters import Equal
from resources.conformance import VectorsConformance
from resources.conformance.vectors import Open, built, made, space
from resources.vectors.edge_files import VersionFolder, VersionRecord
from resources.vectors.index import IndexVersion
from resources.vectors.pgvector import PgVectorConfig, PgVectors
from resources.vectors.pgvector_sql import VersionTables
from resources.vectors.port import Vectors
from resources.vectors.qdrant import QdrantConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig, QdrantEdgeVectors
from tests.servers.postgres_server import PostgresDatabase
from tests.servers.qdrant_stub import QdrantStub, qdrant_stub


class TestQdrantEdgeVectors(VectorsConformance):
    config = QdrantEdgeConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return QdrantEdgeConfig(path=str(tmp_path / "vectors"), index_from_rows=200).open


class _Interrupted(QdrantEdgeVectors):
    """A store in which something happens once, right after the versions were listed or a version's record was read."""

    def __init__(self, folder: Path, *, after: str, happens: Callable[[], object]) -> None:
        super().__init__(QdrantEdgeConfig(path=str(folder)))
        self._after, self._happens = after, [happens]

    def happen(self, after: str) -> None:
        if after == self._after and self._happens:
            self._happens.pop()()

    def parts_of(self, version: IndexVersion) -> tuple[bytes, int]:
        """What `open` reads of words, and the number of rows: the first of both meets what happens."""
        return self._statistics(version), len(self._rows(version))

    def rows_of(self, version: IndexVersion) -> int:
        """The number of rows alone."""
        return len(self._rows(version))

    @override
    def versions(self, collection: str) -> Sequence[IndexVersion]:
        found = super().versions(collection)
        self.happen("versions")
        return found

    @override
    def _version(self, collection: str, number: int) -> VersionFolder:
        return _InterruptedFolder(super()._version(collection, number).path, self)


class _InterruptedFolder(VersionFolder):
    def __init__(self, path: Path, store: _Interrupted) -> None:
        super().__init__(path)
        object.__setattr__(self, "store", store)

    @override
    def read(self) -> VersionRecord:
        found = super().read()
        vars(self)["store"].happen("record")
        return found


@pytest.mark.slow
class TestQdrantEdgeReaders:
    """Each moment at which a writer may overtake a reader; load makes them likely, these tests make them certain."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Vectors:
        store = QdrantEdgeConfig(path=str(tmp_path)).open()
        built(store, made(12))
        return store

    def test_a_version_that_is_published_while_the_versions_are_listed_disturbs_no_reader(
        self, store: Vectors, tmp_path: Path
    ) -> None:
        reader = _Interrupted(tmp_path, after="versions", happens=lambda: built(store, made(12)))
        assert reader.open("articles").version.number == 1
        assert reader.open("articles").version.number == 2

    @pytest.mark.slow
    def test_an_erasure_after_a_record_was_read_disturbs_no_reader(self, store: Vectors, tmp_path: Path) -> None:
        def erasing(id: str) -> _Interrupted:
            happens = partial(store.forget, "customer", id, day=date(2026, 1, 1), why="asked")
            return _Interrupted(tmp_path, after="record", happens=happens)

        before = store.version("articles")
        words, rows = erasing("c1").parts_of(before)
        assert words
        assert rows == 12 - 3
        assert erasing("c2").rows_of(before) == 12 - 3 - 2

    @pytest.mark.parametrize("left", ["a killed writer's mark", "no mark, as an earlier release"])
    def test_an_open_index_sees_an_erasure_whatever_stands_in_the_mark(
        self, store: Vectors, tmp_path: Path, left: str
    ) -> None:
        folder = VersionFolder(tmp_path / "articles" / "1")
        if left == "a killed writer's mark":
            index = store.open("articles")
            folder.warn_readers()
        else:
            (folder.revision(folder.read()) / "replaced").unlink()
            index = store.open("articles")
        for id, rows in (("none", 12), ("c1", 12 - 3), ("c2", 12 - 3 - 2)):
            store.forget("customer", id, day=date(2026, 1, 1), why="asked")
            assert len(index.search(np.ones((1, 8)), space(), k=99)[0]) == rows


class TestQdrantVectors(VectorsConformance):
    """The client's own memory: there is no server to be had, but the requests are the same objects."""

    config = QdrantConfig

    @pytest.fixture
    def opened(self) -> Open:
        store = QdrantConfig(url=":memory:").open()
        return lambda: store


@pytest.fixture(scope="module")
def qdrant_server() -> Iterator[QdrantStub]:
    with qdrant_stub() as stub:
        yield stub
    assert stub.refused == []


@pytest.mark.slow
class TestQdrantVectorsOverHttp(VectorsConformance):
    """A stub of the server's REST API that checks every request against its published interface."""

    config = QdrantConfig

    @pytest.fixture
    def opened(self, qdrant_server: QdrantStub) -> Open:
        qdrant_server.empty()
        return QdrantConfig(url=qdrant_server.url, timeout_seconds=20, index_from_rows=200).open


class TestPgVectors(VectorsConformance):
    """On a real server; each test has a schema of its own."""

    config = PgVectorConfig

    @pytest.fixture
    def opened(self, postgres_with_vectors: PostgresDatabase) -> Open:
        schema = f"vectors_{secrets.token_hex(6)}"
        return PgVectorConfig(url=postgres_with_vectors.url, schema_name=schema, index_from_rows=200).open

    def test_the_approximate_index_serves_approximate_searches_only(self, opened: Open) -> None:
        index = built(opened(), made(300))
        plans: dict[bool, str] = {}
        for exact in (True, False):
            store = opened()
            assert isinstance(store, PgVectors)
            tables = VersionTables("articles", 1, index.version.spec)
            query, values = tables.nearest(store.rows_of.Vector(np.ones(8, np.float32)), 10, None, exact=exact)
            (answer,) = store.answers(index.version, [(f"EXPLAIN {query}", values)], 0)
            plans[exact] = " ".join(line for (line,) in answer)
        assert ["Index Scan" in plans[False], "Index Scan" in plans[True]] == [True, False]

    def test_an_open_index_whose_version_was_removed_says_so(self, opened: Open) -> None:
        store = opened()
        index = built(store, made(30))
        built(opened(), made(3))
        store.remove("articles", 1)
        for asked in (lambda: index.search(np.ones((1, 8)), space()), lambda: index.match(["fox"])):
            with pytest.raises(TesseraError, match="articles, version 1 was removed"):
                asked()

    def test_a_filter_that_few_rows_fit_finds_them_all_by_the_approximate_index(self, opened: Open) -> None:
        rows = made(1000).drop_columns(["stock"]).append_column("stock", pa.array([at // 990 for at in range(1000)]))
        index = built(opened(), rows)
        (found,) = index.search(np.ones((1, 8)), space(), k=20, where=Equal("stock", 1))
        assert {hit.id for hit in found} == {f"r{at:04d}" for at in range(990, 1000)}


def test_a_postgres_without_pgvector_is_named_as_the_reason(postgres_database: PostgresDatabase) -> None:
    store = PgVectorConfig(url=postgres_database.url).open()
    health = store.check()
    assert not health.ok
    assert 'extension "vector"' in health.says
