"""Answers to requests with an `Idempotency-Key`: a repeated request has no second effect and the same answer.

After the IETF draft idempotency-key-header: another body under the same key is refused (422). Errors are not stored: a
request that failed may be repeated. What is asked is stored as a keyed digest, and answers name no person.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.gateway.problem import Refusal
from pipelines.gateway.pseudonyms import Pseudonyms
from resources.sqlite.file import SqliteFile

HEADER = "Idempotency-Key"
_LONGEST = 200
_KEPT_SECONDS, _WAIT_SECONDS = 86_400, 10
_TABLE = "CREATE TABLE IF NOT EXISTS answer (place TEXT PRIMARY KEY, asked TEXT, answer TEXT, at REAL) WITHOUT ROWID"


class StoredAnswers:
    """Answers of one day, in `service/answers.db` of the home."""

    def __init__(self, home: Path) -> None:
        todo = "Repair the folder; a damaged file may be removed, and repeated requests have their effect again then."
        self._home = home
        self._file = SqliteFile(home / "service" / "answers.db", _TABLE, "The stored answers", todo, _WAIT_SECONDS)

    def once(self, place: tuple[str, str], asked: str, work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return what `work` returned when it was done first for this place, or do it and keep what it returns.

        Requests of one operation come one at a time. A server that is killed between effect and answer lets the effect
        happen again: an operation's effect is the same when it is repeated.

        Args:
            place: id of the asker's key, and the header's value.
            asked: path and body.
            work: has the effect.

        Raises:
            Refusal: the header is too long, or was used for another request.
            TesseraError: the answers cannot be stored or read.
        """
        key, given = place
        if not 0 < len(given) <= _LONGEST:
            raise Refusal(
                400, f"`{HEADER}` has {len(given)} characters.", expected=f"1 to {_LONGEST}", todo="Send a UUID."
            )
        names = Pseudonyms(self._home)
        row, digest = names.of(key, given), names.of(asked)
        with self._open() as database:
            found = database.execute("SELECT asked, answer FROM answer WHERE place = ?", (row,)).fetchone()
        if found is None:
            made = work()  # outside of a transaction: other operations store their answers meanwhile
            with self._open() as database:
                kept = (row, digest, json.dumps(made), time.time())
                database.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?)", kept)
            return made
        if found[0] != digest:
            raise Refusal(
                422,
                f"This `{HEADER}` was used for another request.",
                expected="the same path and body as before, or another key",
                todo="Make a new key for each new request.",
            )
        return json.loads(found[1])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._file.open() as database:
            database.execute("DELETE FROM answer WHERE at < ?", (time.time() - _KEPT_SECONDS,))
            yield database
