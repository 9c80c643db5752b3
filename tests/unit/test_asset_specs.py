"""Kinds of assets are the adapters that the profile names, and a table that a night did not bring turns red."""

import asyncio
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.freshness_evaluator import (  # noqa: TID251 - what Dagster's daemon asks
    FRESHNESS_EVALUATORS_BY_POLICY_TYPE,
)
from dagster._core.loader import LoadingContextForTest  # noqa: TID251
from dagster._core.test_utils import freeze_time  # noqa: TID251

from models.contracts import CONTRACTS
from pipelines.definitions import build_definitions
from resources.stack.loader import Stack, load_stack


def stack_with(folder: Path, **profile: Any) -> Stack:
    (folder / "stack.yaml").write_text(yaml.safe_dump({"profiles": {"mine": profile}}))
    return load_stack(folder / "stack.yaml", None, None, {})


def nodes(stack: Stack) -> dict[str, Any]:
    graph = build_definitions(stack).resolve_asset_graph()
    return {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}


def test_kinds_are_the_adapters_of_the_profile(tmp_path: Path) -> None:
    found = nodes(stack_with(tmp_path))
    assert found["shop/orders"].kinds == {"deltalake", "polars"}
    assert found["churn/features"].kinds == {"duckdb", "deltalake"}
    assert found["churn/online_features"].kinds == {"feast", "sqlite"}
    assert found["churn/candidate"].kinds == {"mlflow", "xgboost", "scikitlearn"}
    assert found["fraud/stream_catch_up"].kinds == {"sqlite"}


def test_another_adapter_is_another_kind(tmp_path: Path) -> None:
    ports = {
        "state_store": {"kind": "postgres", "url": "postgresql://h/d"},
        "events": {"kind": "redis", "url": "redis://h"},
        "feature_store": {"kind": "feast", "online_store": {"type": "redis", "connection_string": "h:1"}},
        "sink": {"kind": "resources.sink.delta.DeltaSinkConfig", "path": "scores"},
    }
    candidates = {"churn": {"candidates": [{"kind": "logistic_regression"}]}}
    found = nodes(stack_with(tmp_path, ports=ports, settings=candidates))
    assert found["fraud/stream_catch_up"].kinds == {"postgres"}
    assert found["storage/events"].kinds == {"redis"}
    assert found["churn/online_features"].kinds == {"feast", "redis"}
    assert found["churn/publication"].kinds == {"resources"}
    assert found["churn/candidate"].kinds == {"mlflow", "scikitlearn"}


def test_no_asset_shows_the_name_of_a_port_or_more_kinds_than_dagster_takes(tmp_path: Path) -> None:
    stack = stack_with(tmp_path)
    for name, node in nodes(stack).items():
        assert 0 < len(node.kinds) <= 3, name
        assert not node.kinds & {*stack.table, "trainer"}, name


def test_every_contracted_table_has_a_deadline_of_its_contract(tmp_path: Path) -> None:
    found = nodes(stack_with(tmp_path, calendar={"first_day": "2025-01-01", "nightly_at": "03:30"}))
    for table, contract in CONTRACTS.items():
        policy = found[f"shop/{table}"].freshness_policy_or_from_metadata
        at = (datetime(2026, 1, 1, 3, 30, tzinfo=UTC) + timedelta(hours=contract.freshness_hours)).time()
        assert policy.deadline_cron == f"{at.minute} {at.hour} * * *"
        assert policy.lower_bound_delta <= timedelta(days=1)


def test_a_table_that_the_night_did_not_bring_turns_red(tmp_path: Path) -> None:
    orders = nodes(stack_with(tmp_path))["shop/orders"]  # two hours after nights begin, at 04:00 UTC
    midnight = datetime.combine(datetime.now(UTC).date(), time(0), UTC)
    with dg.DagsterInstance.ephemeral() as instance:

        def state(hours: float) -> str:
            evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(orders.freshness_policy_or_from_metadata)]()
            with freeze_time(midnight + timedelta(hours=hours)):
                return asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), orders)).value

        assert state(5) == "UNKNOWN"
        with freeze_time(midnight + timedelta(hours=2)):
            instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "orders"], partition="2026-01-01"))
        assert [state(hours) for hours in (2.5, 5, 23, 24 + 3.9)] == ["PASS"] * 4
        assert [state(hours) for hours in (24 + 4.1, 48)] == ["FAIL"] * 2
        with freeze_time(midnight + timedelta(hours=24 + 5)):
            instance.report_runless_asset_event(dg.AssetMaterialization(["shop", "orders"], partition="2026-01-02"))
        assert state(24 + 5.1) == "PASS"


@pytest.mark.slow
@pytest.mark.parametrize("at", ["00:00", "02:00", "23:59"])
def test_any_hour_of_the_night_gives_a_policy(tmp_path: Path, at: str) -> None:
    stack = stack_with(tmp_path, calendar={"first_day": "2025-01-01", "nightly_at": at})
    assert nodes(stack)["shop/customers"].freshness_policy_or_from_metadata is not None
