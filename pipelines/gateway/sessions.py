"""Sessions of browsers: 256 random bits in a cookie, of which the home keeps the SHA-256 digest and who logged in."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from models.errors import TesseraError
from pipelines.gateway.request import header
from pipelines.gateway.same_origin import Authority, Scope

_BYTES = 32
_TABLES = """
DROP TABLE IF EXISTS session;
CREATE TABLE IF NOT EXISTS login (digest TEXT PRIMARY KEY, login TEXT NOT NULL, ends_at REAL NOT NULL) WITHOUT ROWID;
"""


class Sessions:
    """Sessions in `service/sessions.db` of the home.

    Args:
        home: folder of the profile's data.
        seconds: after which a session ends at the latest.
        clock: seconds since 1970.
    """

    def __init__(self, home: Path, *, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._file, self._seconds, self._clock = home / "service" / "sessions.db", seconds, clock

    def begin(self, login: str, ends_at: float = float("inf")) -> tuple[str, float]:
        """Return the text of a new session, and the seconds after which it ends; sessions that ended are removed.

        Args:
            login: by which its holder is found.
            ends_at: it is no longer than this, seconds since 1970.

        Raises:
            TesseraError: the file cannot be used.
        """
        text, now = secrets.token_urlsafe(_BYTES), self._clock()
        seconds = max(min(self._seconds, ends_at - now), 0.0)
        with self._open() as database:
            database.execute("DELETE FROM login WHERE ends_at <= ?", (now,))
            database.execute("INSERT INTO login VALUES (?, ?, ?)", (_digest(text), login, now + seconds))
        return text, seconds

    def login(self, text: str) -> str | None:
        """Return what the session was begun with, unless it ended.

        Raises:
            TesseraError: the file cannot be used.
        """
        asked = "SELECT login FROM login WHERE digest = ? AND ends_at > ?"
        with self._open() as database:
            found = database.execute(asked, (_digest(text), self._clock())).fetchone()
        return found[0] if found else None

    def end(self, text: str) -> None:
        """End a session; without one, do nothing.

        Raises:
            TesseraError: the file cannot be used.
        """
        with self._open() as database:
            database.execute("DELETE FROM login WHERE digest = ?", (_digest(text),))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._file.exists():
            self._file.touch(mode=0o600)
        try:
            with closing(sqlite3.connect(self._file, timeout=10)) as database, database:
                database.executescript(_TABLES)
                yield database
        except sqlite3.Error as error:
            raise TesseraError(
                f"The sessions in {self._file} cannot be used: {error}.",
                expected="the file as `tessera dev` wrote it",
                todo="Remove it; then everybody logs in again.",
            ) from None


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def cookie_name(scope: Scope, *, is_secure: bool) -> str:
    """Return the name of the cookie: cookies are shared by all ports of a name, so the port is in it.

    A browser takes `__Host-` only over TLS, from this name itself.
    """
    host = Authority.parse(header(scope, b"host"))
    port = f"-{host.port}" if host is not None and host.port else ""
    return f"__Host-tessera{port}" if is_secure else f"tessera{port}"


def session_text(scope: Scope) -> str:
    """Return the session that the request's cookies bring, or ""."""
    pairs = (pair.strip().partition("=") for pair in header(scope, b"cookie").split(";"))
    found = {name: value for name, _, value in pairs}
    names = (cookie_name(scope, is_secure=is_secure) for is_secure in (True, False))
    return next((found[name] for name in names if found.get(name)), "")


def is_change(scope: Scope) -> bool:
    """Return True for what a cookie alone must not cause: a request that may have an effect, or a websocket."""
    return scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
