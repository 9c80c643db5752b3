"""The feature stores: the port's promises, and what only Feast's does."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import TesseraError
from models.features.churn_definitions import CATEGORIES, FEATURES
from resources.conformance import FeatureStoreConformance, OnlineFeatureStoreConformance
from resources.conformance.feature_definitions import DEFINITIONS
from resources.conformance.feature_rows import Row, feature_table
from resources.feature_store.feast.store import FeastStore, FeastStoreConfig
from resources.feature_store.port import FeatureStore, OnlineFeatureStore
from tests.servers.postgres_server import PostgresDatabase

US_UTC = pa.timestamp("us", "UTC")
STATUS, MOMENT = "churn_customer__status", "churn_customer__event_timestamp"
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
T = datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
MAX_AGE = timedelta(days=8)
pytestmark = pytest.mark.xdist_group("tests/conformance/test_feature_store.py")  # fixtures of classes


def feature_file(folder: Path, name: str, rows: list[tuple[str, datetime, float]]) -> str:
    """A file of the view `churn_customer`: customer, moment and `recency_days`; all other features are NULL."""
    columns: dict[str, Any] = {
        "customer_id": pa.array([row[0] for row in rows], pa.string()),
        "event_timestamp": pa.array([row[1] for row in rows], US_UTC),
        "created_timestamp": pa.array([row[1] for row in rows], US_UTC),
        **{feature: pa.nulls(len(rows), pa.float64()) for feature in FEATURES},
        "country": pa.array(["Norway"] * len(rows), pa.string()),
        "recency_days": pa.array([row[2] for row in rows], pa.float64()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


class OnFeast(OnlineFeatureStoreConformance):
    """The online part of the port's tests, on one home per class."""

    config = FeastStoreConfig

    @pytest.fixture(scope="class")
    @classmethod
    def online_settings(cls) -> dict[str, Any]:
        return {"type": "sqlite"}

    @pytest.fixture(scope="class")
    @classmethod
    def opened(
        cls, online_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[[], FeatureStore]:
        path = str(tmp_path_factory.mktemp("feast"))
        settings: dict[str, Any] = {"path": path, "online_store": online_settings, "logged_share": 1}
        return FeastStoreConfig(definitions=DEFINITIONS, **settings).open

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, opened: Callable[[], FeatureStore]) -> FeatureStore:
        store = opened()
        store.apply()
        return store


class TestOnSqlite(OnFeast, FeatureStoreConformance):
    """All of them, on the default."""

    def test_it_answers_at_once_what_it_knows(self, opened: Callable[[], FeatureStore], store: FeatureStore) -> None:
        store.apply()
        another = opened()
        assert isinstance(another, OnlineFeatureStore)
        assert not another.answers_at_once("activity_v1")
        another.online_rows("activity_v1", [{"customer_id": "a"}])
        assert [another.answers_at_once(name) for name in ("activity_v1", "customer_v1")] == [True, False]


class TestOnRedis(OnFeast):
    """Served from a Redis."""

    @pytest.fixture(scope="class")
    @classmethod
    def online_settings(cls, redis_url: str) -> dict[str, Any]:
        return {"type": "redis", "connection_string": redis_url}


class TestOnPostgres(OnFeast):
    """Served from a Postgres."""

    @pytest.fixture(scope="class")
    @classmethod
    def online_settings(cls, postgres_server: PostgresDatabase) -> dict[str, Any]:
        return {"type": "postgres", **postgres_server.online_store, "db_schema": f"conformance_{token_hex(4)}"}


