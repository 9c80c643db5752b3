"""A profile names only what it changes; a port that it does not know of never breaks it."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from pipelines.definitions import build_definitions
from resources.stack.loader import ROOT, Stack, load_stack
from resources.stack.ports import Ports, stack_resources
from resources.stack.table import PORTS, Port
from resources.state_store.port import require_one_transaction

SHIPPED = yaml.safe_load((ROOT / "stack.yaml").read_text())["profiles"]["local"]
SHOP = {"kind": "simulated", "customers": 20, "first_day": "2026-01-01"}


def stack_of(folder: Path, profile: dict[str, Any], table: Any = PORTS) -> Stack:
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump({"profiles": {"mine": profile}}))
    return load_stack(file, None, None, {}, table)


def configs(stack: Stack) -> dict[str, Any]:
    return {port: stack.config(port) for port in stack.table}


@pytest.mark.slow
def test_an_application_and_one_port_are_a_profile_that_runs(tmp_path: Path) -> None:
    calendar = {"first_day": "2026-01-01"}
    stack = stack_of(tmp_path, {"apps": ["churn"], "calendar": calendar, "ports": {"source": SHOP}})
    defs = build_definitions(stack)
    job = dg.define_asset_job("once", selection=["shop/products"])
    ready = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("once")
    with dg.DagsterInstance.ephemeral() as instance:
        assert ready.execute_in_process(partition_key="2026-01-05", instance=instance).success
    assert Ports(stack).lake.tables() != ()
    assert stack.home == tmp_path / "var"


def test_nothing_at_all_is_the_shipped_stack(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, {})
    shipped = stack_of(
        tmp_path, {"ports": SHIPPED["ports"], "calendar": {"first_day": SHIPPED["calendar"]["first_day"].isoformat()}}
    )
    assert configs(stack) == configs(shipped)
    assert stack.calendar == shipped.calendar


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(named=st.sets(st.sampled_from(sorted(SHIPPED["ports"]))))
def test_a_port_that_is_left_out_is_its_default_whatever_else_is_named(tmp_path: Path, named: set[str]) -> None:
    calendar = {"first_day": "2025-01-01"}
    stack = stack_of(tmp_path, {"calendar": calendar, "ports": {port: SHIPPED["ports"][port] for port in named}})
    assert configs(stack) == configs(stack_of(tmp_path, {}))


def test_alerts_are_kept_where_the_state_is_unless_they_are_named(tmp_path: Path) -> None:
    state, other = ({"kind": "sqlite", "path": str(tmp_path / name)} for name in ("state.db", "other.db"))
    follows = Ports(stack_of(tmp_path, {"ports": {"state_store": state}}))
    assert follows.alert_store.place == follows.state_store.alerts_beside.place == str(tmp_path / "state.db")
    named = Ports(stack_of(tmp_path, {"ports": {"state_store": state, "alert_store": other}}))
    assert named.alert_store.place == str(tmp_path / "other.db")
    with pytest.raises(TesseraError, match=r"stores them in .*state\.db"):
        require_one_transaction(named.state_store, named.alert_store)


def test_the_simulated_shop_begins_with_the_calendar(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, {"calendar": {"first_day": "2024-05-05"}})
    assert stack.config("source").model_dump()["first_day"] == "2024-05-05"


def test_a_source_of_ones_own_needs_a_first_day(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"`mine.calendar.first_day` is not given"):
        stack_of(tmp_path, {"ports": {"source": SHOP}})


def test_a_new_port_breaks_no_old_file_and_has_its_default_everywhere(tmp_path: Path) -> None:
    more = {
        **PORTS,
        "second_lake": replace(PORTS["lake"], default=MappingProxyType({"kind": "delta", "path": "${home}/b"})),
    }
    for name in ("local", "online-retail", "fraud-handbook"):
        stack = load_stack(ROOT / "stack.yaml", name, str(tmp_path), {}, more)
        assert stack.config("second_lake").model_dump()["path"] == f"{tmp_path}/b"
        assert stack.open("second_lake").check().ok
    assert "second_lake" in stack_resources(stack)
    with pytest.raises(TesseraError, match="did you mean 'second_lake'"):
        stack_of(tmp_path, {"ports": {"second_lak": {"kind": "delta"}}}, more)


def test_several_profiles_need_a_default(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump({"profiles": {"one": {}, "two": {}}}))
    with pytest.raises(TesseraError, match="`default_profile` is None"):
        load_stack(tmp_path / "stack.yaml", None, None, {})


@pytest.mark.parametrize("name", PORTS)
def test_a_row_of_the_table_is_complete(name: str) -> None:
    port: Port = PORTS[name]
    assert port.default["kind"] in port.adapters
    assert isinstance(getattr(Ports, name, None), object)
    assert hasattr(Ports, name), "the typed object gives it to commands, workers and notebooks"
