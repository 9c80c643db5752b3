"""Grouping of notices: one fault is one open notice, by whichever run, check or clock it is found.

A night that fails, its repetition, the fallback in its place and the deadline that passes are one fault; so is a
delivery that stops the nights of several applications of one owner. Each names its faults in the context; a notice that
names one of an open notice joins it: it is counted, said in its body, and sent again only if it is more urgent.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from resources.notifier.port import OWNER, Level

#: Key of a context: what the notice is about; between two faults stands `BETWEEN`.
FAULT, BETWEEN = "fault", "; "
TABLE = """
CREATE TABLE IF NOT EXISTS fault (
    key TEXT NOT NULL,
    occasion TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (key, occasion, id)
) WITHOUT ROWID;
"""
_ABOUT = "SELECT value FROM json_each(?)"
_OPEN = f"""
SELECT * FROM notice
WHERE acknowledged_at IS NULL AND (about IN ({_ABOUT}) OR id IN (SELECT id FROM fault WHERE key IN ({_ABOUT})))
ORDER BY number LIMIT 1
"""  # noqa: S608 - ours
_KNOWN = f"SELECT 1 FROM fault WHERE key IN ({_ABOUT}) AND occasion = ?"  # noqa: S608 - ours
_UNUSED = "DELETE FROM fault WHERE id NOT IN (SELECT id FROM notice)"
#: Begins what joined a notice: its subject, and on the next lines its words.
_ALSO = "\nAlso: "
_URGENCY: Sequence[Level] = ("info", "warning", "error")


def fault_of_night(app: str, day: str) -> str:
    """Return the fault that an application's night of a day has nothing, or not the usual, to publish."""
    return f"{app} night {day}"


def fault_of_run(job: str, app: str, day: str) -> str:
    """Return the fault that a run failed; a night and its fallback are one."""
    if not day:
        return job
    return fault_of_night(app, day) if app and job in (f"{app}_nightly", f"{app}_fallback") else f"{job} {day}"


def keys_of(subject: str, context: Mapping[str, str]) -> list[str]:
    """Return what a notice is about: its faults, by owner; without any, its subject of an application and alert."""
    if found := context.get(FAULT, ""):
        return [json.dumps([context.get(OWNER, ""), fault]) for fault in found.split(BETWEEN)]
    return [json.dumps([context.get("app", ""), context.get("alert", ""), subject])]


def open_notice(database: sqlite3.Connection, keys: Sequence[str]) -> sqlite3.Row | None:
    """Return the oldest open notice about one of these."""
    about = json.dumps(keys)
    return database.execute(_OPEN, (about, about)).fetchone()


def was_told(database: sqlite3.Connection, keys: Sequence[str], occasion: str) -> bool:
    """Return True if this occasion of a fault is part of a notice, also of one that a person has acknowledged."""
    return bool(occasion) and database.execute(_KNOWN, (json.dumps(keys), occasion)).fetchone() is not None


def remember(database: sqlite3.Connection, keys: Sequence[str], occasion: str, id: str) -> None:
    """Keep that a notice is about these faults; what no notice is about any more is removed."""
    database.executemany("INSERT OR IGNORE INTO fault VALUES (?, ?, ?)", [(key, occasion, id) for key in keys])
    database.execute(_UNUSED)


def joined(row: sqlite3.Row, level: Level, subject: str, body: str) -> tuple[str, Level]:
    """Return body and level of an open notice after another one joined it: the newest words of each subject."""
    level = max(level, row["level"], key=_URGENCY.index)
    first, *others = row["body"].split(_ALSO)
    parts = {row["subject"]: first}
    for other in others:
        name, _, words = other.partition("\n")
        parts[name] = words
    parts[subject] = body
    first = parts.pop(row["subject"])
    return first + "".join(f"{_ALSO}{name}\n{words}" for name, words in parts.items()), level


def is_more_urgent(level: Level, than: Level) -> bool:
    """Return True if the first of two levels asks for more haste."""
    return _URGENCY.index(level) > _URGENCY.index(than)
