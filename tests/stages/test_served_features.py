"""What was served online, against training: a real shop for some days, read at all hours, then broken on purpose."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from assets.churn import assets as churn
from assets.churn import features as churn_features
from assets.churn import skew as churn_skew
from assets.shop import assets as shop
from assets.stages import metadata_keys as keys
from assets.stages.dependants import Dependants
from models.settings import Settings
from resources.engine.local import LocalEngineConfig
from resources.feature_store.feast.store import FeastStore, FeastStoreConfig
from resources.lake.delta import DeltaLakeConfig
from resources.sink.delta import DeltaSinkConfig
from resources.source.simulated import SimulatedSourceConfig
from resources.stack.ports import (
    EngineResource,
    FeatureStoreResource,
    LakeResource,
    SettingsResource,
    SinkResource,
    SourceResource,
)

# pyright: basic, reportAttributeAccessIssue=false

FIRST = date(2025, 1, 1)
DAY = timedelta(days=1)
#: The days that are ingested one by one; the last two are compared.
DAYS = [FIRST + n * DAY for n in (42, 43, 44, 45)]
SOURCE = SimulatedSourceConfig(customers=400, first_day=FIRST.isoformat(), seed=11, late_share=0.1)
FEATURES = churn_skew._features()


@dataclass
class Clock:
    """A clock that a test sets."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


class Source(SourceResource):
    backend: SimulatedSourceConfig = SOURCE


class Engine(EngineResource):
    backend: LocalEngineConfig


class TemporaryLake(LakeResource):
    backend: DeltaLakeConfig


class Defaults(SettingsResource):
    def open(self) -> Settings:
        return Settings()


#: Dagster copies resources, so the clock of a store is looked up by its folder.
CLOCKS: dict[str, Clock] = {}


class Store(FeatureStoreResource):
    """Logs every row that it serves, at the time of the test's clock."""

    backend: FeastStoreConfig

    def open(self) -> FeastStore:
        return FeastStore(self.backend, CLOCKS[self.backend.path])


@cache
def instance_of_all() -> dg.DagsterInstance:
    """One for every run, since nothing here asks what ran before."""
    return dg.DagsterInstance.ephemeral()


class TemporarySink(SinkResource):
    backend: DeltaSinkConfig


