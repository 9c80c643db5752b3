"""A table is opened once until something in its folder changes, and never read as it was before a change."""

import os
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from models.errors import TesseraError
from resources.lake import table_log
from resources.lake.delta import DeltaLake
from resources.lake.open_tables import OpenTable, OpenTables

DAY, OTHER = date(2024, 5, 1), date(2024, 5, 2)


def write(lake: DeltaLake, number: int, day: date = DAY, table: str = "t") -> None:
    lake.replace(table, pa.table({"n": [number], "day": pa.array([day])}), by="day", first=day, last=day)


def numbers(lake: DeltaLake) -> list[int]:
    return sorted(lake.scan("t").to_table()["n"].to_pylist())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of the tables that were opened, in order."""
    addresses: list[str] = []

    def counted(uri: str, **options: object) -> DeltaTable:
        addresses.append(uri)
        return DeltaTable(uri, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(table_log, "DeltaTable", counted)
    return addresses


def test_a_table_is_opened_once_and_by_writers_but_never_after_a_write_of_ours(
    tmp_path: Path, opened: list[str]
) -> None:
    write(DeltaLake(str(tmp_path)), 1)
    opened.clear()
    for lake in (DeltaLake(str(tmp_path)) for _ in range(3)):  # each step of a run opens the lake anew
        assert (numbers(lake), lake.days("t"), lake.version("t")) == ([1], [DAY], 0)
        assert lake.repair("t") == []
    assert opened == []
    write(lake, 2, OTHER)
    assert [numbers(lake) for _ in range(2)] == [[1, 2], [1, 2]]
    assert len(opened) == 1, "the writer's own, which it updates"
    moved = DeltaLake(str(shutil.copytree(tmp_path, tmp_path / "moved")))
    opened.clear()
    assert [numbers(moved) for _ in range(2)] == [[1, 2], [1, 2]]
    assert len(opened) == 1


def test_a_version_of_a_writer_without_our_lock_is_read(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    write(lake, 1)
    theirs = DeltaTable(str(tmp_path / "t"))
    settle = table_log.TableLog.settle

    def write_first(log: table_log.TableLog, standing: OpenTable) -> None:
        """Another writer commits after ours, before ours has kept its version."""
        theirs.update_incremental()
        theirs.delete()
        settle(log, standing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_log.TableLog, "settle", write_first)
        write(lake, 2, OTHER)
    assert numbers(lake) == []


def test_another_process_that_writes_is_seen_at_once(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path / "here"))
    for number in range(5):
        write(lake, number)
        assert numbers(lake) == [number]
        theirs = DeltaLake(str(shutil.copytree(tmp_path / "here", tmp_path / f"there-{number}")))
        write(theirs, 100 + number)
        shutil.rmtree(tmp_path / "here")
        shutil.move(tmp_path / f"there-{number}", tmp_path / "here")
        assert numbers(lake) == [100 + number]


def test_a_log_that_loses_something_while_the_table_is_open_is_restored(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    write(lake, 1)
    write(lake, 2, OTHER)
    assert numbers(lake) == [1, 2]
    entry = max((tmp_path / "t" / "_delta_log").glob("*.json"))
    os.truncate(entry, 0)
    assert numbers(lake) == [1, 2]
    assert not entry.exists(), "the log was made again"


def test_a_data_file_that_vanishes_while_the_table_is_open_is_named(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    write(lake, 1)
    assert numbers(lake) == [1]
    (file,) = (tmp_path / "t").rglob("*.parquet")
    file.unlink()
    with pytest.raises(TesseraError, match=str(DAY)):
        lake.scan("t")


def test_a_dropped_table_is_gone_and_one_of_its_name_is_another(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    write(lake, 1)
    assert numbers(lake) == [1]
    lake.drop("t")
    assert not lake.exists("t")
    write(lake, 7)
    assert numbers(lake) == [7]


def test_a_writer_leaves_what_a_reader_holds_as_it_was(tmp_path: Path) -> None:
    lake = DeltaLake(str(tmp_path))
    write(lake, 1)
    before = lake.scan("t")
    write(lake, 2, OTHER)
    assert before.to_table()["n"].to_pylist() == [1]
    assert numbers(lake) == [1, 2]


def test_only_the_tables_opened_last_are_kept(tmp_path: Path) -> None:
    lake, tables = DeltaLake(str(tmp_path)), OpenTables(kept=2)
    for name in "abc":
        write(lake, 1, table=name)
    found: list[str] = []

    def read(name: str) -> None:
        def opens() -> None:
            found.append(name)

        log = table_log.TableLog(str(tmp_path / name), lake._files(name), {}, is_local=True)  # pyright: ignore[reportPrivateUsage]
        tables.of(tmp_path / name, lambda: opens() or log.read())

    for name in "ababcab":
        read(name)
    assert found == ["a", "b", "c", "a", "b"]
