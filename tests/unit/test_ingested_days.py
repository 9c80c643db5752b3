"""Days that one run ingested are materialized partitions in Dagster, each of them once."""

import asyncio
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest  # noqa: TID251 - the pages of the UI ask it
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.stages import metadata_keys as keys
from assets.stages.ingestion.completeness_log import DayCounts, mark_complete
from pipelines.ingested_days import ingested_days, overtaken, unrecorded
from resources.lake.delta import DeltaLakeConfig
from resources.stack.loader import ROOT, load_stack
from resources.stack.ports import stack_resources

ORDERS = dg.AssetKey(["shop", "orders"])
FIRST = date(2026, 1, 1)


def some_days(*numbers: int) -> dict[date, DayCounts]:
    return {FIRST + timedelta(days=number): DayCounts(kept=number, quarantined=1) for number in numbers}


def reported(instance: dg.DagsterInstance, events: list[dg.AssetMaterialization]) -> list[str]:
    for event in events:
        instance.report_runless_asset_event(event)
    return [event.partition or "" for event in events]


@pytest.mark.slow
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(before=st.sets(st.integers(-3, 6)), known=st.sets(st.integers(0, 6)), later=st.sets(st.integers(-3, 9)))
def test_each_ingested_day_becomes_a_partition_once(
    tmp_path_factory: pytest.TempPathFactory, before: set[int], known: set[int], later: set[int]
) -> None:
    lake = DeltaLakeConfig(path=str(tmp_path_factory.mktemp("lake"))).open()
    with dg.DagsterInstance.ephemeral() as instance:
        reported(instance, [dg.AssetMaterialization(ORDERS, partition=day.isoformat()) for day in some_days(*known)])
        for ingested in (before, later):
            if ingested:
                mark_complete(lake, "orders", some_days(*ingested))
            found = reported(instance, [*unrecorded(instance, lake, FIRST)])
            assert found == sorted(found)
            assert len(found) == len(set(found))
            assert not set(found) & {day.isoformat() for day in some_days(*known)}
            assert [*unrecorded(instance, lake, FIRST)] == []
        due = {day.isoformat() for day in some_days(*(before | later | known)) if day >= FIRST}
        assert instance.get_materialized_partitions(ORDERS) == due


@dg.asset(key=ORDERS, check_specs=[dg.AssetCheckSpec("anomalies", asset=ORDERS)])
def checked_orders():
    found = dg.AssetCheckResult(
        passed=False, check_name="anomalies", severity=dg.AssetCheckSeverity.WARN, description="few rows"
    )
    return dg.MaterializeResult(check_results=[found])


async def is_shown(instance: dg.DagsterInstance) -> bool:
    """Whether Dagster's pages show the last result of the check; else they say that it was not evaluated."""
    key = dg.AssetCheckKey(ORDERS, "anomalies")
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    return await record.targets_latest_materialization(LoadingContextForTest(instance))


def test_a_check_is_shown_again_after_days_were_recorded_once(tmp_path: Path) -> None:
    stack = load_stack(ROOT / "stack.yaml", "local", str(tmp_path), {})
    first = stack.calendar.first_day
    lake = stack.open("lake")
    mark_complete(lake, "orders", {first: DayCounts(kept=5, quarantined=0)})
    asked = {"lake": stack_resources(stack)["lake"]}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=asked) as context,
    ):
        sensor = ingested_days(first)
        assert dg.materialize([checked_orders], instance=instance).success
        assert [*overtaken(instance)] == []
        reported(instance, [*unrecorded(instance, lake, first)])
        assert not asyncio.run(is_shown(instance))
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        (event,) = result.asset_events
        assert isinstance(event, dg.AssetCheckEvaluation)
        assert (event.passed, event.description) == (False, "few rows")
        instance.report_runless_asset_event(event)
        assert asyncio.run(is_shown(instance))
        assert isinstance(sensor(context), dg.SkipReason)
        # A run that checks the table again has the last word.
        assert dg.materialize([checked_orders], instance=instance).success
        assert isinstance(sensor(context), dg.SkipReason)


def test_the_sensor_reports_some_days_at_a_time_with_their_rows(tmp_path: Path) -> None:
    stack = load_stack(ROOT / "stack.yaml", "local", str(tmp_path), {})
    first = stack.calendar.first_day
    sensor = ingested_days(first)
    days = {first + timedelta(days=number): DayCounts(kept=number, quarantined=2) for number in range(60)}
    mark_complete(stack.open("lake"), "orders", days)
    asked = {"lake": stack_resources(stack)["lake"]}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources=asked) as context,
    ):
        for expected in (50, 10):
            result = sensor(context)
            assert isinstance(result, dg.SensorResult)
            events = [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]
            assert len(reported(instance, events)) == expected
            assert {event.asset_key for event in events} == {ORDERS}
            assert all(event.metadata[keys.ROWS_QUARANTINED].value == 2 for event in events)
        assert isinstance(sensor(context), dg.SkipReason)
