"""An SQLite file of a home: made for its user alone, changed whole or not, refused when it is damaged."""

import sqlite3
import stat
from pathlib import Path

import pytest

from models.errors import TesseraError
from resources.sqlite.file import SqliteFile


def made(folder: Path) -> SqliteFile:
    file = SqliteFile(
        folder / "a" / "b.db", "CREATE TABLE IF NOT EXISTS t (x INTEGER);", "The numbers", "Remove it.", 1
    )
    with file.open() as database:
        database.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(2000)])
    return file


def count(file: SqliteFile) -> int:
    with file.open() as database:
        return database.execute("SELECT count(*) FROM t").fetchone()[0]


def test_a_change_is_whole_or_undone_and_the_file_is_for_its_user(tmp_path: Path) -> None:
    file = made(tmp_path)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600

    def broken() -> None:
        with file.open() as database:
            database.execute("DELETE FROM t")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert count(file) == 2000


@pytest.mark.parametrize("content", [b"no database" * 500, None])
def test_a_damaged_or_cut_file_is_refused_with_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    file = made(tmp_path)
    file.path.write_bytes(content or file.path.read_bytes()[:8192])
    for _ in range(2):
        with pytest.raises(TesseraError, match=r"^The numbers in .*b\.db cannot be used: .*Remove it\.$"):
            count(file)


def test_one_that_waits_for_another_writer_gives_up(tmp_path: Path) -> None:
    file = SqliteFile(made(tmp_path).path, "", "The numbers", "Wait.", 0.05)
    with file.open() as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(TesseraError, match="locked") as refused, file.open() as other:
            other.execute("BEGIN IMMEDIATE")
    assert isinstance(refused.value.__cause__, sqlite3.OperationalError)
