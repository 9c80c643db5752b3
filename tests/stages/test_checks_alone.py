"""Checks run alone, for the last published day: nothing is made, trained or published, and nothing is blocked."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.apps import APPS
from assets.churn import assets as churn
from pipelines.definitions import build_definitions
from resources.stack.loader import load_stack
from tests import scoring_world
from tests.scoring_world import DAY, World

NEXT, LATER = DAY + timedelta(days=1), DAY + timedelta(days=2)
SCORES = churn.scores.key
Alone = Mapping[str, dg.AssetCheckEvaluation]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = scoring_world.made(tmp_path_factory.mktemp("world") / "home")
    assert world.run().success
    return world.folder


@pytest.fixture
def world(published: Path, tmp_path: Path) -> World:
    return World(Path(shutil.copytree(published, tmp_path / "home")))


def alone(world: World, *names: str, **config: Any) -> dg.ExecuteInProcessResult:
    """Run checks of the scores without the scores, as the UI does."""
    job = dg.define_asset_job("alone", dg.AssetSelection.checks(*(dg.AssetCheckKey(SCORES, name) for name in names)))
    defs = dg.Definitions([churn.scores, churn.publication], jobs=[job], resources=world.resources())
    ops = {"ops": {"churn__scores": {"config": config}}}
    return defs.resolve_job_def("alone").execute_in_process(run_config=ops, raise_on_error=False)


def found(result: dg.ExecuteInProcessResult) -> Alone:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    return str([event.step_failure_data.error for event in result.all_events if event.is_step_failure])


def stored(world: World) -> tuple[Any, ...]:
    """Everything that publishing and telling people leave behind."""
    return (
        list(world.sink.history("churn", DAY)),
        list(world.sink.audits("churn", DAY)),
        world.lake.version("churn_features"),
        world.registry.ledger("churn"),
        world.notices(),
    )


def test_checks_look_at_the_last_published_day_and_leave_nothing_behind(world: World) -> None:
    before = stored(world)
    result = alone(world, "audit", "drift")
    assert result.success
    assert {name: check.passed for name, check in found(result).items()} == {"audit": True, "drift": True}
    assert found(result)["audit"].description == "every check passed"
    assert [event for event in result.all_events if event.is_step_materialization] == []
    assert stored(world) == before


def test_one_check_runs_without_the_other(world: World) -> None:
    assert found(alone(world, "drift")).keys() == {"drift"}


def test_features_that_moved_since_drift_and_those_that_came_late_fail_the_audit_and_stop_nothing(world: World) -> None:
    world.features(DAY, shift=3.0)
    result = alone(world, "drift")
    assert result.success
    assert (found(result)["drift"].passed, found(result)["drift"].severity) == (False, dg.AssetCheckSeverity.WARN)
    rows = world.lake.scan("churn_features", first=DAY, last=DAY).to_table()
    world.lake.replace("churn_features", rows.slice(3), by="feature_date", first=DAY, last=DAY)
    late = alone(world, "audit")
    assert not late.success
    assert (found(late)["audit"].passed, found(late)["audit"].severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "Nothing was changed; `tessera unpublish churn --date 2026-03-01`" in failure(late)
    assert world.sink.published("churn", DAY) is not None


def test_a_blocked_day_and_scores_that_were_published_once_more_can_be_checked(world: World) -> None:
    world.features(NEXT, shift=3.0)
    assert not world.run(day=NEXT).success
    blocked = found(alone(world, "audit", "drift", day=NEXT.isoformat()))
    assert [blocked[name].passed for name in ("audit", "drift")] == [False, False]
    assert alone(world, "drift", day=NEXT.isoformat()).success, "the audit was not asked for"
    for broken, degradation in ((False, "stale_features"), (True, "last_good_scores")):
        if broken:
            world.break_version("1")
        assert world.fallback(NEXT if not broken else LATER).success
        standing = world.sink.published("churn", LATER if broken else NEXT)
        assert standing is not None
        assert standing.degradation == degradation
        checked = found(alone(world, "audit", "drift"))
        assert checked["audit"].passed, "by default of the last published day"
        assert checked["drift"].passed


@pytest.mark.parametrize(
    ("day", "says"),
    [("2026-13-01", "a day as YYYY-MM-DD"), ("2026-02-01", "There are no scores of churn for 2026-02-01 to check")],
)
def test_a_day_without_scores_is_named(world: World, day: str, says: str) -> None:
    result = alone(world, "drift", day=day)
    assert not result.success
    assert says in failure(result)


def test_an_empty_home_says_what_to_run(tmp_path: Path) -> None:
    result = alone(World(tmp_path / "home"), "audit")
    assert "tessera run churn_nightly" in failure(result)


def test_scores_without_their_check_are_audited_all_the_same(world: World) -> None:
    world.features(NEXT, shift=3.0)
    job = dg.define_asset_job("bare", dg.AssetSelection.assets(SCORES).without_checks())
    defs = dg.Definitions([churn.scores], jobs=[job], resources=world.resources())
    result = defs.resolve_job_def("bare").execute_in_process(partition_key=NEXT.isoformat(), raise_on_error=False)
    assert not result.success
    assert not world.sink.audits("churn", NEXT)[-1].passed


def test_every_application_has_a_job_of_its_checks_that_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump({"profiles": {"mine": {}}}))
    defs = build_definitions(load_stack(tmp_path / "stack.yaml", None, None, {}))
    every = {key for one in defs.assets or () if isinstance(one, dg.AssetsDefinition) for key in one.check_keys}
    run: set[dg.AssetCheckKey] = set()
    for name in (*(app.name for app in APPS), "experiments"):
        layer = defs.resolve_job_def(f"{name}_checks").asset_layer
        assert not layer.selected_asset_keys
        run |= layer.asset_graph.asset_check_keys & every
    # Known only by training, and by the evaluation of an experiment.
    kept_by_training = {key for key in every if key.name == "gate" or key.asset_key.path[0] == "experiments"}
    # No application is made from these alone: its nights ingest and check them.
    of_registers = {key for key in every if key.asset_key.path in (["shop", "customers"], ["shop", "products"])}
    assert every - kept_by_training - of_registers <= run
