"""The tests of the engine port."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import ibis
import ibis.expr.types as ir
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import TesseraError
from resources.conformance.suite import Conformance, needs
from resources.engine.port import Engine
from resources.lake.port import DataFile, TableRef

T = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)


DAY, NEXT = date(2024, 3, 31), date(2024, 4, 1)


def reference(folder: Path, table: str, rows: Mapping[date, Sequence[int]]) -> TableRef:
    """Write rows `day`, `n` and `text`, one file per day without the column `day`, and return a reference to them."""
    schema = pa.schema([("day", pa.date32()), ("n", pa.int64()), ("text", pa.string())])
    files: list[DataFile] = []
    for day, numbers in rows.items():
        path = folder / table / f"day={day}" / "part.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"n": numbers, "text": [str(number) for number in numbers]}), path)
        files.append(DataFile(str(path), day))
    return TableRef(table, 1, "day", schema, tuple(files))


def _every_row(orders: Any) -> ir.Table:
    return orders.order_by("day", "n")


def _query(engine: Engine, expression: Any, orders: TableRef) -> list[tuple[Any, ...]]:
    found = engine.query(expression, {"orders": orders}).read_all()
    return [tuple(row[name] for name in ("day", "n", "text")) for row in found.to_pylist()]


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

    def test_it_reads_the_files_of_a_reference(self, engine: Engine, tmp_path: Path) -> None:
        orders = reference(tmp_path, "orders", {DAY: [3, 1], NEXT: [2]})
        assert _query(engine, _every_row, orders) == [(DAY, 1, "1"), (DAY, 3, "3"), (NEXT, 2, "2")]
        later = replace(orders, files=orders.files[1:])
        assert _query(engine, _every_row, later) == [(NEXT, 2, "2")]
        assert _query(engine, _every_row, replace(orders, files=())) == []

    def test_a_reference_from_another_process_is_read_by_its_addresses(self, engine: Engine, tmp_path: Path) -> None:
        orders = pickle.loads(pickle.dumps(reference(tmp_path, "orders", {DAY: [1], NEXT: [2]})))  # noqa: S301 - of this test
        assert _query(engine, _every_row, orders) == [(DAY, 1, "1"), (NEXT, 2, "2")]

    def test_columns_that_a_reference_does_not_name_do_not_exist(self, engine: Engine, tmp_path: Path) -> None:
        numbers = reference(tmp_path, "numbers", {DAY: [1, 2]}).only("n")
        found = engine.query(lambda numbers: numbers, {"numbers": numbers}).read_all()
        assert found.sort_by("n").to_pydict() == {"n": [1, 2]}
        joined = engine.query(lambda numbers: numbers.join(numbers.view(), "n"), {"numbers": numbers}).read_all()
        assert joined.column_names == ["n"]

    def test_references_and_tables_are_joined(self, engine: Engine, tmp_path: Path) -> None:
        tables = {"orders": reference(tmp_path, "orders", {DAY: [1, 2]}), "wanted": pa.table({"n": [2, 5]})}
        found = engine.query(lambda orders, wanted: orders.join(wanted, "n").select("n", "text"), tables)
        assert found.read_all().to_pydict() == {"n": [2], "text": ["2"]}

    def test_files_that_a_filter_excludes_are_not_needed(self, engine: Engine, tmp_path: Path) -> None:
        """A filter on the day reaches the reading of files: the other one could not be read."""
        orders = reference(tmp_path, "orders", {DAY: [1], NEXT: [2]})
        Path(orders.files[0].address).write_bytes(b"no Parquet")

        def of_next_day(orders: Any) -> ir.Table:
            return orders.filter(orders.day == ibis.date(NEXT)).select("n")

        assert engine.query(of_next_day, {"orders": orders}).read_all().to_pydict() == {"n": [2]}

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
