"""The sources: the port's promises, and what only those that read files do."""

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import ClassVar

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from models.contracts import ORIGINAL
from models.errors import TesseraError
from resources.conformance import SourceConformance
from resources.conformance.source import FIRST, LAST, Opener, orders
from resources.source.fake import FakeSource
from resources.source.files import FilesSourceConfig
from resources.source.port import Source
from resources.source.simulated import SimulatedSourceConfig

Write = Callable[[pa.Table, Path], None]


class TestSimulatedSource(SourceConformance):
    config = SimulatedSourceConfig

    @pytest.fixture
    def opener(self) -> Opener:
        return lambda last: SimulatedSourceConfig(customers=150, first_day=FIRST.isoformat(), seed=3).open()

    def test_an_unknown_table_names_the_nearest(self, source: Source) -> None:
        with pytest.raises(TesseraError, match="did you mean 'orders'"):
            source.read("order", FIRST, LAST)


class TestFakeSource(SourceConformance):
    config = dg.Config

    @pytest.fixture
    def opener(self) -> Opener:
        def opened(last: date) -> Source:
            until = pc.field("delivered_on") <= pa.scalar(last)
            return FakeSource({table: rows.filter(until) for table, rows in _all_tables().items()}, FIRST)

        return opened


@cache
def _all_tables() -> dict[str, pa.Table]:
    source = SimulatedSourceConfig(customers=150, first_day=FIRST.isoformat(), seed=3).open()
    return {table: source.read(table, FIRST, LAST).read_all() for table in source.tables()}


def _parquet(rows: pa.Table, file: Path) -> None:
    naive = rows["ordered_at"].cast(pa.timestamp("ns"))
    pq.write_table(rows.set_column(rows.column_names.index("ordered_at"), "ordered_at", naive), file)


def _csv(rows: pa.Table, file: Path) -> None:
    from pyarrow import csv

    csv.write_csv(rows, file)


class TestFilesSource(SourceConformance):
    """The simulated orders as files of a week each, their times naive."""

    config = FilesSourceConfig
    written: ClassVar[tuple[Write, str]] = (_parquet, ".parquet")

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        write, end = self.written

        def opened(last: date) -> Source:
            folder = tmp_path / last.isoformat()
            folder.mkdir(exist_ok=True)
            rows = orders(last)
            for start in range(0, (last - FIRST).days + 1, 7):
                week = [FIRST + timedelta(days=start + day) for day in range(7)]
                write(
                    rows.filter(pc.field("delivered_on").isin(week)).drop_columns([ORIGINAL]),
                    folder / f"{week[0]}{end}",
                )
            table = {"location": str(folder), "delivered_on": "delivered_on"}
            return FilesSourceConfig(tables={"orders": table}, cache=str(tmp_path / "cache")).open()

        return opened

    def test_files_give_back_the_rows_that_were_written_to_them(self, source: Source) -> None:
        found = source.read("orders", FIRST, LAST).read_all()
        assert found.drop_columns([ORIGINAL]).combine_chunks() == orders(LAST).drop_columns([ORIGINAL]).combine_chunks()


@pytest.mark.slow
class TestFilesSourceOfCsv(TestFilesSource):
    """All values are texts."""

    written: ClassVar = (_csv, ".csv")