@dataclass
class Shop:
    """A home of the test: its lake, its feature store, and a clock."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.lake = DeltaLakeConfig(path=str(self.folder / "lake")).open()
        self.config = FeastStoreConfig(path=str(self.folder / "feast"), logged_share=1, threads=1)
        self.store = FeastStore(self.config, self.clock)
        CLOCKS[self.config.path] = self.clock

    def resources(self) -> dict[str, Any]:
        return {
            "source": Source(),
            "engine": Engine(backend=LocalEngineConfig(threads=1, temp_directory=str(self.folder / "tmp"))),
            "lake": TemporaryLake(backend=DeltaLakeConfig(path=str(self.folder / "lake"))),
            "feature_store": Store(backend=self.config),
            "settings": Defaults(),
            "dependants": Dependants(),
            "sink": TemporarySink(backend=DeltaSinkConfig(path=str(self.folder / "scores"))),
        }

    def run(self, day: date, *assets: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
        result = dg.materialize(
            list(assets), partition_key=day.isoformat(), resources=self.resources(), instance=instance_of_all()
        )
        assert result.success
        return result

    def nightly(self, day: date) -> None:
        self.run(day, shop.customers, shop.products, shop.orders, churn.features)

    def online_features(self, day: date) -> None:
        self.run(day, churn.online_features)

    def ask(self, day: date, at: time, customers: list[str]) -> pa.Table:
        """What an application gets that asks for these customers at a time of a day."""
        self.clock.now = datetime.combine(day, at, tzinfo=UTC)
        return self.store.online("churn_v1", pa.table({"customer_id": pa.array(customers, pa.string())}))

    def ask_all_day(self, day: date, everybody: list[str], hours: range) -> None:
        """Everybody asks once within these hours, and some do at their first and last moment."""
        for number, hour in enumerate(hours):
            self.ask(day, time(hour, (7 * hour) % 60, 13, 5), everybody[number :: len(hours)])
        self.ask(day, time(hours[0]), everybody[:20])
        self.ask(day, time(hours[-1], 59, 59, 999999), everybody[:20])

    def check(self, day: date) -> tuple[dg.AssetCheckEvaluation, dict[str, Any]]:
        """What the check of a day says, and the metadata of its asset."""
        self.logged()
        result = self.run(day, churn.served_features)
        (event,) = result.asset_materializations_for_node("churn__served_features")
        (check,) = result.get_asset_check_evaluations()
        assert check.check_name == "skew"
        return check, {name: value.value for name, value in event.metadata.items()}

    def check_alone(self, day: date) -> dg.AssetCheckEvaluation:
        """The check of a day without its asset."""
        key = dg.AssetCheckKey(churn.served_features.key, "skew")
        job = dg.define_asset_job("alone", dg.AssetSelection.checks(key))
        defs = dg.Definitions([churn.served_features], jobs=[job], resources=self.resources())
        config = {"ops": {"churn__served_features": {"config": {"day": day.isoformat()}}}}
        result = defs.resolve_job_def("alone").execute_in_process(run_config=config, instance=instance_of_all())
        assert result.asset_materializations_for_node("churn__served_features") == []
        (check,) = result.get_asset_check_evaluations()
        return check

    def logged(self) -> None:
        """Nothing that was served waits to be logged any more, which takes seconds otherwise."""
        self.store.served("churn_v1", self.clock.now, self.clock.now)

    def customers(self, day: date) -> list[str]:
        rows = self.lake.scan(churn_features.TABLE, first=day, last=day).to_table(columns=["customer_id"])
        return rows["customer_id"].to_pylist()

    def change_features(self, day: date, change: Callable[[pa.Table], pa.Table]) -> None:
        rows = self.lake.scan(churn_features.TABLE, first=day, last=day).to_table()
        self.lake.replace(churn_features.TABLE, change(rows), by=churn_features.DAY, first=day, last=day)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after four nights, each followed by the online store an hour later, asked all day long on the last three.

    What is asked before the night's job ran is answered from the features of two days before, then from those of
    yesterday; who is new then is not found, and two of those who ask are no one.
    """
    home = Shop(tmp_path_factory.mktemp("shop"))
    home.store.apply()
    for day in DAYS:
        if day > DAYS[0]:
            everybody = [*home.customers(day - DAY), "C-nobody", "C-nobody-either"]
            home.ask_all_day(day, everybody, range(3))
            home.online_features(day - DAY)
            home.ask_all_day(day, everybody, range(3, 24))
        home.nightly(day)
    home.logged()
    return home.folder


@pytest.fixture
def home(lived: Path, tmp_path: Path) -> Shop:
    """A copy of that home to break."""
    shutil.copytree(lived, tmp_path / "home")
    return Shop(tmp_path / "home")


#: The day after the last night: what is served on it comes from the features of that night.
NEXT = DAYS[-1] + DAY
NOON = time(12)


def scaled(feature: str, by: float, *, rows: int | None = None) -> Callable[[pa.Table], pa.Table]:
    """A change of the first rows (None: of all) that have a value of a feature."""

    def change(table: pa.Table) -> pa.Table:
        values, left = table[feature].to_pylist(), rows
        for row, value in enumerate(values):
            if value and (left is None or left > 0):
                values[row] = value * by
                left = None if left is None else left - 1
        return table.set_column(table.column_names.index(feature), feature, pa.array(values, pa.float64()))

    return change


def undone(home: Shop, change: Callable[[pa.Table], pa.Table]) -> None:
    """The online store holds the changed features of the last night; offline has them as they were."""
    kept = home.lake.scan(churn_features.TABLE, first=DAYS[-1], last=DAYS[-1]).to_table()
    home.change_features(DAYS[-1], change)
    home.online_features(DAYS[-1])
    home.change_features(DAYS[-1], lambda _: kept)


