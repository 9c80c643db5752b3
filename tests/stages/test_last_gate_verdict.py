"""The last verdict of the gate stays visible on nights that train nothing: metadata, check, card, `tessera models`."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from rich.console import Console

from assets.stages import metadata_keys as keys
from assets.stages.training import evaluate_candidates, keep_champion, promote_or_keep
from models.errors import TesseraError
from models.gate_verdict import GateVerdict
from models.gates.config import BinaryGateConfig
from pipelines.cli import commands
from pipelines.cli.card import card
from pipelines.cli.run import Outcome
from resources.registry.fake import FolderRegistry
from resources.registry.port import Registry
from resources.stack.loader import ROOT, Stack, active_stack
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from tests.learning_world import AS_OF, GATE, Notices, task_as_of
from tests.scoring_world import made

LINEAR = LogisticRegressionTrainerConfig(folds=2).open()
LATER = AS_OF + timedelta(days=7)
FLOOR = "AUC 0.61, at least 0.99"
REASONS = {"absolute_floor": FLOOR, "slices": "country: DE lost 0.05"}


def trained(registry: Registry, as_of: date = AS_OF, gate: BinaryGateConfig = GATE) -> dg.MaterializeResult:
    task = task_as_of(as_of, gate=gate)
    found = evaluate_candidates(task, [LINEAR], registry, as_of)
    return promote_or_keep(task, found, registry, Notices(), run_id="r" * 8, who="churn_training")


def verdict(**changes: Any) -> GateVerdict:
    values: dict[str, Any] = {
        "app": "churn",
        "day": AS_OF,
        "at": datetime(2025, 9, 2, tzinfo=UTC),
        "run_id": "r",
        "version": "7",
        "candidate": "xgboost",
        "checks": 12,
        "reasons": REASONS,
    }
    return GateVerdict(**{**values, **changes})


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    document = yaml.safe_load((ROOT / "stack.yaml").read_text())
    folders = {"kind": "resources.registry.fake.FolderRegistryConfig", "path": "${home}/models"}
    document["profiles"]["local"]["ports"]["registry"] = folders
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.setenv("TESSERA_STACK", str(tmp_path / "stack.yaml"))
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TESSERA_PROFILE", raising=False)
    active_stack.cache_clear()
    yield active_stack()
    active_stack.cache_clear()


def test_a_night_without_training_shows_the_refusal_of_the_last_challenger(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    trained(registry)
    trained(registry, LATER, GATE.model_copy(update={"min_quality": 0.99}))
    night = keep_champion("churn", registry)
    shown = dict(night.metadata or {})
    last = registry.last_verdict("churn")
    assert last is not None
    assert (last.day, last.version, list(last.reasons), last.run_id) == (LATER, "3", ["absolute_floor"], "r" * 8)
    assert (shown[keys.GATE_DAY], shown[keys.GATE_VERSION]) == (LATER.isoformat(), "3")
    assert shown[keys.GATE_CHECKS_PASSED] == shown[keys.GATE_CHECKS] - 1 > 5
    assert shown[keys.GATE_REASONS].value == dict(last.reasons)
    assert "0.99" in last.reasons["absolute_floor"]
    assert last.reasons["absolute_floor"] in shown[keys.GATE_VERDICT]
    (check,) = night.check_results or ()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata[keys.GATE_CHECKS_PASSED].value == shown[keys.GATE_CHECKS_PASSED]
    assert "no training was due; last verdict, 2025-09-08: " in str(check.description)


def test_a_night_without_training_shows_that_the_champion_passed(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    trained(registry)
    night = keep_champion("churn", registry)
    shown = dict(night.metadata or {})
    assert shown[keys.GATE_CHECKS_PASSED] == shown[keys.GATE_CHECKS]
    assert keys.GATE_REASONS not in shown
    assert [check.passed for check in night.check_results or ()] == [True]


def test_a_refused_first_candidate_leaves_its_verdict(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    with pytest.raises(TesseraError, match="floor"):
        trained(registry, gate=GATE.model_copy(update={"min_quality": 0.99}))
    last = registry.last_verdict("churn")
    assert last is not None
    assert not last.promotes


def test_a_damaged_verdict_is_named_and_stops_no_night(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    trained(registry)
    (tmp_path / "registry" / "verdicts" / "churn.json").write_text('{"app": "chu')
    night = keep_champion("churn", registry)
    assert "cannot be read. Delete it" in dict(night.metadata or {})[keys.GATE_VERDICT]


def test_the_publication_shows_the_last_verdict(tmp_path: Path) -> None:
    world = made(tmp_path / "home")
    world.registry.record_verdict(verdict())
    result = world.run()
    assert result.success
    (published,) = result.asset_materializations_for_node("churn__publication")
    assert published.metadata[keys.GATE_VERSION].value == "7"
    assert published.metadata[keys.GATE_CHECKS_PASSED].value == 10
    assert REASONS["absolute_floor"] in str(published.metadata[keys.GATE_VERDICT].value)


@pytest.mark.parametrize("asset", ["churn/champion", "demand/champion", "fraud/publication"])
def test_the_card_of_a_night_without_training_shows_the_last_verdict_once(stack: Stack, asset: str) -> None:
    shown = {keys.GATE_VERDICT: verdict().sentence(), keys.GATE_REASONS: REASONS, keys.VERSION: "6"}
    published = {keys.VERDICT: "stays", keys.DIGEST: "d" * 20}
    outcome = Outcome("churn_nightly", AS_OF, "r" * 8, success=True, metadata={asset: {**shown, **published}})
    outcome.failed_checks[f"{asset.split('/')[0]}/champion: gate"] = verdict().sentence()
    console = Console(width=500, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(card(outcome, stack))
    console.file.close()
    text = console.export_text()
    assert text.count(f"xgboost (version 7) passed 10 of 12 checks, stopped by absolute_floor: {FLOOR}") == 1


def test_models_prints_the_last_verdict_and_gives_it_as_json(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.open("registry").record_verdict(verdict())
    for arguments in (["models", "churn"], ["models", "churn", "--json"]):
        with pytest.raises(SystemExit):
            commands.app.main(arguments)
    text, _, document = capsys.readouterr().out.partition("{")
    assert "last gate verdict: 2025-09-01: xgboost (version 7) passed 10 of 12 checks" in " ".join(text.split())
    last = json.loads("{" + document)["last_verdict"]
    assert (last["day"], last["version"], last["passed_checks"], last["checks"]) == ("2025-09-01", "7", 10, 12)
    assert last["reasons"] == REASONS


def test_a_renewed_champion_counts_as_promoted() -> None:
    renewed = verdict(reasons={"champion": "no better"}, renewal=verdict(version="8", reasons={}))
    assert renewed.promotes
    assert not renewed.passed
    assert "the champion's settings on newer rows: xgboost (version 8) passed 12 of 12 checks" in renewed.sentence()
    assert not verdict(reasons={}, version=None).promotes, "its package was refused"
