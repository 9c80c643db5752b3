"""A publication is overdue when a night published nothing in time: skipped, failed or blocked."""

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

from assets.apps import APPS
from models.errors import TesseraError
from pipelines.definitions import build_definitions
from resources.stack.loader import Stack, load_stack
from tests.scoring_world import DAY, made

PUBLISHING = [app.name for app in APPS if app.publishes]
NEXT = DAY + timedelta(days=1)
MIDNIGHT = datetime.combine(NEXT, time(0), UTC)  # the night of DAY


def stack_with(folder: Path, **calendar: Any) -> Stack:
    document = {"profiles": {"mine": {"calendar": {"first_day": "2025-01-01", **calendar}}}}
    (folder / "stack.yaml").write_text(yaml.safe_dump(document))
    return load_stack(folder / "stack.yaml", None, None, {})


def publication(stack: Stack, app: str) -> Any:
    return build_definitions(stack).resolve_asset_graph().get(dg.AssetKey([app, "publication"]))


def starts(stack: Stack, app: str) -> time:
    """Time of day at which the application's nights begin."""
    schedules = build_definitions(stack).schedules or ()
    (cron,) = (
        one.cron_schedule
        for one in schedules
        if isinstance(one, dg.ScheduleDefinition) and one.job_name == f"{app}_nightly"
    )
    minute, hour, *_ = str(cron).split()
    return time(int(hour), int(minute))


def state(node: Any, instance: dg.DagsterInstance, hours: float) -> str:
    """How Dagster shows the publication so many hours after midnight."""
    evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(node.freshness_policy_or_from_metadata)]()
    with freeze_time(MIDNIGHT + timedelta(hours=hours)):
        return asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node)).value


@pytest.mark.parametrize("app", PUBLISHING)
@pytest.mark.parametrize(("nightly_at", "hours"), [("02:00", 2), ("23:40", 1), ("00:00", 20)])
def test_every_publication_has_one_deadline_after_its_schedule(
    tmp_path: Path, app: str, nightly_at: str, hours: int
) -> None:
    stack = stack_with(tmp_path, nightly_at=nightly_at, publish_within_hours=hours)
    node = publication(stack, app)
    due = datetime.combine(MIDNIGHT, starts(stack, app)) + timedelta(hours=hours)
    assert node.freshness_policy_or_from_metadata.deadline_cron == f"{due.minute} {due.hour} * * *"
    assert f"published nothing by {due:%H:%M} UTC" in node.description
    assert f"`tessera run {app}_nightly --date DAY`" in node.description


@pytest.mark.parametrize("app", PUBLISHING)
def test_a_day_that_was_not_published_in_time_is_overdue_until_it_is(tmp_path: Path, app: str) -> None:
    node = publication(stack_with(tmp_path), app)
    with dg.DagsterInstance.ephemeral() as instance:
        assert state(node, instance, 5) == "UNKNOWN"
        for night in (0, 48):
            with freeze_time(MIDNIGHT + timedelta(hours=night + 3)):
                instance.report_runless_asset_event(dg.AssetMaterialization([app, "publication"]))
            assert [state(node, instance, night + hours) for hours in (3.1, 5, 27.9)] == ["PASS"] * 3
            assert [state(node, instance, night + hours) for hours in (29, 47)] == ["FAIL"] * 2


def test_a_blocked_and_a_failed_night_are_overdue_and_a_repaired_one_is_not(tmp_path: Path) -> None:
    node = publication(stack_with(tmp_path), "churn")
    world = made(tmp_path / "home")

    def night(hours: float, instance: dg.DagsterInstance, **run: Any) -> bool:
        with freeze_time(MIDNIGHT + timedelta(hours=hours)):
            return world.run(instance=instance, **run).success

    with dg.DagsterInstance.ephemeral() as instance:
        assert night(2.1, instance)
        assert state(node, instance, 4.1) == "PASS"
        world.features(NEXT, shift=3.0)
        assert not night(26.1, instance, day=NEXT), "the audit blocks it"
        assert state(node, instance, 28.1) == "FAIL"
        world.features(NEXT)
        assert night(29, instance, day=NEXT)
        assert state(node, instance, 29.1) == "PASS"
        assert not night(50.1, instance, day=NEXT + timedelta(days=1)), "there are no features"
        assert state(node, instance, 52.1) == "FAIL"


def test_the_hours_are_a_setting_with_limits(tmp_path: Path) -> None:
    for wrong in (0, 21, "soon"):
        with pytest.raises(TesseraError, match="publish_within_hours"):
            stack_with(tmp_path, publish_within_hours=wrong)
