"""The shop's tables as assets: what the UI shows, and what stops the run."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import ConfigDict

from assets.shop import assets as shop
from assets.stages import metadata_keys as keys
from assets.stages.builders import QUARANTINED_SHARE, column_schema
from assets.stages.dependants import Dependants
from assets.stages.watch.checks import ANOMALIES, FRESHNESS
from models.contracts import CUSTOMERS, ORDERS, PRODUCTS
from models.ingestion import IngestionConfig
from models.settings import Settings
from resources.lake.delta import DeltaLakeConfig
from resources.lake.port import Lake
from resources.source.fake import FakeSource
from resources.source.simulated import SimulatedSourceConfig
from resources.stack.ports import LakeResource, SettingsResource, SourceResource

TABLES = [contract.table for contract in (CUSTOMERS, ORDERS, PRODUCTS)]

FIRST = date(2025, 1, 1)
DAY = FIRST + timedelta(days=19)
SOURCE = SimulatedSourceConfig(customers=2000, first_day=FIRST.isoformat(), seed=3)


class SimulatedShop(SourceResource):
    backend: SimulatedSourceConfig = SOURCE


class OrdersOnly(SimulatedShop):
    def open(self) -> FakeSource:
        rows = self.backend.open().read("orders", FIRST, DAY).read_all()
        return FakeSource({"orders": rows}, FIRST)


class NoSource(SimulatedShop):
    def open(self) -> FakeSource:
        raise AssertionError("the source is read")


class TemporaryLake(LakeResource):
    backend: DeltaLakeConfig


class ChosenSettings(SettingsResource):
    model_config = ConfigDict(frozen=True)
    max_quarantined_share: float

    def open(self) -> Settings:
        return Settings(ingestion=IngestionConfig(max_quarantined_share=self.max_quarantined_share))


@dg.asset(deps=[["shop", "orders"]], partitions_def=shop.orders.partitions_def)
def built_on_orders() -> None:
    """Stands for the features."""


def run(folder: Path, source: SourceResource, limit: float) -> tuple[dg.ExecuteInProcessResult, Lake]:
    lake = TemporaryLake(backend=DeltaLakeConfig(path=str(folder)))
    result = dg.materialize(
        [shop.customers, shop.products, shop.orders, built_on_orders],
        partition_key=DAY.isoformat(),
        resources={
            "source": source,
            "lake": lake,
            "settings": ChosenSettings(max_quarantined_share=limit),
            "dependants": Dependants(),
        },
        raise_on_error=False,
    )
    return result, lake.open()


def of_quarantine(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    found = result.get_asset_check_evaluations()
    return {check.asset_key.path[-1]: check for check in found if check.check_name == QUARANTINED_SHARE}


def metadata(result: dg.ExecuteInProcessResult, table: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(f"shop__{table}")
    return {name: value.value for name, value in event.metadata.items()}


@pytest.fixture(scope="module")
def shop_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dg.ExecuteInProcessResult, Lake]:
    return run(tmp_path_factory.mktemp("lake"), SimulatedShop(), 0.05)


class TestSimulatedShop:
    def test_everything_is_built(self, shop_run: tuple[dg.ExecuteInProcessResult, Lake]) -> None:
        result, lake = shop_run
        assert result.success
        assert all(check.passed for check in result.get_asset_check_evaluations())
        assert len(result.asset_materializations_for_node("built_on_orders")) == 1
        assert all(lake.exists(table) for table in TABLES)

    def test_every_known_defect_is_found_and_nothing_else(
        self, shop_run: tuple[dg.ExecuteInProcessResult, Lake]
    ) -> None:
        """The simulated shop names the defect in the id of a broken copy; other copies repeat a line's own id."""
        result, lake = shop_run
        delivered = SOURCE.open().read("orders", FIRST, DAY).read_all()["order_line_id"].to_pylist()
        kinds = Counter(key.rpartition("-")[2] for key in delivered if not key[-1].isdigit())
        found = metadata(result, "orders")
        (event,) = result.asset_materializations_for_node("shop__orders")
        records = [record.data for record in event.metadata["reasons"].records]
        reasons = {str(record["reason"]): record["rows"] for record in records}
        assert reasons == {
            "order_line_id was delivered before": len(delivered) - len(set(delivered)),
            "customer_id is missing": kinds["null_customer"],
            "quantity cannot be read as int32": kinds["unreadable_quantity"],
            "unit_price is far from the list price": kinds["wrong_unit"],
        }
        assert found[keys.ROWS_IN] == len(delivered)
        assert found[keys.ROWS_QUARANTINED] == sum(reasons.values()) == lake.scan("quarantine_orders").count_rows()
        assert found[keys.ROWS_KEPT] == lake.scan("orders").count_rows()

    def test_numbers_plot(self, shop_run: tuple[dg.ExecuteInProcessResult, Lake]) -> None:
        for table in TABLES:
            found = metadata(shop_run[0], table)
            numbers = [
                keys.ROWS_IN,
                keys.ROWS_KEPT,
                keys.ROWS_QUARANTINED,
                keys.QUARANTINED_SHARE,
                keys.ROWS_LATE,
                "seconds",
            ]
            assert all(isinstance(found[name], int | float) for name in numbers)


