"""The stores of vectors: the port's promises, and what only one of them does."""

from pathlib import Path

import pytest

from resources.conformance import VectorsConformance
from resources.conformance.vectors import Open
from resources.vectors.qdrant import QdrantConfig
from resources.vectors.qdrant_edge import QdrantEdgeConfig


class TestQdrantEdgeVectors(VectorsConformance):
    config = QdrantEdgeConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return QdrantEdgeConfig(path=str(tmp_path / "vectors"), index_from_rows=200).open


class TestQdrantVectors(VectorsConformance):
    """The client's own memory: there is no server to be had, but the requests are the same objects."""

    config = QdrantConfig

    @pytest.fixture
    def opened(self) -> Open:
        store = QdrantConfig(url=":memory:").open()
        return lambda: store
