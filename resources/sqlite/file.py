"""An SQLite file of a home that processes and threads open for one question or change at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.errors import TesseraError
from resources.sqlite.wal import use_wal
from resources.sqlite.whole import require_whole


@dataclass(frozen=True)
class SqliteFile:
    """A file with a write-ahead log, for its user alone; the first opening makes it.

    Attributes:
        path: of it.
        tables: SQL that makes what is missing.
        holds: what it holds, as a sentence begins, e.g. `The costs`.
        todo: for a person, where it cannot be used.
        wait_seconds: longest wait for others that write.
    """

    path: Path
    tables: str
    holds: str
    todo: str
    wait_seconds: float = 30.0

    def exists(self) -> bool:
        """Return True if it was made."""
        return self.path.exists()

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose changes are durable at the end of the block, or undone by an error.

        Raises:
            TesseraError: it cannot be read or written, is damaged or cut off, or others write for too long.
        """
        try:
            with closing(self.connect()) as database, database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise TesseraError(
                f"{self.holds} in {self.path} cannot be used: {error}.",
                expected="a readable, writable SQLite file on a disk with room",
                todo=self.todo,
            ) from error

    def connect(self) -> sqlite3.Connection:
        """Return a connection, to be closed by the caller.

        Raises:
            sqlite3.Error: the file is no whole SQLite database.
            OSError: it, or its folder, cannot be made.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            self.path.touch(mode=0o600)
        database = sqlite3.connect(self.path, timeout=self.wait_seconds)
        try:
            use_wal(database, self.wait_seconds)
            database.execute("PRAGMA synchronous = FULL")
            require_whole(database, self.path)
            database.executescript(self.tables)
        except sqlite3.Error:
            database.close()
            raise
        return database