@pytest.mark.parametrize(("limit", "passes"), [(0.05, True), (0.001, False)])
def test_the_quarantined_share_is_checked_again_without_reading_the_source(
    shop_run: tuple[dg.ExecuteInProcessResult, Lake], limit: float, passes: bool
) -> None:
    ran, lake = shop_run
    share = of_quarantine(ran)["orders"].metadata[keys.QUARANTINED_SHARE_OF_ALL_DAYS].value
    before = lake.version("orders")
    job = dg.define_asset_job("alone", dg.AssetSelection.checks(dg.AssetCheckKey(shop.orders.key, QUARANTINED_SHARE)))
    resources = {
        "source": NoSource(),
        "lake": TemporaryLake(backend=DeltaLakeConfig(path=lake._root)),
        "settings": ChosenSettings(max_quarantined_share=limit),
        "dependants": Dependants(),
    }
    defs = dg.Definitions([shop.orders], jobs=[job], resources=resources)
    result = defs.resolve_job_def("alone").execute_in_process(raise_on_error=False)
    (check,) = result.get_asset_check_evaluations()  # of the one that was selected
    assert (result.success, check.passed) == (passes, passes)
    assert check.metadata[keys.QUARANTINED_SHARE_OF_ALL_DAYS].value == share > 0.001
    assert "rows in, " in str(check.description)
    assert lake.version("orders") == before


def test_too_many_bad_rows_stop_the_run_before_anything_is_built_on_them(tmp_path: Path) -> None:
    result, lake = run(tmp_path, SimulatedShop(), 0.001)
    checks = of_quarantine(result)
    assert not result.success
    assert (checks["orders"].check_name, checks["orders"].passed) == (QUARANTINED_SHARE, False)
    assert checks["orders"].severity == dg.AssetCheckSeverity.ERROR
    assert "customer_id is missing" in str(checks["orders"].description)
    assert result.asset_materializations_for_node("built_on_orders") == []
    (failure,) = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert failure is not None
    assert failure.cause is not None
    says = failure.cause.message
    assert says.startswith("models.errors.TesseraError: The check quarantined_share of shop/orders stopped the run: ")
    assert "the limit is 0.10%" in says
    assert "`tessera quarantine orders`" in says
    assert "settings.ingestion.max_quarantined_share" in says
    assert lake.scan("quarantine_orders").count_rows() > 0, "what was refused is kept for whoever looks into it"


def test_tables_that_the_source_does_not_provide_are_no_failure(tmp_path: Path) -> None:
    result, lake = run(tmp_path, OrdersOnly(), 0.05)
    assert result.success
    assert metadata(result, "products") == {
        "note": "not provided by this source",
        keys.ROWS_IN: 0,
        keys.ROWS_KEPT: 0,
        keys.ROWS_QUARANTINED: 0,
    }
    assert not lake.exists("products")
    assert lake.scan("orders").count_rows() > 0


def test_columns_are_shown_with_limits_and_personal_data() -> None:
    shown = {column.name: column for column in column_schema(ORDERS).columns}
    assert list(shown) == ORDERS.lake_schema().names
    assert list(shown["quantity"].constraints.other) == [">= -100000", "<= 100000", "never 0"]
    assert list(shown["unit_price"].constraints.other) == ["> 0", "<= 20000"]
    assert (shown["order_line_id"].constraints.unique, shown["order_id"].constraints.unique) == (True, False)
    assert shown["customer_id"].tags == {"pii": "pseudonymous"}
    assert {c.name: c.tags for c in column_schema(CUSTOMERS).columns}["email"] == {"pii": "direct"}


@pytest.mark.parametrize("asset", [shop.customers, shop.products, shop.orders])
def test_every_asset_says_what_it_is(asset: dg.AssetsDefinition) -> None:
    spec = asset.get_asset_spec()
    assert len(str(spec.description)) > 40
    assert (spec.group_name, list(spec.owners), spec.kinds) == ("shop", ["team:shop-data"], {"lake", "polars"})
    assert {check.name: check.blocking for check in asset.check_specs} == {
        QUARANTINED_SHARE: True,
        ANOMALIES: True,
        FRESHNESS: False,
    }
