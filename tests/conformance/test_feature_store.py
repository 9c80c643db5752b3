"""What every feature store does, whatever is behind it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.features.churn_definitions import CATEGORIES, FEATURES
from resources.feature_store.feast.store import FeastStore, FeastStoreConfig
from resources.feature_store.port import FeatureStore
from tests.servers.postgres_server import PostgresDatabase

US_UTC = pa.timestamp("us", "UTC")
STATUS, MOMENT = "churn_customer__status", "churn_customer__event_timestamp"
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
T = datetime(2024, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
MAX_AGE = timedelta(days=8)

Row = tuple[str, datetime, float]


def feature_file(folder: Path, name: str, rows: list[Row], *, created: Mapping[int, datetime] | None = None) -> str:
    """A file of the view `churn_customer`: customer, moment and `recency_days`; all other features are NULL."""
    made = [(created or {}).get(number, row[1]) for number, row in enumerate(rows)]
    columns: dict[str, Any] = {
        "customer_id": pa.array([row[0] for row in rows], pa.string()),
        "event_timestamp": pa.array([row[1] for row in rows], US_UTC),
        "created_timestamp": pa.array(made, US_UTC),
        **{feature: pa.nulls(len(rows), pa.float64()) for feature in FEATURES},
        "country": pa.array(["Norway"] * len(rows), pa.string()),
        "recency_days": pa.array([row[2] for row in rows], pa.float64()),
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


def asked(*rows: tuple[str, datetime]) -> pa.Table:
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "event_timestamp": pa.array([row[1] for row in rows], US_UTC),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module", params=["feast"])
def store(request: pytest.FixtureRequest, folder: Path) -> FeatureStore:
    opened = {"feast": FeastStoreConfig}[request.param](path=str(folder / request.param)).open()
    opened.apply()
    return opened


class TestFeatureStore:
    def recency(self, store: FeatureStore, entities: pa.Table, *files: str) -> list[float | None]:
        found = store.historical("churn_v1", entities, files={"churn_customer": files})
        assert found.select(entities.column_names).equals(entities)
        return found["recency_days"].to_pylist()

    def test_apply_names_the_services_and_can_be_repeated(self, store: FeatureStore) -> None:
        assert list(store.apply()) == list(store.apply()) == ["churn_v1"]
        assert store.check().ok

    def test_features_come_after_the_entity_columns_with_their_types(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        found = store.historical("churn_v1", asked(("a", T)), files={"churn_customer": [file]})
        assert found.column_names == ["customer_id", "event_timestamp", *FEATURES, *CATEGORIES]
        assert {found.schema.field(name).type for name in FEATURES} == {pa.float64()}
        assert found["country"].to_pylist() == ["Norway"]
        assert found["overdue_z"].null_count == 1

    def test_rows_their_order_duplicates_and_other_columns_are_kept(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0), ("b", T, 2.0)])
        entities = asked(("b", T), ("a", T), ("nobody", T), ("b", T), ("a", T - DAY))
        entities = entities.append_column("churned", pa.array([1, 0, 1, 0, 1], pa.int8()))
        entities = entities.append_column("weight_y", pa.array([[1.0]] * 5))
        assert self.recency(store, entities, file) == [2.0, 1.0, None, 2.0, None]

    def test_many_rows_keep_their_order(self, store: FeatureStore, tmp_path: Path) -> None:
        names = [f"c{number}" for number in range(20_000)]
        file = feature_file(tmp_path, "a.parquet", [(name, T, float(n)) for n, name in enumerate(names)])
        entities = asked(*((name, T) for name in reversed(names)))
        assert self.recency(store, entities, file) == [float(n) for n in reversed(range(20_000))]

    def test_the_newest_row_that_is_not_from_the_future_wins(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T - DAY, 1.0), ("a", T, 2.0), ("a", T + MICROSECOND, 3.0)])
        assert self.recency(store, asked(("a", T), ("a", T - MICROSECOND)), file) == [2.0, 1.0]

    def test_features_expire(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        entities = asked(("a", T + MAX_AGE), ("a", T + MAX_AGE + MICROSECOND))
        assert self.recency(store, entities, file) == [1.0, None]

    def test_what_was_created_later_was_not_known(self, store: FeatureStore, tmp_path: Path) -> None:
        rows = [("a", T - DAY, 1.0), ("a", T, 2.0)]
        file = feature_file(tmp_path, "a.parquet", rows, created={1: T + DAY})
        assert self.recency(store, asked(("a", T), ("a", T + DAY)), file) == [1.0, 2.0]

    def test_of_two_rows_of_one_moment_the_one_created_last_wins(self, store: FeatureStore, tmp_path: Path) -> None:
        rows = [("a", T, 1.0), ("a", T, 2.0), ("a", T, 3.0)]
        file = feature_file(tmp_path, "a.parquet", rows, created={0: T + MICROSECOND, 1: T + DAY})
        assert self.recency(store, asked(("a", T + DAY)), file) == [2.0]

    def test_moments_of_other_zones_and_resolutions_are_the_same_moments(
        self, store: FeatureStore, tmp_path: Path
    ) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        there = [T, T - MICROSECOND]
        moments = pa.array(there, US_UTC).cast(pa.timestamp("ns", "America/New_York"))
        entities = pa.table({"customer_id": ["a", "a"], "event_timestamp": moments})
        assert self.recency(store, entities, file) == [1.0, None]

    def test_it_reads_the_files_it_is_given_and_no_others(self, store: FeatureStore, tmp_path: Path) -> None:
        old = feature_file(tmp_path / "1", "part.parquet", [("a", T, 1.0)])
        new = feature_file(tmp_path / "2", "part.parquet", [("b", T, 2.0)])
        entities = asked(("a", T), ("b", T))
        assert self.recency(store, entities, old) == [1.0, None]
        assert self.recency(store, entities, new) == [None, 2.0]
        assert self.recency(store, entities, old, new) == [1.0, 2.0]
        feature_file(tmp_path / "1", "part.parquet", [("a", T, 11.0)])
        assert self.recency(store, entities, old, new) == [11.0, 2.0]

    @pytest.mark.slow
    def test_threads_with_different_versions_do_not_mix(self, store: FeatureStore, tmp_path: Path) -> None:
        files = [feature_file(tmp_path / str(n), "part.parquet", [("a", T, float(n))]) for n in range(6)]
        with ThreadPoolExecutor(3) as pool:
            found = pool.map(lambda file: self.recency(store, asked(("a", T)), file), files)
        assert list(found) == [[float(n)] for n in range(6)]

    def test_no_entities_give_no_rows(self, store: FeatureStore, tmp_path: Path) -> None:
        found = store.historical("churn_v1", asked(), files={"churn_customer": []})
        assert (found.num_rows, found.num_columns) == (0, 2 + len(FEATURES) + len(CATEGORIES))

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)), max_size=40, unique=True, min_size=1),
        questions=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 500)), min_size=1, max_size=40),
    )
    @pytest.mark.slow
    def test_joins_equal_a_plain_loop(
        self, store: FeatureStore, folder: Path, rows: list[tuple[str, int]], questions: list[tuple[str, int]]
    ) -> None:
        known = [(who, T + timedelta(hours=at), float(number)) for number, (who, at) in enumerate(rows)]
        entities = [(who, T + timedelta(hours=at)) for who, at in questions]
        expected = [
            max(
                ((at, value) for owner, at, value in known if owner == who and at <= moment <= at + MAX_AGE),
                default=(None, None),
            )[1]
            for who, moment in entities
        ]
        assert self.recency(store, asked(*entities), feature_file(folder, "loop.parquet", known)) == expected

    @pytest.mark.parametrize(
        ("service", "change", "says"),
        [
            ("churn_v2", lambda t: t, "no feature service 'churn_v2'.*did you mean 'churn_v1'"),
            ("churn_v1", lambda t: t.drop_columns("customer_id"), "no column 'customer_id'"),
            ("churn_v1", lambda t: t.rename_columns(["customer_id", "at"]), "no column 'event_timestamp'"),
            ("churn_v1", lambda t: t.append_column("country", pa.array(["x"])), "already have a column 'country'"),
            ("churn_v1", lambda t: t.set_column(0, "customer_id", pa.array([1])), "int64 in 'customer_id'"),
            (
                "churn_v1",
                lambda t: t.set_column(1, "event_timestamp", pa.array(["now"])),
                "string in 'event_timestamp'",
            ),
            (
                "churn_v1",
                lambda t: t.set_column(1, "event_timestamp", pa.array([datetime(2024, 1, 1)])),
                r"timestamp\[us\] in 'event_timestamp'",
            ),
            ("churn_v1", lambda t: t.set_column(1, "event_timestamp", pa.nulls(1, US_UTC)), "1 rows without"),
        ],
    )
    def test_wrong_questions_are_refused(
        self, service: str, change: Any, says: str, store: FeatureStore, tmp_path: Path
    ) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        with pytest.raises(TesseraError, match=says):
            store.historical(service, change(asked(("a", T))), files={"churn_customer": [file]})

    def test_a_view_without_files_is_refused(self, store: FeatureStore) -> None:
        with pytest.raises(TesseraError, match="no files for the feature view 'churn_customer'"):
            store.historical("churn_v1", asked(("a", T)), files={})


class Clock:
    """The present moment, as a test sets it."""

    def __init__(self) -> None:
        self.now = T

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def online_store(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of the fixture's online store, on a server of its own where it needs one."""
    if request.param == "redis":
        return {"type": "redis", "connection_string": request.getfixturevalue("fresh_redis")}
    if request.param == "postgres":
        return {"type": "postgres", **request.getfixturevalue("postgres_database").online_store}
    return {"type": request.param}


