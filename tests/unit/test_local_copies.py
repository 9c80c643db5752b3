"""Local copies of a remote lake's files: made once, whole, and gone with the file."""

from pathlib import Path

import pyarrow.fs as pa_fs
import pytest

from models.errors import TesseraError
from resources.lake.local_copies import LocalCopies

PATHS = ["day=2024-01-01/a.parquet", "day=2024-01-02/b.parquet"]


@pytest.fixture
def store(tmp_path: Path) -> pa_fs.FileSystem:
    for number, path in enumerate(PATHS):
        file = tmp_path / "store" / path
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * (number + 1))
    return pa_fs.SubTreeFileSystem(str(tmp_path / "store"), pa_fs.LocalFileSystem())


SIZES = {PATHS[0]: 1, PATHS[1]: 2}


def test_copies_keep_order_and_folders_and_are_private(store: pa_fs.FileSystem, tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path / "copies").of("t", store, PATHS[::-1], SIZES)
    assert copies == [str(tmp_path / "copies" / "t" / path) for path in PATHS[::-1]]
    assert [Path(copy).read_bytes() for copy in copies] == [b"xx", b"x"]
    assert (tmp_path / "copies").stat().st_mode & 0o077 == 0


def test_a_file_is_fetched_once(store: pa_fs.FileSystem, tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path / "copies")
    copies.of("t", store, PATHS, SIZES)
    (tmp_path / "store" / PATHS[0]).unlink()
    assert len(copies.of("t", store, PATHS, SIZES)) == 2


def test_a_copy_goes_when_the_table_no_longer_lists_the_file(store: pa_fs.FileSystem, tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path / "copies")
    first, second = copies.of("t", store, PATHS, SIZES)
    copies.of("t", store, PATHS[1:], {PATHS[1]: 2})
    assert (Path(first).exists(), Path(second).exists()) == (False, True)
    copies.drop("t")
    assert not (tmp_path / "copies" / "t").exists()


@pytest.mark.parametrize("listed", [0, 1, 3])
def test_half_a_file_is_refused_and_leaves_no_copy(store: pa_fs.FileSystem, tmp_path: Path, listed: int) -> None:
    copies = LocalCopies(tmp_path / "copies")
    with pytest.raises(TesseraError, match="2 bytes in the store"):
        copies.of("t", store, [PATHS[1]], {PATHS[1]: listed})
    assert [file for file in (tmp_path / "copies").rglob("*") if file.is_file()] == []
