"""The stores of streams' state: the port's promises, and what only one of them does."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from models.errors import TesseraError
from models.stream_state import StateTable, StreamState
from resources.conformance import StateStoreConformance
from resources.conformance.state_store import VISITS, Open, commit, visit
from resources.state_store.port import StateStore
from resources.state_store.postgres_state_store import PostgresStateStoreConfig
from resources.state_store.sqlite_state_store import SqliteStateStoreConfig


class TestSqliteStateStore(StateStoreConformance):
    config = SqliteStateStoreConfig

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Open:
        return SqliteStateStoreConfig(path=str(tmp_path / "streams.db")).open


class TestPostgresStateStore(StateStoreConformance):
    config = PostgresStateStoreConfig

    @pytest.fixture
    def opened(self, postgres_database: Any) -> Open:
        return PostgresStateStoreConfig(url=postgres_database.url).open


def changed(state: StreamState) -> StreamState:
    """The same stream with another layout of its last table."""
    *others, last = state.tables
    columns = {**last.columns, "more": "text"}
    return StreamState(state.name, (*others, StateTable(last.name, columns, last.key_columns, last.at)))  # type: ignore[arg-type]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], StateStore]:
    if request.param == "sqlite":
        return SqliteStateStoreConfig(path=str(tmp_path / "streams.db")).open
    return PostgresStateStoreConfig(url=request.getfixturevalue("postgres_database").url).open


def test_tables_of_another_layout_are_left_alone(opened: Callable[[], StateStore]) -> None:
    commit(opened(), visit(1))
    with pytest.raises(TesseraError, match="layout that this version does not read"):
        opened().position(changed(VISITS))
    assert opened().position(VISITS) == (1, 10)


def test_a_file_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "streams.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE visits_page (x INTEGER)")
    with pytest.raises(TesseraError, match="layout that this version does not read"):
        SqliteStateStoreConfig(path=str(path)).open().position(VISITS)
