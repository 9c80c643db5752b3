"""Finds an SQLite file that was cut off: SQLite itself says so only when it reads a page that is missing."""

import sqlite3
from pathlib import Path


def require_whole(connection: sqlite3.Connection, file: Path) -> None:
    """Compare the pages that a database says it has with the size of its file.

    Raises:
        sqlite3.DatabaseError: pages are missing, and no log has them.
    """
    if _missing(connection, file) and not _has_log(file) and (missing := _missing(connection, file)):
        # Asked twice: in between, another process may have moved its log into the file.
        raise sqlite3.DatabaseError(f"the file is cut off: {missing:,} bytes are missing")


def _missing(connection: sqlite3.Connection, file: Path) -> int:
    """Return the number of bytes that a file lacks."""
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return max(pages * size - file.stat().st_size, 0) if pages else 0


def _has_log(file: Path) -> bool:
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0
