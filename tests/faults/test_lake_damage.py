"""Whatever file of a lake is damaged: the rows come back, or leave the table by whole days that are named."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets.stages.ingestion.completeness_log import complete_days
from assets.stages.ingestion.run import ingest
from models.errors import TesseraError
from models.ingestion import IngestionConfig
from resources.lake.delta import DeltaLake
from resources.source.fake import FakeSource, raw_rows

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(4)]


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "emptied": lambda file: file.write_bytes(b""),
    "half": half,
    "deleted": Path.unlink,
    "one bit": flipped,
}


def rows(day: date) -> pa.Table:
    return pa.table({"k": list(range(day.day * 10, day.day * 10 + 5)), "day": pa.array([day] * 5, pa.date32())})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one table: two commits, a checkpoint, two more commits."""
    folder = tmp_path_factory.mktemp("whole")
    lake = DeltaLake(str(folder))
    for number, day in enumerate(DAYS):
        lake.replace("t", rows(day), by="day", first=day, last=day)
        if number == 1:
            lake.vacuum("t", keep_hours=100)
    return folder


def files_of(folder: Path) -> list[Path]:
    return sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock")


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_damaged_file_of_a_table(whole: Path, tmp_path: Path, damage: str) -> None:
    truth = {day: rows(day) for day in DAYS}
    for number, file in enumerate(files_of(whole)):
        folder = shutil.copytree(whole, tmp_path / str(number))
        DAMAGES[damage](folder / file)
        lake = DeltaLake(str(folder))
        lost = list(lake.repair("t"))
        assert len(lost) == (1 if file.suffix == ".parquet" and "day=" in str(file) else 0), file
        left = [truth[day] for day in DAYS if day not in lost]
        assert lake.scan("t").to_table() == pa.concat_tables(left), file
        for day in lost:
            lake.replace("t", truth[day], by="day", first=day, last=day)
        assert DeltaLake(str(folder)).scan("t").to_table() == pa.concat_tables([*truth.values()]), file


@pytest.mark.parametrize("damage", ["emptied", "half", "deleted"])
def test_a_damaged_day_is_named_by_whoever_reads_it_and_no_other_day_is(
    whole: Path, tmp_path: Path, damage: str
) -> None:
    folder = shutil.copytree(whole, tmp_path / "home")
    (file,) = (folder / "t" / f"day={DAYS[1]}").glob("*.parquet")
    DAMAGES[damage](file)
    lake = DeltaLake(str(folder))
    for read in (lake.scan, lake.files):
        with pytest.raises(TesseraError, match=rf"lost rows of 't' of {DAYS[1]}: .*tessera run JOB --date {DAYS[1]}"):
            read("t")
    assert lake.scan("t", first=DAYS[2]).to_table() == pa.concat_tables([rows(DAYS[2]), rows(DAYS[3])])
    assert len(lake.files("t", last=DAYS[0])) == 1


def test_a_lost_log_is_restored_before_it_is_read(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "home")
    shutil.rmtree(folder / "t" / "_delta_log")
    lake = DeltaLake(str(folder))
    assert lake.exists("t")
    assert lake.scan("t").to_table() == pa.concat_tables([rows(day) for day in DAYS])


def test_with_log_and_manifest_damaged_a_sentence_says_so(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "home")
    for entry in (folder / "t" / "_delta_log").glob("*.json"):
        half(entry)
    (folder / "t" / "_manifest.json").unlink()
    with pytest.raises(TesseraError, match="and so is its manifest"):
        DeltaLake(str(folder)).scan("t")


def line(key: str, number: int, quantity: int = 1) -> dict[str, Any]:
    return {
        "order_line_id": key,
        "order_id": f"o-{key}",
        "customer_id": "c1",
        "product_id": "p1",
        "ordered_at": datetime.combine(DAYS[number], datetime.min.time(), UTC),
        "quantity": quantity,
        "unit_price": 10.0,
        "currency": "EUR",
        "country": "Spain",
        "is_return": False,
        "delivered_on": DAYS[number],
    }


LINES = [line("a", 0), line("b", 1), line("bad", 1, 0), line("c", 2), line("a", 2), line("d", 3)]


def ingested(lake: DeltaLake) -> None:
    source = FakeSource({"orders": raw_rows("orders", LINES)}, FIRST)
    ingest("orders", source, lake, DAYS[-1], IngestionConfig(redelivery_days=1, max_quarantined_share=1), "r")


def tables(lake: DeltaLake) -> list[object]:
    names = ("orders", "quarantine_orders", "ingested_orders")
    return [*(lake.scan(name).to_table() for name in names), complete_days(lake, "orders")]


def test_the_next_ingestion_after_any_damage_ends_with_the_same_tables(tmp_path: Path) -> None:
    home = tmp_path / "home"
    lake = DeltaLake(str(home))
    ingested(lake)
    truth = tables(lake)
    files = [file for file in files_of(home) if file.name != "_manifest.json"]
    for number, file in enumerate(files):  # each damage of each kind of file is tried above
        damage = [*DAMAGES][number % len(DAMAGES)]
        folder = shutil.copytree(home, tmp_path / str(number))
        DAMAGES[damage](folder / file)
        damaged = DeltaLake(str(folder))
        ingested(damaged)
        assert tables(damaged) == truth, (file, damage)
