"""Of two that switch a SQLite file to its write-ahead log at once, one waits."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from resources.sqlite.wal import use_wal


@pytest.fixture
def held(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that keeps everybody else out of the file."""
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_the_switch_waits_until_the_other_has_ended(held: sqlite3.Connection, tmp_path: Path) -> None:
    release = threading.Timer(0.05, lambda: held.execute("COMMIT"))
    with closing(sqlite3.connect(tmp_path / "a.db", timeout=0)) as connection:
        release.start()
        use_wal(connection)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    release.join()


def test_it_does_not_wait_for_ever(held: sqlite3.Connection, tmp_path: Path) -> None:
    assert held.in_transaction
    with (
        closing(sqlite3.connect(tmp_path / "a.db", timeout=0)) as connection,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        use_wal(connection, 0.02)
