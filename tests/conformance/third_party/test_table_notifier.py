import json
import sqlite3
from contextlib import closing

import pytest
from table_notifier import TableNotifierConfig

from resources.conformance import NotifierConformance


class TestTableNotifier(NotifierConformance):
    config = TableNotifierConfig

    @pytest.fixture
    def notifier(self, tmp_path):
        return TableNotifierConfig(file=f"{tmp_path}/team.db").open()

    @pytest.fixture
    def received(self, notifier):
        def notices():
            notifier.forget(lambda _: False)  # makes the table
            with closing(sqlite3.connect(notifier.file)) as team:
                rows = team.execute("SELECT level, subject, body, context FROM notice ORDER BY rowid").fetchall()
            return [{"level": a, "subject": b, "body": c, "context": json.loads(d)} for a, b, c, d in rows]

        return notices
