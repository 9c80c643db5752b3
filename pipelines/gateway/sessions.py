"""Sessions of browsers: 256 random bits in a cookie, of which the home keeps the SHA-256 digest and who logged in."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pipelines.gateway.request import header
from pipelines.gateway.same_origin import Authority, Scope
from resources.sqlite.file import SqliteFile

_BYTES, _WAIT_SECONDS = 32, 10
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
        todo = "Remove it; then everybody logs in again."
        self._file = SqliteFile(home / "service" / "sessions.db", _TABLES, "The sessions", todo, _WAIT_SECONDS)
        self._seconds, self._clock = seconds, clock

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
        with self._file.open() as database:
            database.execute("DELETE FROM login WHERE ends_at <= ?", (now,))
            database.execute("INSERT INTO login VALUES (?, ?, ?)", (_digest(text), login, now + seconds))
        return text, seconds

    def login(self, text: str) -> str | None:
        """Return what the session was begun with, unless it ended.

        Raises:
            TesseraError: the file cannot be used.
        """
        asked = "SELECT login FROM login WHERE digest = ? AND ends_at > ?"
        with self._file.open() as database:
            found = database.execute(asked, (_digest(text), self._clock())).fetchone()
        return found[0] if found else None

    def end(self, text: str) -> None:
        """End a session; without one, do nothing.

        Raises:
            TesseraError: the file cannot be used.
        """
        with self._file.open() as database:
            database.execute("DELETE FROM login WHERE digest = ?", (_digest(text),))


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
