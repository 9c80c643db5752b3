"""Ingestion that stops before or after any of its writes ends, run again, where an undisturbed one ends."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.stages.ingestion import run as ingestion
from assets.stages.ingestion.run import ingest
from models.ingestion import IngestionConfig
from resources.lake.delta import DeltaLake
from resources.source.fake import FakeSource, raw_rows

FIRST = date(2024, 1, 30)
CONFIG = IngestionConfig()


class Stopped(Exception):
    """The process ends here."""


class StoppingLake(DeltaLake):
    """A lake whose user dies at its `stop_at`-th write: just before it, or just after it."""

    def __init__(self, path: str, stop_at: int, after: bool = False) -> None:
        super().__init__(path)
        self.left, self.after = stop_at, after
        self.written: list[str] = []

    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        self.left -= 1
        self.written.append(table)
        if self.left == 0 and not self.after:
            raise Stopped
        version = super().replace(table, rows, by=by, first=first, last=last)
        if self.left == 0:
            raise Stopped
        return version


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def line(key: str, delivered: int, **change: Any) -> dict[str, Any]:
    return {
        "order_line_id": key,
        "order_id": f"order-{key}",
        "customer_id": "c1",
        "product_id": "p1",
        "ordered_at": datetime.combine(day(delivered), datetime.min.time(), UTC),
        "quantity": 1,
        "unit_price": 10.0,
        "currency": "EUR",
        "country": "Spain",
        "is_return": False,
        "delivered_on": day(delivered),
        **change,
    }


BEFORE = [
    *(line(f"k{n}", n) for n in range(30)),
    line("x", 20),
    line("y", 5),
    line("y", 25),
    line("bad", 6, quantity=0),
    line("worse", 26, quantity=0),
]
#: Day 5 now delivers x (which day 20 delivered) and no longer y (which day 25 delivered again); days 6 and 26 are
#: corrected, the latter outside of the newest days that each run reads again.
GONE = {("y", day(5)), ("bad", day(6)), ("worse", day(26))}
AFTER = [row for row in BEFORE if (row["order_line_id"], row["delivered_on"]) not in GONE]
AFTER += [line("x", 5, quantity=9), line("bad", 6), line("worse", 26)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a hole (days 8 to 15) and with later days, before the correction came."""
    folder = tmp_path_factory.mktemp("home")
    lake = DeltaLake(str(folder))
    source = FakeSource({"orders": raw_rows("orders", BEFORE)}, FIRST)
    ingest("orders", source, lake, day(7), CONFIG, "earlier")
    ingest("orders", source, lake, day(29), IngestionConfig(history_days=13), "earlier")
    return folder


def tables(lake: DeltaLake) -> list[pa.Table]:
    return [
        lake.scan("orders").to_table(),
        lake.scan("quarantine_orders").to_table().drop_columns(["run_id"]),
        lake.scan("ingested_orders").to_table(),
    ]


def chosen_writes(written: list[str]) -> list[int]:
    """Return the first and the last write of each table; those of chunks in between are alike."""
    places = {table: [at for at, name in enumerate(written, 1) if name == table] for table in written}
    return sorted({at for each in places.values() for at in (each[0], each[-1])})


def every_write(written: list[str]) -> list[int]:
    """Return every write."""
    return [*range(1, len(written) + 1)]


@pytest.mark.parametrize(
    ("number", "chosen"),
    [
        (7, chosen_writes),
        (29, chosen_writes),
        pytest.param(7, every_write, marks=pytest.mark.long),
        pytest.param(29, every_write, marks=pytest.mark.long),
    ],
)
def test_stopped_anywhere_and_run_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, chosen: Callable[[list[str]], list[int]]
) -> None:
    """Right after a write is right before the next one; after the last, nothing is left to do."""
    monkeypatch.setattr(ingestion, "CHUNK_ROWS", 10)
    source = FakeSource({"orders": raw_rows("orders", AFTER)}, FIRST)
    undisturbed = StoppingLake(str(shutil.copytree(home, tmp_path / "undisturbed")), stop_at=0)
    ingest("orders", source, undisturbed, day(number), CONFIG, "now")
    expected = tables(undisturbed)
    written = undisturbed.written
    assert len(written) >= 6
    assert set(written) >= {"orders", "quarantine_orders", "ingested_orders"}
    for stop_at, after in [*((at, False) for at in chosen(written)), (len(written), True)]:
        path = str(shutil.copytree(home, tmp_path / f"stopped-{stop_at}-{after}"))
        with pytest.raises(Stopped):
            ingest("orders", source, StoppingLake(path, stop_at, after), day(number), CONFIG, "now")
        lake = DeltaLake(path)
        ingest("orders", source, lake, day(number), CONFIG, "now")
        assert tables(lake) == expected, f"stopped {'after' if after else 'before'} write {stop_at}"