class Clock:
    """The present moment, as a test sets it."""

    def __init__(self) -> None:
        self.now = T

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def on_server(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of the fixture's online store, on a server of its own where it needs one."""
    if request.param == "redis":
        return {"type": "redis", "connection_string": request.getfixturevalue("fresh_redis")}
    if request.param == "postgres":
        return {"type": "postgres", **request.getfixturevalue("postgres_database").online_store}
    return {"type": request.param}


class TestFeast:
    """Churn's features, on a fresh store per test."""

    @pytest.fixture(params=["sqlite"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> FeastStore:
        config = FeastStoreConfig(path=str(tmp_path / "feast"), online_store=on_server(request), logged_share=1)
        opened = FeastStore(config, clock)
        opened.apply()
        return opened

    def recency(self, store: FeastStore, *customers: str) -> list[float | None]:
        entities = pa.table({"customer_id": pa.array(customers, pa.string()), "row": list(range(len(customers)))})
        found = store.online("churn_v1", entities)
        assert found.select(["customer_id", "row"]).equals(entities)
        assert found.column_names == ["customer_id", "row", *FEATURES, *CATEGORIES, STATUS, MOMENT]
        return found["recency_days"].to_pylist()

    def found(self, store: FeastStore, *customers: str | None) -> list[tuple[str, datetime | None, float | None]]:
        """Status, moment and `recency_days` of each customer."""
        rows = store.online("churn_v1", pa.table({"customer_id": pa.array(customers, pa.string())}))
        return [(row[STATUS], row[MOMENT], row["recency_days"]) for row in rows.to_pylist()]

    def test_features_expire_after_their_ttl_and_not_at_it(
        self, store: FeastStore, clock: Clock, tmp_path: Path
    ) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0), ("b", T - DAY, 2.0)])
        store.materialize("churn_customer", T - 2 * DAY, T, files=[file])
        clock.now = T + MAX_AGE
        assert self.found(store, "a", "b") == [("PRESENT", T, 1.0), ("OUTSIDE_MAX_AGE", T - DAY, None)]
        clock.now += MICROSECOND
        assert self.found(store, "a") == [("OUTSIDE_MAX_AGE", T, None)]

    @pytest.mark.slow
    @pytest.mark.parametrize("store", ["sqlite", "redis", "postgres"], indirect=True)
    def test_many_entities(self, store: FeastStore, tmp_path: Path) -> None:
        names = [f"c{number}" for number in range(2500)]
        file = feature_file(tmp_path, "a.parquet", [(name, T, float(n)) for n, name in enumerate(names)])
        store.materialize("churn_customer", T - DAY, T, files=[file])
        assert self.recency(store, *reversed(names)) == [float(n) for n in reversed(range(2500))]

    def test_it_says_nothing_on_the_terminal(
        self, store: FeastStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        capfd.readouterr()
        store.materialize("churn_customer", T - DAY, T.astimezone(timezone(timedelta(hours=5))), files=[file])
        store.historical(
            "churn_v1",
            pa.table({"customer_id": ["a"], "event_timestamp": pa.array([T], US_UTC)}),
            files={"churn_customer": [file]},
        )
        assert self.recency(store, "a") == [1.0]
        assert capfd.readouterr() == ("", "")

    def test_a_registry_that_does_not_answer_keeps_nobody_from_reading(
        self, tmp_path: Path, postgres_server: PostgresDatabase, postgres_database: PostgresDatabase
    ) -> None:
        config = FeastStoreConfig(path=str(tmp_path), registry=postgres_database.url)
        store = FeastStore(config, clock=lambda: T)
        store.apply()
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        store.materialize("churn_customer", T - DAY, T, files=[file])
        assert self.recency(store, "a") == [1.0]
        name = postgres_database.database
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        store._session._refresh_at = 0.0  # as after a minute
        assert self.recency(store, "a") == [1.0]
        health = store.check()
        assert (health.ok, "not currently accepting connections" in health.says) == (False, True)

    def test_a_service_of_another_process_is_known_at_once(self, tmp_path: Path) -> None:
        one, other = (FeastStoreConfig(path=str(tmp_path)).open() for _ in range(2))
        with pytest.raises(TesseraError, match=r"no feature service 'churn_v1'.*none exists yet"):
            one.online("churn_v1", pa.table({"customer_id": ["a"]}))
        other.apply()
        assert self.recency(one, "a") == [None]

    def test_a_store_of_feast_that_can_neither_erase_nor_compare_times_says_so(self, tmp_path: Path) -> None:
        store = FeastStoreConfig(path=str(tmp_path), online_store={"type": "feast.sqlite"}).open()
        store.apply()
        with pytest.raises(TesseraError, match="SqliteOnlineStore cannot delete single entities"):
            store.forget("customer", "a")
        with pytest.raises(TesseraError, match="SqliteOnlineStore overwrites newer rows"):
            store.push("churn_customer", feature_table([Row("a", T, 1.0)]))
