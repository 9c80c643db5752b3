"""The engines: the port's promises, and what only the local one does."""

from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from models.errors import TesseraError
from resources.conformance import EngineConformance
from resources.engine.local import LocalEngineConfig
from resources.engine.port import Engine


class TestLocalEngine(EngineConformance):
    config = LocalEngineConfig

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return LocalEngineConfig(memory_limit_mb=200, temp_directory=str(tmp_path / "spilled")).open()


@ibis.udf.scalar.builtin
def current_setting(name: str) -> str:  # pyright: ignore - DuckDB's own
    """The value of a setting."""


def _every_pair(numbers: ir.Table) -> ir.Table:
    pairs = numbers.cross_join(numbers.view().rename(m="n"))
    return pairs.agg(every=(pairs.n * 100_000 + pairs.m).collect())


class TestLocal:
    def test_as_of_joins_never_loop(self, tmp_path: Path) -> None:
        """Measured: a filtered shard took more than 40 s instead of 1 s with DuckDB's default."""
        engine = LocalEngineConfig(threads=1, temp_directory=str(tmp_path)).open()
        found = engine.query(
            lambda one: one.select(
                threshold=current_setting("asof_loop_join_threshold"), threads=current_setting("threads")
            ),
            {"one": pa.table({"n": [1]})},
        )
        assert found.read_all().to_pylist() == [{"threshold": "0", "threads": "1"}]

    def test_it_says_what_is_wrong_with_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        health = LocalEngineConfig(temp_directory=str(tmp_path / "file" / "spilled")).open().check()
        assert not health.ok
        assert "temp_directory" in health.todo

    @pytest.mark.slow
    def test_too_much_for_the_memory_names_the_setting(self, tmp_path: Path) -> None:
        engine = LocalEngineConfig(memory_limit_mb=200, temp_directory=str(tmp_path)).open()
        pairs = {"numbers": pa.table({"n": range(10_000)})}
        with pytest.raises(TesseraError, match="memory_limit_mb"):
            engine.query(_every_pair, pairs).read_all()