class TestOnline:
    """A fresh store per test: what is online stays online."""

    @pytest.fixture(params=["sqlite", "redis", "postgres"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> FeatureStore:
        config = FeastStoreConfig(path=str(tmp_path / "feast"), online_store=online_store(request), logged_share=1)
        opened = FeastStore(config, clock)
        opened.apply()
        return opened

    def recency(self, store: FeatureStore, *customers: str) -> list[float | None]:
        entities = pa.table({"customer_id": pa.array(customers, pa.string()), "row": list(range(len(customers)))})
        found = store.online("churn_v1", entities)
        assert found.select(["customer_id", "row"]).equals(entities)
        assert found.column_names == ["customer_id", "row", *FEATURES, *CATEGORIES, STATUS, MOMENT]
        return found["recency_days"].to_pylist()

    def found(self, store: FeatureStore, *customers: str | None) -> list[tuple[str, datetime | None, float | None]]:
        """Status, moment and `recency_days` of each customer."""
        rows = store.online("churn_v1", pa.table({"customer_id": pa.array(customers, pa.string())}))
        return [(row[STATUS], row[MOMENT], row["recency_days"]) for row in rows.to_pylist()]

    def test_nothing_is_known_before_the_first_materialization(self, store: FeatureStore) -> None:
        assert self.recency(store, "a") == [None]
        assert self.found(store, "a") == [("NOT_FOUND", None, None)]
        assert self.recency(store) == []
        assert store.check().ok

    def test_rows_say_how_they_were_found_and_of_when_they_are(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0), ("b", T - DAY, 2.0)])
        store.materialize("churn_customer", T - 2 * DAY, T, files=[file])
        nothing = ("NOT_FOUND", None, None)
        both = [("PRESENT", T, 1.0), ("PRESENT", T - DAY, 2.0)]
        assert self.found(store, "nobody", "a", None, "b", "a") == [nothing, both[0], nothing, both[1], both[0]]

    def test_a_null_of_a_known_entity_is_present(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        store.materialize("churn_customer", T - DAY, T, files=[file])
        row = store.online("churn_v1", pa.table({"customer_id": ["a"]})).to_pylist()[0]
        assert (row["overdue_z"], row["country"], row[STATUS]) == (None, "Norway", "PRESENT")

    def test_features_expire_after_their_ttl_and_not_at_it(
        self, store: FeatureStore, clock: Clock, tmp_path: Path
    ) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0), ("b", T - DAY, 2.0)])
        store.materialize("churn_customer", T - 2 * DAY, T, files=[file])
        clock.now = T + MAX_AGE
        assert self.found(store, "a", "b") == [("PRESENT", T, 1.0), ("OUTSIDE_MAX_AGE", T - DAY, None)]
        clock.now += MICROSECOND
        assert self.found(store, "a") == [("OUTSIDE_MAX_AGE", T, None)]

    @pytest.mark.slow
    def test_threads_read_what_is_there_while_one_writes(self, store: FeatureStore, tmp_path: Path) -> None:
        names = [f"c{number}" for number in range(50)]
        files = [feature_file(tmp_path, f"{n}.parquet", [(name, T, float(n)) for name in names]) for n in range(5)]
        store.materialize("churn_customer", T - DAY, T, files=files[:1])

        def write() -> None:
            for file in files[1:]:
                store.materialize("churn_customer", T - DAY, T, files=[file])

        def read(_: int) -> float:
            values = set(self.recency(store, *names[:1]) + self.recency(store, names[0]))
            assert values <= {0.0, 1.0, 2.0, 3.0, 4.0}
            return max(value for value in values if value is not None)

        with ThreadPoolExecutor(3) as pool:
            writing = pool.submit(write)
            seen = list(pool.map(read, range(40)))
            writing.result()
        assert seen
        assert self.recency(store, *names) == [4.0] * 50

    def test_what_was_served_can_be_read_again(self, store: FeatureStore, clock: Clock, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        store.materialize("churn_customer", T - DAY, T, files=[file])
        asked_for = pa.table({"customer_id": ["nobody", "a"], "carried": [1, 2]})
        first = store.online("churn_v1", asked_for)
        clock.now = T + DAY
        second = store.online("churn_v1", asked_for)
        both = store.served("churn_v1", T, T + DAY + MICROSECOND)
        assert both["served_at"].to_pylist() == [T, T, T + DAY, T + DAY]
        assert both.drop_columns("served_at").equals(pa.concat_tables([first, second]).drop_columns("carried"))
        assert store.served("churn_v1", T, T + DAY)["served_at"].to_pylist() == [T, T]
        assert store.served("churn_v1", T + 2 * DAY, T + 3 * DAY).schema == both.schema
        with pytest.raises(TesseraError, match=r"no feature service 'churn'.*did you mean 'churn_v1'"):
            store.served("churn", T, T + DAY)

    def test_who_is_forgotten_stays_forgotten(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0), ("b", T, 2.0)])
        newer = feature_file(tmp_path, "b.parquet", [("a", T + DAY, 3.0), ("b", T + DAY, 4.0)])
        store.materialize("churn_customer", T - DAY, T, files=[file])
        assert self.recency(store, "a", "b", "a") == [1.0, 2.0, 1.0]
        assert store.forget("customer", "a") == {"churn_customer": 1, "served_log": 2}
        for files in ([file], [newer]):
            store.materialize("churn_customer", T - DAY, T + DAY, files=files)
            assert [status for status, _, _ in self.found(store, "a", "b")] == ["NOT_FOUND", "PRESENT"]
        assert set(store.served("churn_v1", T, T + DAY)["customer_id"].to_pylist()) == {"b"}
        assert store.forget("customer", "a") == {"churn_customer": 0, "served_log": 0}
        with pytest.raises(TesseraError, match=r"no entity 'custumer'.*did you mean 'customer'"):
            store.forget("custumer", "b")

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

    def test_a_store_of_feast_that_cannot_forget_says_so(self, tmp_path: Path) -> None:
        store = FeastStoreConfig(path=str(tmp_path), online_store={"type": "feast.sqlite"}).open()
        store.apply()
        with pytest.raises(TesseraError, match="SqliteOnlineStore cannot delete single entities"):
            store.forget("customer", "a")

    def test_the_newest_row_of_the_window_is_served(self, store: FeatureStore, tmp_path: Path) -> None:
        rows = [("a", T - DAY, 1.0), ("a", T, 2.0), ("a", T + MICROSECOND, 3.0), ("b", T - DAY, 4.0), ("c", T, 5.0)]
        file = feature_file(tmp_path, "a.parquet", rows)
        store.materialize("churn_customer", T - DAY, T, files=[file])
        # b's row is at the open start of the window, a's third after its end.
        assert self.recency(store, "c", "a", "b", "nobody", "a") == [5.0, 2.0, None, None, 2.0]

    def test_an_older_window_never_replaces_newer_values(self, store: FeatureStore, tmp_path: Path) -> None:
        today = feature_file(tmp_path, "today.parquet", [("a", T, 2.0)])
        before = feature_file(tmp_path, "before.parquet", [("a", T - DAY, 1.0), ("b", T - DAY, 4.0)])
        store.materialize("churn_customer", T - DAY, T, files=[today])
        store.materialize("churn_customer", T - 2 * DAY, T - DAY, files=[before])
        assert self.recency(store, "a", "b") == [2.0, 4.0]

    def test_a_correction_of_the_same_moment_is_served(self, store: FeatureStore, tmp_path: Path) -> None:
        for value in (1.0, 2.0, 2.0):
            file = feature_file(tmp_path, f"{value}.parquet", [("a", T, value)])
            store.materialize("churn_customer", T - DAY, T, files=[file])
        assert self.recency(store, "a") == [2.0]

    @pytest.mark.slow
    def test_many_entities(self, store: FeatureStore, tmp_path: Path) -> None:
        names = [f"c{number}" for number in range(2500)]
        file = feature_file(tmp_path, "a.parquet", [(name, T, float(n)) for n, name in enumerate(names)])
        store.materialize("churn_customer", T - DAY, T, files=[file])
        assert self.recency(store, *reversed(names)) == [float(n) for n in reversed(range(2500))]

    def test_an_unknown_view_is_refused(self, store: FeatureStore, tmp_path: Path) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        with pytest.raises(TesseraError, match=r"no feature view 'churn'\..*'churn_customer'"):
            store.materialize("churn", T - DAY, T, files=[file])

    def test_it_says_nothing_on_the_terminal(
        self, store: FeatureStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        file = feature_file(tmp_path, "a.parquet", [("a", T, 1.0)])
        capfd.readouterr()
        store.materialize("churn_customer", T - DAY, T.astimezone(timezone(timedelta(hours=5))), files=[file])
        store.historical("churn_v1", asked(("a", T)), files={"churn_customer": [file]})
        assert self.recency(store, "a") == [1.0]
        assert capfd.readouterr() == ("", "")
