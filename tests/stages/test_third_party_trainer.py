"""A trainer of another package, by its dotted path: trained, gated, registered, loaded, scored, and rolled back to."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from assets.stages.promotion import loadable_champion, make_champion
from assets.stages.training import evaluate_candidates, promote_or_keep
from models.errors import TesseraError
from models.settings import TrainerSettings
from models.training.agreement import RefitConfig
from models.training.golden import verified_package
from models.training.model_package import load
from resources.registry.fake import FolderRegistry, FolderRegistryConfig
from resources.stack.recipes import trainers_of
from resources.trainer.port import Trainer
from tests.learning_world import AS_OF, Notices, OneFeatureTrainer, task_as_of

THIRD_PARTY = Path(__file__).resolve().parents[1] / "conformance" / "third_party"
TRAINER = "acme_lightgbm.trainer.LightGBMTrainerConfig"


@pytest.fixture
def lightgbm(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.syspath_prepend(THIRD_PARTY)
    return trainers_of([TrainerSettings.model_validate({"kind": TRAINER, "rounds": 40, "leaves": 4})])[0]


def registry_of(folder: Path, *trusted: str) -> FolderRegistry:
    return FolderRegistryConfig(path=str(folder), trusted_packages=list(trusted)).open()


def test_a_model_of_another_package_is_judged_serves_and_is_rolled_back_to(lightgbm: Trainer, tmp_path: Path) -> None:
    registry = registry_of(tmp_path, "acme_lightgbm")
    task = task_as_of()
    found = evaluate_candidates(task, [OneFeatureTrainer(0), lightgbm], registry, AS_OF)
    assert found.candidate.name == "lightgbm"
    assert found.passing is not None, found.report.markdown(picture=False)
    promote_or_keep(task, found, registry, Notices(), run_id="r", who="w")
    champion = registry.ledger("churn")[-1]
    assert champion.judged == "1", "a refit of it on all rows serves"
    scores = loadable_champion("churn", registry).model.score(task.newest)
    assert np.ptp(scores) > 0.1

    # The profile goes back to a trainer of ours; nights load what serves all the same.
    later = AS_OF + timedelta(days=7)
    ours = trainers_of([TrainerSettings.model_validate({"kind": "xgboost", "max_rounds": 60, "folds": 2})])
    theirs = task_as_of(later, refit=RefitConfig(enabled=False))
    again = evaluate_candidates(theirs, [OneFeatureTrainer(0), *ours], registry, later)
    make_champion(
        registry, "churn", str(again.version), action="promote", why="w", who="ann", run_id="", metrics={},
        even_if_refused=True,
    )  # fmt: skip
    night = registry_of(tmp_path, "acme_lightgbm")
    make_champion(
        night, "churn", champion.to_version or "", action="rollback", why="w", who="ann", run_id="", metrics={}
    )
    assert np.array_equal(loadable_champion("churn", night).model.score(task.newest), scores)


def test_a_package_that_is_not_trusted_or_fails_when_it_gives_reasons_is_not_promoted(
    lightgbm: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = evaluate_candidates(task_as_of(), [OneFeatureTrainer(0), lightgbm], registry_of(tmp_path), AS_OF)
    assert found.report.stopped_by == ("loads",)
    assert ".txt" in found.says("loads")
    trusting = registry_of(tmp_path, "acme_lightgbm")
    version = evaluate_candidates(task_as_of(), [OneFeatureTrainer(0), lightgbm], trusting, AS_OF).version
    with pytest.raises(TesseraError, match=r"does not trust the package 'acme_lightgbm'.*trusted_packages"):
        load(trusting.fetch("churn", str(version)))
    package = trusting.fetch("churn", str(version))
    assert verified_package(package, ["acme_lightgbm"])[1] == 50
    monkeypatch.delattr("acme_lightgbm.model.LightGBMModel.contributions")
    with pytest.raises(TesseraError, match="no attribute 'contributions'"):
        verified_package(package, ["acme_lightgbm"])


def test_a_package_that_was_uninstalled_is_named(
    lightgbm: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(tmp_path, "acme_lightgbm")
    version = evaluate_candidates(task_as_of(), [OneFeatureTrainer(0), lightgbm], registry, AS_OF).version
    monkeypatch.setitem(__import__("sys").modules, "acme_lightgbm.model", None)
    with pytest.raises(TesseraError, match=r"cannot be imported.*Install acme_lightgbm again"):
        load(registry.fetch("churn", str(version)), trusted=registry.trusted_packages)
