"""Rollouts of the service, and what both models answered: one SQLite file in the home."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.rollouts import ComparedScore, RolloutChange
from resources.sqlite.file import SqliteFile

#: In the folder of a home.
FILE = Path("service") / "rollouts.db"
#: Scores of an application that are kept, the newest.
KEPT_SCORES = 20_000
_WAIT_SECONDS = 10
_TABLES = """
CREATE TABLE IF NOT EXISTS change (
    number INTEGER PRIMARY KEY, app TEXT NOT NULL, version TEXT NOT NULL, action TEXT NOT NULL, share REAL NOT NULL,
    at TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS score (
    number INTEGER PRIMARY KEY, rollout INTEGER NOT NULL, champion TEXT NOT NULL, champion_score REAL NOT NULL,
    score REAL, champion_ms REAL NOT NULL, ms REAL NOT NULL, is_served INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS score_of_rollout ON score (rollout, number);
"""
_CHANGE = "app, version, action, share, at, who, why"
_OF_APP = f"SELECT number, {_CHANGE} FROM change WHERE app = ? ORDER BY number"  # noqa: S608 - ours
_LAST = f"""
SELECT number, {_CHANGE} FROM change WHERE app = (SELECT app FROM change WHERE number = ?) ORDER BY number DESC LIMIT 1
"""  # noqa: S608 - ours
_INSERT = f"INSERT INTO change ({_CHANGE}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - ours
_MAKE_ROOM = """
DELETE FROM score WHERE rollout = ? AND number <=
    (SELECT number FROM score WHERE rollout = ? ORDER BY number DESC LIMIT 1 OFFSET ?)
"""


class RolloutLog:
    """Changes and compared scores; safe to use from several threads and processes.

    Args:
        home: of the profile; the file is made by the first change.
    """

    def __init__(self, home: Path) -> None:
        todo = "Move it away, if it is damaged: rollouts end with it, and the champion answers alone."
        self._file = SqliteFile(home / FILE, _TABLES, "The rollouts", todo, _WAIT_SECONDS)

    def change(self, change: RolloutChange) -> None:
        """Record a start or an end."""
        with self._file.open() as database:
            _insert(database, change)

    def end(self, number: int, *, who: str, why: str) -> RolloutChange | None:
        """Record the end of a rollout and return it; None if it has ended before, or another one began."""
        with self._file.open() as database:
            database.execute("BEGIN IMMEDIATE")
            last = database.execute(_LAST, (number,)).fetchone()
            if last is None or last[0] != number or last[3] != "start":
                return None
            ended = replace(_change(last[1:]), action="stop", at=datetime.now(UTC), who=who, why=why)
            _insert(database, ended)
        return ended

    def changes(self, app: str) -> list[RolloutChange]:
        """Return every change of an application, oldest first."""
        return [change for _, change in self._changes(app)]

    def standing(self, app: str) -> tuple[int, RolloutChange] | None:
        """Return the rollout that goes on, with its number; None if there is none."""
        changes = self._changes(app)
        return changes[-1] if changes and changes[-1][1].action == "start" else None

    def add(self, rollout: int, scores: Sequence[ComparedScore]) -> None:
        """Record scores of both models; the oldest make room."""
        rows = [(rollout, *astuple(one)) for one in scores]
        with self._file.open() as database:
            database.executemany(
                "INSERT INTO score (rollout, champion, champion_score, score, champion_ms, ms, is_served)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            database.execute(_MAKE_ROOM, (rollout, rollout, KEPT_SCORES))

    def scores(self, rollout: int) -> list[ComparedScore]:
        """Return the scores of a rollout that are kept, oldest first."""
        query = (
            "SELECT champion, champion_score, score, champion_ms, ms, is_served FROM score"
            " WHERE rollout = ? ORDER BY number"
        )
        if not self._file.exists():
            return []
        with self._file.open() as database:
            return [
                ComparedScore(champion, old, new, champion_ms, ms, bool(is_served))
                for champion, old, new, champion_ms, ms, is_served in database.execute(query, (rollout,))
            ]

    def _changes(self, app: str) -> list[tuple[int, RolloutChange]]:
        if not self._file.exists():
            return []
        with self._file.open() as database:
            return [(row[0], _change(row[1:])) for row in database.execute(_OF_APP, (app,))]


def _insert(database: sqlite3.Connection, change: RolloutChange) -> None:
    row = (change.app, change.version, change.action, change.share, change.at.isoformat(), change.who, change.why)
    database.execute(_INSERT, row)


def _change(row: Sequence[Any]) -> RolloutChange:
    app, version, action, share, at, who, why = row
    return RolloutChange(app, version, action, share, datetime.fromisoformat(at).astimezone(UTC), who, why)
