"""The tests of the engine port."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import ibis
import ibis.expr.types as ir
import psutil
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from models.errors import TesseraError
from resources.conformance.suite import Conformance, needs
from resources.engine.port import Engine

T = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)


def _multiplied(numbers: Any, *, times: int) -> ir.Table:
    return numbers.mutate(n=numbers.n * times).order_by(ibis.desc("n"))


class EngineConformance(Conformance):
    """The tests that every engine must pass. A harness overrides the fixture `engine`."""

    port: ClassVar = "engine"

    @pytest.fixture
    def engine(self) -> Engine:
        """The engine under test, limited to about 200 MB if it has a limit of memory."""
        raise NotImplementedError("The harness overrides the fixture `engine`.")

    def test_parameters_and_order_of_the_expression(self, engine: Engine) -> None:
        reader = engine.query(_multiplied, {"numbers": pa.table({"n": [1, 3, 2]})}, times=2)
        assert reader.read_all().to_pydict() == {"n": [6, 4, 2]}

    def test_each_query_has_its_own_parameters_and_columns(self, engine: Engine) -> None:
        numbers = {"numbers": pa.table({"n": [1, 2]})}
        found = [engine.query(_multiplied, numbers, times=times).read_all() for times in (2, 3, 2.0, 2)]
        assert [table["n"].to_pylist() for table in found] == [[4, 2], [6, 3], [4, 2], [4, 2]]
        assert [pa.types.is_floating(table["n"].type) for table in found] == [False, False, True, False]
        wider = engine.query(_multiplied, {"numbers": pa.table({"m": ["x"], "n": [1.5]})}, times=2).read_all()
        assert wider.to_pydict() == {"m": ["x"], "n": [3.0]}

    def test_many_rows_come_in_several_batches_and_in_order(self, engine: Engine) -> None:
        numbers = pa.table({"n": range(300_000)})
        batches = list(engine.query(_multiplied, {"numbers": numbers}, times=1))
        assert len(batches) > 1
        assert pa.Table.from_batches(batches)["n"].to_pylist() == list(reversed(range(300_000)))

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    @pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
    def test_timestamps_come_out_in_microseconds_utc(self, unit: str, zone: str, engine: Engine) -> None:
        times = pa.table({"at": pa.array([T, None], pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, zone))})
        found = engine.query(lambda times: times.select("at", day=times["at"].date()), {"times": times})
        table = found.read_all()
        assert table.schema.field("at").type == pa.timestamp("us", "UTC")
        assert table.to_pydict() == {"at": [T, None], "day": [T.date(), None]}

    def test_days_are_days_in_utc(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TZ", "Pacific/Auckland")
        times = pa.table({"at": pa.array([T + timedelta(hours=1, minutes=29)], pa.timestamp("us", "UTC"))})
        found = engine.query(lambda times: times.select(hour=times["at"].hour()), {"times": times})
        assert found.read_all().to_pydict() == {"hour": [23]}

    def test_it_reads_data_sets_of_many_files(self, engine: Engine, tmp_path: Path) -> None:
        for part in range(3):
            pq.write_table(pa.table({"n": [part]}), tmp_path / f"{part}.parquet")
        found = engine.query(_multiplied, {"numbers": ds.dataset(tmp_path, format="parquet")}, times=1)
        assert found.read_all().to_pydict() == {"n": [2, 1, 0]}

    def test_readers_that_are_dropped_early_leave_nothing_behind(self, engine: Engine) -> None:
        numbers = {"numbers": pa.table({"n": range(200_000)})}
        engine.query(_multiplied, numbers, times=1).read_next_batch()
        threads = psutil.Process().num_threads()
        for _ in range(20):
            engine.query(_multiplied, numbers, times=1).read_next_batch()
            engine.query(_multiplied, numbers, times=1)
        assert psutil.Process().num_threads() <= threads + 2

    @needs("memory_limit")
    def test_too_much_for_the_memory_is_a_sentence(self, engine: Engine) -> None:
        def collected(numbers: Any) -> ir.Table:
            pairs = numbers.cross_join(numbers.view().rename(m="n"))
            return pairs.agg(every=(pairs.n * 100_000 + pairs.m).collect())

        with pytest.raises(TesseraError):
            engine.query(collected, {"numbers": pa.table({"n": range(10_000)})}).read_all()

    def test_it_is_healthy(self, engine: Engine) -> None:
        assert engine.check().ok
