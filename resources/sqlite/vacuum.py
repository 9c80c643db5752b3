"""Removes from an SQLite file, and from its log, the bytes of rows that were deleted."""

import sqlite3
import time

_WAIT_SECONDS = 30.0
_PAUSE_SECONDS = 0.01


def scrub(connection: sqlite3.Connection) -> None:
    """Rewrite the file (in WAL mode) and truncate its log, even while in use: no byte of deleted rows is left.

    `secure_delete` alone is not enough: pages that were divided keep copies of rows in their unused parts.

    Raises:
        sqlite3.OperationalError: others read or write it without a pause for half a minute.
    """
    connection.execute("VACUUM")
    until = time.monotonic() + _WAIT_SECONDS
    # SQLite waits for readers and writers, but not for one that moves the log into the file at this moment.
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > until:
            raise sqlite3.OperationalError("others use it all the time, so its log cannot be cut")
        time.sleep(_PAUSE_SECONDS)
