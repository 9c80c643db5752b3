"""The lakes: the port's promises, and what only the Delta lake does."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from models.errors import TesseraError
from resources.conformance import LakeConformance
from resources.conformance.lake import SCHEMA, A, B, all_rows, rows
from resources.lake import parts
from resources.lake.delta import DeltaLake, DeltaLakeConfig
from resources.lake.port import ErasableLake, Lake


class TestDeltaLakeOnDisk(LakeConformance):
    config = DeltaLakeConfig

    @pytest.fixture
    def lake(self, tmp_path: Path) -> Lake:
        return DeltaLakeConfig(path=str(tmp_path / "lake")).open()

    @pytest.fixture
    def holds(self, tmp_path: Path) -> Callable[[str], bool]:
        def found(key: str) -> bool:
            return any(key in pq.read_table(file)["key"].to_pylist() for file in tmp_path.rglob("part-*.parquet"))

        return found

    @pytest.mark.parametrize("name", ["", "../t", "a b", "a/b"])
    def test_names_that_could_leave_the_lake_are_refused(self, lake: Lake, name: str) -> None:
        with pytest.raises(TesseraError, match="cannot be the name"):
            lake.replace(name, rows(A, 1), by="day", first=A, last=A)

    def test_refusals_name_the_column_and_the_table(self, lake: Lake) -> None:
        lake.replace("t", rows(A, 2), by="day", first=A, last=A)
        naive = rows(A, 2).set_column(1, "at", rows(A, 2)["at"].cast(pa.timestamp("us")))
        for refused, says in ((naive, "without a time zone"), (rows(B, 2), "Rows of 2024-02-29"), (None, "no table")):
            with pytest.raises(TesseraError, match=says):
                lake.scan("tt") if refused is None else lake.replace("t", refused, by="day", first=A, last=A)

    def test_the_file_of_a_day_that_was_written_again_is_removed_when_it_is_old(self, lake: Lake) -> None:
        for count in (1, 2, 3):
            lake.replace("t", pa.concat_tables([rows(A, count), rows(B, 1)]), by="day", first=A, last=B)
        lake.replace("t", rows(B, 1), by="day", first=B, last=B)
        assert (lake.version("t"), lake.vacuum("t", keep_hours=0)) == (2, 2)

    def test_tombstones_are_no_table(self, lake: Lake) -> None:
        lake.leave_tombstone("customer", "k", day=A, why="")
        assert list(lake.tables()) == []

    def test_many_tombstones_left_together_are_one_file_and_each_is_known(self, lake: Lake, tmp_path: Path) -> None:
        assert isinstance(lake, ErasableLake)
        lake.leave_tombstone("session", "s1", day=A, why="one")
        ids = [f"s{number}" for number in range(500)]
        for _ in range(2):
            lake.leave_tombstones("session", ids, day=A, why="all visits of one customer")
        gone = lake.forgotten("session")
        assert len(gone) == 500
        assert gone.among(pa.array([*ids, "s500"])) == sorted(ids)
        files = [file.name for file in tmp_path.rglob("session/*.json")]
        assert sorted(name.startswith("many-") for name in files) == [False, True]

    @pytest.mark.slow
    def test_a_stream_is_not_held_and_its_order_is_kept(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parts, "BUFFER_BYTES", 100_000)
        held: list[int] = []
        before = pa.total_allocated_bytes()

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(20):
                held.append(pa.total_allocated_bytes() - before)
                yield rows(A, 2_000, start=number * 2_000).to_batches()[0]

        lake.replace("t", pa.RecordBatchReader.from_batches(SCHEMA, batches()), by="day", first=A, last=A)
        whole = rows(A, 40_000)
        assert max(held) < whole.nbytes / 2
        assert len(lake.files("t")) > 3
        assert all_rows(lake).equals(whole)

    def test_a_day_that_lost_a_file_leaves_the_table_and_can_be_written_again(self, lake: Lake) -> None:
        both = pa.concat_tables([rows(A, 2), rows(B, 3)])
        lake.replace("t", both, by="day", first=A, last=B)
        Path(lake.files("t", first=B, last=B)[0].removeprefix("file://")).write_bytes(b"")
        assert list(lake.repair("t")) == [B]
        assert (all_rows(lake), lake.rows_by_day("t"), list(lake.repair("t"))) == (rows(A, 2), {A: 2}, [])
        lake.replace("t", rows(B, 3), by="day", first=B, last=B)
        assert all_rows(lake) == both

    def test_equal_rows_replace_a_damaged_file(self, lake: Lake) -> None:
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        Path(lake.files("t")[0].removeprefix("file://")).write_bytes(b"")
        lake.replace("t", rows(A, 3), by="day", first=A, last=A)
        assert all_rows(lake) == rows(A, 3)

    @pytest.mark.parametrize("place", [5, 60, 400])
    def test_a_flipped_bit_in_a_file_is_never_read_as_another_value(self, lake: Lake, place: int) -> None:
        lake.replace("t", rows(A, 50), by="day", first=A, last=A)
        file = Path(lake.files("t")[0].removeprefix("file://"))
        content = bytearray(file.read_bytes())
        content[place] ^= 4
        file.write_bytes(content)
        try:
            assert all_rows(lake) == rows(A, 50)  # a bit that nothing is read from
        except (OSError, TesseraError):
            return
        assert place > 60, "these are values"

    def test_a_day_of_several_files_keeps_their_order(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parts, "BUFFER_BYTES", 20_000)
        whole = rows(A, 2_000)
        lake.replace("t", whole.to_reader(max_chunksize=200), by="day", first=A, last=A)
        before = set(lake.files("t"))
        assert len(before) > 3
        assert lake.remove("t", pc.field("key") == "k0000900") == {A: 1}
        assert all_rows(lake).equals(whole.filter(pc.field("key") != "k0000900"))
        assert len(before - set(lake.files("t"))) == 1, "only the file with the row is written again"


@pytest.mark.slow
class TestDeltaLakeThroughObjectStore(TestDeltaLakeOnDisk):
    """The way S3 goes: an address and the store's options, every byte through deltalake's object store."""

    @pytest.fixture
    def lake(self, tmp_path: Path) -> Lake:
        (tmp_path / "lake").mkdir()
        return DeltaLakeConfig(path=f"file://{tmp_path}/lake", storage_options={"timeout": "30s"}).open()


class TestDeltaLake:
    """What the port does not promise, but a Delta lake should do."""

    @pytest.mark.slow
    def test_a_month_of_nights_keeps_one_file_per_day_and_a_short_log(self, tmp_path: Path) -> None:
        lake = DeltaLake(str(tmp_path))
        for number in range(26):
            day = A + timedelta(days=number)
            three = pa.concat_tables([rows(day - timedelta(days=back), 2) for back in (2, 1, 0)])
            lake.replace("t", three, by="day", first=day - timedelta(days=2), last=day)
        assert len(lake.files("t")) == len(list((tmp_path / "t").glob("day=*/*.parquet"))) == 28
        assert any((tmp_path / "t" / "_delta_log").glob("*.checkpoint.parquet"))

    def test_another_delta_reader_finds_the_same_rows_with_a_filter(self, tmp_path: Path) -> None:
        lake = DeltaLake(str(tmp_path))
        lake.replace("t", rows(A, 8), by="day", first=A, last=A)
        others = DeltaTable(str(tmp_path / "t")).to_pyarrow_dataset()
        assert others.count_rows(filter=pc.field("amount") > 0.5) == 3

    def test_what_a_killed_writer_left_is_removed(self, tmp_path: Path) -> None:
        lake = DeltaLake(str(tmp_path))
        lake.replace("t", rows(A, 1), by="day", first=A, last=A)
        (tmp_path / "t" / f"day={A}" / "part-00000-half-done.parquet").write_bytes(b"PAR1")
        assert lake.vacuum("t", keep_hours=0) == 1
        assert lake.scan("t").count_rows() == 1

    def test_a_writer_that_waits_too_long_says_so(self, tmp_path: Path) -> None:
        lake = DeltaLake(str(tmp_path))
        impatient = DeltaLake(str(tmp_path), lock_timeout_seconds=0.01)
        caught: list[TesseraError] = []

        def write() -> None:
            try:
                impatient.replace("t", rows(A, 1), by="day", first=A, last=A)
            except TesseraError as error:
                caught.append(error)

        with lake.lock("t"):
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        assert "'t' has been written by another process" in str(caught[0])

    def test_a_path_that_cannot_be_written_is_unhealthy(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        health = DeltaLake(str(tmp_path / "file")).check()
        assert (health.ok, "stack.yaml" in health.todo) == (False, True)
        for folder in ("file", "file/lake"):
            lake = DeltaLake(str(tmp_path / folder))
            with pytest.raises(TesseraError, match="cannot be written: Not a directory"), lake.lock("t"):
                pass
