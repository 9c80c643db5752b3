"""A notifier of a third party: rows of a table in SQLite."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Literal

import dagster as dg

from resources.health import Health
from resources.notifier.port import ErasableNotifier, Level


class TableNotifierConfig(dg.Config):
    """Rows of the table `notice` in a file of SQLite."""

    kind: Literal["table"] = "table"
    file: str

    def open(self) -> "TableNotifier":
        return TableNotifier(self.file)


class TableNotifier(ErasableNotifier):
    def __init__(self, file: str) -> None:
        self.file = file

    def notify(self, level: Level, subject: str, body: str, context: Mapping[str, str]) -> None:
        with closing(self._connect()) as connection, connection:
            row = (level, subject, body, json.dumps(dict(context)))
            connection.execute("INSERT INTO notice VALUES (?, ?, ?, ?)", row)

    def forget(self, is_named: Callable[[str], bool]) -> int:
        with closing(self._connect()) as connection, connection:
            rows = connection.execute("SELECT rowid, context FROM notice").fetchall()
            named = [(key,) for key, context in rows if any(map(is_named, json.loads(context).values()))]
            connection.executemany("DELETE FROM notice WHERE rowid = ?", named)
        return len(named)

    def check(self) -> Health:
        return Health(ok=True, says=f"notices stand in {self.file}")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.file)
        connection.execute("CREATE TABLE IF NOT EXISTS notice (level, subject, body, context)")
        return connection
