"""Definitions come from the stack that is passed: several in one process, each with its days, settings and apps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.apps import APPS
from models.errors import TesseraError
from models.settings import APP_NAMES, Settings
from pipelines.definitions import build_definitions
from resources.stack.loader import ADAPTERS, ROOT, Stack, load_stack
from resources.stack.ports import Ports, SettingsResource, stack_resources
from resources.stack.run_config import changed_settings

SHIPPED = ROOT / "stack.yaml"
PROFILES = sorted(yaml.safe_load(SHIPPED.read_text())["profiles"])


def stack_with(folder: Path, **changes: object) -> Stack:
    """The shipped default profile with some keys replaced."""
    folder.mkdir(exist_ok=True)
    document = yaml.safe_load(SHIPPED.read_text())
    document["profiles"]["local"].update(changes)
    (folder / "stack.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return load_stack(folder / "stack.yaml", None, None, {})


def settings_of_a_run(stack: Stack, config: Mapping[str, Any] | None = None) -> Settings:
    """The settings that a step gets, with this config of the resource."""
    seen: list[Settings] = []

    @dg.op
    def look(settings: SettingsResource) -> None:
        seen.append(settings.open())

    @dg.job(resource_defs={"settings": stack_resources(stack)["settings"]})
    def looking() -> None:
        look()

    with dg.DagsterInstance.ephemeral() as instance:
        run_config = {"resources": {"settings": {"config": config}}} if config else None
        looking.execute_in_process(instance=instance, run_config=run_config)
    return seen[0]


def test_every_application_has_a_record_and_settings() -> None:
    assert tuple(app.name for app in APPS) == APP_NAMES


@pytest.mark.slow
def test_two_stacks_live_in_one_process(tmp_path: Path) -> None:
    calendar = {"first_day": "2020-05-05", "nightly_at": "04:10"}
    one = stack_with(tmp_path / "one")
    other = stack_with(tmp_path / "other", calendar=calendar, settings={"churn": {"horizon_days": 45}})
    built = [build_definitions(one), build_definitions(other)]
    first_days, crons = set[str](), list[str]()
    for defs in built:
        graph = defs.resolve_asset_graph()
        days = {str(graph.get(key).partitions_def) for key in graph.toposorted_asset_keys}
        days = {one for one in days if one.startswith("Daily")}
        assert len(days) == 1  # every asset of a stack with days has the same
        first_days |= days
        crons.append(str(defs.resolve_schedule_def("churn_online").cron_schedule))
    assert first_days == {"Daily, starting 2025-01-01 UTC.", "Daily, starting 2020-05-05 UTC."}
    assert crons == ["0 3 * * *", "10 5 * * *"]
    assert settings_of_a_run(one).churn.horizon_days == 90
    assert settings_of_a_run(other).churn.horizon_days == 45


@pytest.mark.slow
@pytest.mark.parametrize("name", PROFILES)
def test_the_settings_of_a_run_are_those_of_the_profile(name: str, tmp_path: Path) -> None:
    stack = load_stack(SHIPPED, name, str(tmp_path), {})
    assert settings_of_a_run(stack) == stack.settings


@pytest.mark.slow
def test_one_run_changes_one_setting_and_keeps_the_others(tmp_path: Path) -> None:
    stack = stack_with(tmp_path)
    changed = settings_of_a_run(stack, {"churn": {"horizon_days": 45, "scoring": {"contact_budget": 7}}})
    assert (changed.churn.horizon_days, changed.churn.scoring.contact_budget) == (45, 7)
    assert changed.churn.cutoff_step_days == stack.settings.churn.cutoff_step_days == 14
    assert (changed.fraud, changed.ingestion) == (stack.settings.fraud, stack.settings.ingestion)
    assert settings_of_a_run(stack) == stack.settings


@pytest.mark.parametrize(
    ("changes", "what", "expected"),
    [
        ({"churn": {"horizon_dys": 45}}, "`settings.churn.horizon_dys` is no setting", "did you mean 'horizon_days'"),
        ({"churn": {"horizon_days": "soon"}}, "`settings.churn.horizon_days` is 'soon'", "a whole number"),
        ({"churn": {"horizon_days": 0}}, "`settings.churn.horizon_days` is 0", "docs/stack.md"),
        ({"churn": {"gate": 5}}, "`settings.churn.gate` is 5", "settings: "),
        ({"chrun": {}}, "`settings.chrun` is no setting", "did you mean 'churn'"),
        ({"churn": None}, "`settings.churn` is None", "settings: "),
    ],
)
def test_a_wrong_setting_of_a_run_is_refused_in_three_parts(changes: Any, what: str, expected: str) -> None:
    with pytest.raises(TesseraError) as raised:
        changed_settings(Settings(), changes)
    assert what in raised.value.what
    assert expected in raised.value.expected
    assert "resources: settings: config" in raised.value.todo


def test_a_run_with_a_wrong_setting_fails_with_the_sentence(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"settings.churn.horizon_dys"):
        settings_of_a_run(stack_with(tmp_path), {"churn": {"horizon_dys": 45}})


def test_a_profile_runs_only_the_applications_that_it_names(tmp_path: Path) -> None:
    defs = build_definitions(stack_with(tmp_path, apps=["churn"]))
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    assert "churn/scores" in keys
    assert not {name for name in keys | jobs if name.startswith("fraud")}
    assert {"churn_nightly", "storage_weekly"} <= jobs
    assert "lost_runs" in {sensor.name for sensor in defs.sensors or []}


@pytest.mark.parametrize(
    ("apps", "says"),
    [
        (["churn", "frad"], r"stack.yaml:\d+: There is no application 'frad'\..*did you mean 'fraud'"),
        ([], r"stack.yaml:\d+: `local.apps` is a list.*churn, fraud"),
        ("churn", r"stack.yaml:\d+: `local.apps` is 'churn'.*churn, fraud"),
        ([1], r"There is no application 1"),
    ],
)
def test_an_unknown_application_is_answered_with_file_line_and_the_nearest(
    tmp_path: Path, apps: object, says: str
) -> None:
    with pytest.raises(TesseraError, match=says):
        stack_with(tmp_path, apps=apps)


def test_every_port_can_be_opened_by_name_and_only_once(tmp_path: Path) -> None:
    ports = Ports(load_stack(SHIPPED, None, str(tmp_path), {}))
    for name in ADAPTERS:
        assert getattr(ports, name) is getattr(ports, name)
