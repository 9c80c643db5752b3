"""SQLite's write-ahead log, in which readers do not wait for a writer."""

import sqlite3
import time

_PAUSE_SECONDS = 0.01


def use_wal(connection: sqlite3.Connection, wait_seconds: float = 5.0) -> None:
    """Switch the database to a write-ahead log, unless it has one; of two that switch at once, one waits for the other.

    SQLite itself lets neither wait, whatever the connection's timeout.

    Raises:
        sqlite3.OperationalError: another process holds the database for longer.
    """
    until = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
