"""The stores of a stream's state: the port's promises, and what only one of them does."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import RefusedValue, TesseraError
from resources.conformance import StreamStoreConformance
from resources.conformance.alert_store import payment
from resources.conformance.stream_store import Open, paid
from resources.stream_store.port import StreamStore
from resources.stream_store.postgres_stream_store import PostgresStreamStoreConfig
from resources.stream_store.sqlite_stream_store import SqliteStreamStoreConfig


class ShippedStreamStore(StreamStoreConformance):
    """Sentences of the stores that ship."""

    def test_refusals_and_health_say_what_is_there(self, store: StreamStore) -> None:
        paid(store, payment(1))
        assert "1 alerts" in store.check().says
        for label, says in (("ok", None), ("fraud", None), ("ok", "was called ok before, and that was corrected")):
            if says is None:
                store.answer("20180808-c1", label, who="ann", at=datetime.now(UTC))
                continue
            with pytest.raises(TesseraError, match=says):
                store.answer("20180808-c1", label, who="ann", at=datetime.now(UTC))
        with pytest.raises(TesseraError, match="did you mean '20180808-c1'"):
            store.answer("20180808-c2", "ok", who="ann", at=datetime.now(UTC))
        with pytest.raises(RefusedValue, match="refuses a value"):
            paid(store, payment(1), alerts=False)


class TestSqliteStreamStore(ShippedStreamStore):
    config = SqliteStreamStoreConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return SqliteStreamStoreConfig(path=str(tmp_path / "stream.db")).open


class TestPostgresStreamStore(ShippedStreamStore):
    config = PostgresStreamStoreConfig

    @pytest.fixture
    def opened(self, postgres_database: Any) -> Open:
        return PostgresStreamStoreConfig(url=postgres_database.url).open


def test_a_file_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "stream.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE payment (x INTEGER)")
    with pytest.raises(TesseraError, match="layout that this version does not read"):
        SqliteStreamStoreConfig(path=str(path)).open().position()
