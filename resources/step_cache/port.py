"""The values of cached steps in an SQLite file, for `models.compose.call.Call.cache`.

A key holds the step's name, its version and the content that it was given, so that an entry never becomes wrong; one
that is damaged is a miss. Entries that were not used for longest go.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from resources.sqlite.wal import use_wal
from resources.step_cache.content import from_bytes, to_bytes

_LOGGER = logging.getLogger(__name__)
_TABLE = """CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, used INTEGER NOT NULL, content BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS entry_used ON entry (used)"""
#: Keys of one statement; older SQLite takes 999 values.
_AT_ONCE = 500
_BUSY_SECONDS = 5.0
#: Seconds within which an entry's use is noted once.
_NOTED_SECONDS = 60
_SUM_BYTES = 16


class StepCache:
    """Values by key; any number of processes and threads may share the file.

    It never makes a step fail: what cannot be read is computed again, what cannot be written is not kept, and a warning
    says so.

    Args:
        file: made if missing, with its folder.
        max_entries: kept at most.
    """

    def __init__(self, file: Path, max_entries: int = 100_000) -> None:
        self._file, self._max_entries = file, max_entries
        self._lock = threading.Lock()
        #: By process: a forked child opens its own.
        self._connections: dict[int, sqlite3.Connection] = {}

    def get(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the values of the keys that it holds."""
        found: dict[str, Mapping[str, Any]] = {}
        with self._lock:
            try:
                connection = self._connected()
                for start in range(0, len(keys), _AT_ONCE):
                    found |= _read(connection, keys[start : start + _AT_ONCE])
            except (sqlite3.Error, OSError) as error:
                self._warn("read", error)
        return found

    def put(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep values, all or none of them; those that are no JSON, vectors or timestamps are not kept."""
        now = int(time.time())
        packed = [(key, now, _sealed(key, content)) for key, one in values.items() if (content := to_bytes(one))]
        with self._lock:
            try:
                with self._connected() as connection:
                    connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", packed)
                    over = connection.execute("SELECT count(*) FROM entry").fetchone()[0] - self._max_entries
                    if over > 0:
                        oldest = "SELECT key FROM entry ORDER BY used, rowid LIMIT ?"
                        connection.execute(f"DELETE FROM entry WHERE key IN ({oldest})", [over])  # noqa: S608
            except (sqlite3.Error, OSError) as error:
                self._warn("written", error)

    def close(self) -> None:
        """Close the file; asked again, it is opened again."""
        with self._lock:
            connection = self._connections.pop(os.getpid(), None)
            if connection is not None:
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        known = self._connections.get(os.getpid())
        if known is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            known = self._connections[os.getpid()] = _opened(self._file)
        return known

    def _warn(self, what: str, error: Exception) -> None:
        _LOGGER.warning("The cache of steps in %s cannot be %s: %s.", self._file, what, error)
        connection = self._connections.pop(os.getpid(), None)
        if connection is not None:
            connection.close()
        if _is_damaged(error):
            # Others that have it open go on with the file that they see; the next who opens it makes a new one.
            for suffix in ("", "-wal", "-shm"):
                self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        use_wal(connection, _BUSY_SECONDS)
        # After a power cut the last entries are missing, and none is half there.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _read(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    marks = ", ".join("?" * len(keys))
    query = f"SELECT key, used, CAST(content AS BLOB) FROM entry WHERE key IN ({marks})"  # noqa: S608
    with closing(connection.execute(query, keys)) as rows:
        there = rows.fetchall()
    found = {key: values for key, _, content in there if (values := _opened_seal(key, content)) is not None}
    now = int(time.time())
    due = [(now, key) for key, used, _ in there if key in found and used < now - _NOTED_SECONDS]
    if due:
        with connection:
            connection.executemany("UPDATE entry SET used = ? WHERE key = ?", due)
    return found


def _sealed(key: str, content: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + content, digest_size=_SUM_BYTES).digest() + content


def _opened_seal(key: str, sealed: object) -> Mapping[str, Any] | None:
    if not isinstance(sealed, bytes):
        return None
    content = sealed[_SUM_BYTES:]
    return from_bytes(content) if _sealed(key, content) == sealed else None


def _is_damaged(error: Exception) -> bool:
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in damaged