def by_feature(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The table of the metadata, without features that differ nowhere or only lag."""
    records = {record.data["feature"]: record.data for record in found[keys.FEATURE_SKEW].records}
    return {name: data for name, data in records.items() if data["different"] > data["lag"]}


class TestFaithfulPath:
    @pytest.mark.parametrize("day", DAYS[1:], ids=str)
    def test_it_raises_no_alarm_at_any_hour(self, home: Shop, day: date) -> None:
        check, found = home.check(day)
        assert check.passed
        assert (
            check.description
            == f"{found[keys.ROWS_COMPARED]} served rows: no feature differs in more rows than allowed"
        )
        assert found[keys.ROWS_COMPARED] > 500
        assert found["lag_share"] > 0.3, "the hours before the job of the night are part of it"
        assert [found[f"{cause}_share"] for cause in ("value", "extra", "missing", "stale")] == [0, 0, 0, 0]
        assert len(found[keys.FEATURE_SKEW].records) == len(FEATURES)
        assert not home.lake.scan(churn_skew.TABLE).count_rows()

    def test_rows_that_come_late_change_no_features_of_the_past(self, home: Shop) -> None:
        before = home.lake.version(churn_features.TABLE)
        home.run(NEXT + 2 * DAY, shop.customers, shop.products, shop.orders)  # the two days before it, too
        orders = home.lake.scan("orders").to_table(columns=["ordered_at", "delivered_on"])
        before_the_end = pc.less_equal(orders["ordered_at"].cast(pa.date32(), safe=False), pa.scalar(DAYS[-1]))
        late = pc.and_(before_the_end, pc.greater(orders["delivered_on"], pa.scalar(DAYS[-1])))
        assert pc.sum(late).as_py() > 10
        for day in DAYS:
            home.run(day, churn.features)
        assert home.lake.version(churn_features.TABLE) == before
        assert home.check(DAYS[-1])[0].passed

    def test_it_can_be_repeated(self, home: Shop) -> None:
        undone(home, scaled("recency_days", 2))
        home.ask(NEXT, NOON, home.customers(DAYS[-1]))
        first = home.check(NEXT)
        version = home.lake.version(churn_skew.TABLE)
        assert home.check(NEXT)[0].description == first[0].description
        alone = home.check_alone(NEXT)
        assert (alone.passed, alone.description) == (first[0].passed, first[0].description)
        assert home.lake.version(churn_skew.TABLE) == version

    def test_a_person_who_was_forgotten_meanwhile_is_nobody_to_compare(self, home: Shop) -> None:
        one, other = home.customers(DAYS[1])[:2]
        rows = home.check(DAYS[2])[1][keys.ROWS_COMPARED]
        start = datetime.combine(DAYS[2], time.min, tzinfo=UTC)
        asked = home.store.served("churn_v1", start, start + DAY)["customer_id"].to_pylist()
        # Ended in the middle: the lake has forgotten both, the store only one, so the other is still in the log.
        for customer in (one, other):
            home.lake.leave_tombstone("customer", customer, day=NEXT, why="asked for it")
            home.lake.remove(churn_features.TABLE, pc.field("customer_id") == customer)
        assert home.store.forget("customer", one)["served_log"] > 0
        check, found = home.check(DAYS[2])
        assert check.passed, check.description
        assert found[keys.ROWS_COMPARED] == rows - asked.count(one) - asked.count(other) < rows - 2
        home.online_features(DAYS[-1])
        home.ask(NEXT, NOON, [one])
        check, found = home.check(NEXT)
        assert (check.passed, found[keys.ROWS_COMPARED]) == (True, 0)


class TestBroken:
    def test_one_value_changed_online(self, home: Shop) -> None:
        customers = home.customers(DAYS[-1])
        undone(home, scaled("spend_90", 1 + 2**-50, rows=1))
        home.ask(NEXT, NOON, customers)
        check, found = home.check(NEXT)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert check.description == (
            f"another value than the same row has offline: spend_90 (1 of {len(customers)}); allowed share 0.001"
        )
        ((name, data),) = by_feature(found).items()
        assert (name, data["cause"], data["value"], data["different"]) == ("spend_90", "value", 1, 1)
        assert 0 < data["largest difference"] < 1e-9
        (row,) = home.lake.scan(churn_skew.TABLE).to_table().to_pylist()
        kept = home.lake.scan(churn_features.TABLE, first=DAYS[-1], last=DAYS[-1]).to_table().to_pylist()
        (stored,) = [stored["spend_90"] for stored in kept if stored["customer_id"] == row["customer_id"]]
        assert (row["served_on"], row["feature"], row["cause"]) == (NEXT, "spend_90", "value")
        assert (float(row["offline"]), float(row["served"])) == (stored, stored * (1 + 2**-50))

    @pytest.mark.parametrize("where", ["online", "offline"])
    def test_one_feature_computed_differently(self, home: Shop, where: str) -> None:
        change = scaled("basket_items_mean", 1.0001)
        if where == "online":
            undone(home, change)
        else:
            home.online_features(DAYS[-1])
        home.ask(NEXT, NOON, home.customers(DAYS[-1]))
        if where == "offline":  # for example: features of the past were computed again, with other code
            home.change_features(DAYS[-1], change)
        check, found = home.check(NEXT)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert set(by_feature(found)) == {"basket_items_mean"}
        assert str(check.description).startswith("another value than the same row has offline: basket_items_mean (")
        assert found["value_share"] == 1

    def test_the_online_store_was_left_behind(self, home: Shop) -> None:
        home.ask(NEXT, NOON, home.customers(DAYS[-1]))
        check, found = home.check(NEXT)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert str(check.description).startswith("served from older rows: ")
        assert "recency_days" in by_feature(found)
        assert {data["cause"] for data in by_feature(found).values()} <= {"stale", "missing"}
        assert by_feature(found)["recency_days"]["largest difference"] >= 1
        assert found["value_share"] == 0

    def test_the_view_was_dropped_online(self, home: Shop) -> None:
        (home.folder / "feast" / "online.db").unlink()
        again = Shop(home.folder)
        again.store.apply()
        customers = again.customers(DAYS[-1])
        assert set(again.ask(NEXT, NOON, customers)["churn_customer__status"].to_pylist()) == {"NOT_FOUND"}
        check, found = again.check(NEXT)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert str(check.description).startswith("not served though offline had them: ")
        assert by_feature(found)["country"]["missing"] == len(customers)
        assert found["missing_share"] == 1

    def test_offline_lost_what_was_served(self, home: Shop) -> None:
        home.online_features(DAYS[-1])
        home.ask(NEXT, NOON, home.customers(DAYS[-1]))
        home.change_features(DAYS[-1], lambda rows: rows.slice(0, 0))
        check, found = home.check(NEXT)
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert str(check.description).startswith("served from rows that offline does not have: ")
        assert found["extra_share"] == 1

    def test_a_few_features_are_named_and_all_are_counted(self, home: Shop) -> None:
        home.ask(NEXT, NOON, home.customers(DAYS[-1]))
        check, found = home.check(NEXT)
        words = str(check.description)
        named = [name for name in FEATURES if f"{name} (" in words]
        shown = by_feature(found)
        stale = [name for name, data in shown.items() if data["stale"] / data["compared"] > 0.01]
        assert len(named) == 5
        assert f" and {len(stale) - 5} more" in words
        (table,) = [value.value for name, value in check.metadata.items() if name == keys.FEATURE_SKEW]
        assert {record.data["feature"] for record in table.records} >= set(stale)


class TestNothingServed:
    def test_it_passes_and_says_that_nothing_was_compared(self, home: Shop) -> None:
        check, found = home.check(NEXT)
        assert check.passed
        assert check.description == "nothing was compared: no row that was served that day is in the log"
        assert check.metadata[keys.ROWS_COMPARED].value == found[keys.ROWS_COMPARED] == 0

    def test_what_was_found_before_stays_when_the_log_is_gone(self, home: Shop) -> None:
        home.ask(NEXT, NOON, home.customers(DAYS[-1]))
        assert not home.check(NEXT)[0].passed
        kept = home.lake.scan(churn_skew.TABLE).count_rows()
        for file in (home.folder / "feast").glob("served.db*"):
            file.unlink()
        check, found = Shop(home.folder).check(NEXT)
        assert (check.passed, found[keys.ROWS_COMPARED]) == (True, 0)
        assert home.lake.scan(churn_skew.TABLE).count_rows() == kept > 0
