"""The stores of alerts: the port's promises, and their sentences."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.errors import TesseraError
from resources.alert_store.port import AlertStore
from resources.conformance import AlertStoreConformance
from resources.conformance.alert_store import alert
from resources.state_store.postgres_state_store import PostgresStateStoreConfig
from resources.state_store.sqlite_state_store import SqliteStateStoreConfig


class ShippedAlertStore(AlertStoreConformance):
    """Sentences of the stores that ship."""

    def test_refusals_and_health_say_what_is_there(self, store: AlertStore) -> None:
        store.add_alerts([alert("1")])
        assert "1 alerts" in store.check().says
        store.answer("visits-20180808-c1", "ok", who="ann", at=datetime.now(UTC))
        store.answer("visits-20180808-c1", "fraud", who="ann", at=datetime.now(UTC))
        with pytest.raises(TesseraError, match="was called ok before, and that was corrected"):
            store.answer("visits-20180808-c1", "ok", who="ann", at=datetime.now(UTC))
        with pytest.raises(TesseraError, match="did you mean 'visits-20180808-c1'"):
            store.answer("visits-20180808-c2", "ok", who="ann", at=datetime.now(UTC))


class TestSqliteAlertStore(ShippedAlertStore):
    config = SqliteStateStoreConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], AlertStore]:
        return SqliteStateStoreConfig(path=str(tmp_path / "streams.db")).open


class TestPostgresAlertStore(ShippedAlertStore):
    config = PostgresStateStoreConfig

    @pytest.fixture
    def opened(self, postgres_database: Any) -> Callable[[], AlertStore]:
        return PostgresStateStoreConfig(url=postgres_database.url).open
