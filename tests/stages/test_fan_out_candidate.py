"""A mean of two models goes the way of every candidate: evaluated, refit, in charge, loaded, and put back."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.stages.promotion import loadable_champion, make_champion
from assets.stages.training import Evaluation, evaluate_candidates, promote_or_keep
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.settings import TrainerSettings
from models.training.children import children_of
from models.training.columns import PurchaseHistory
from models.training.recipe import RECIPE, Recipe
from resources.registry.fake import FolderRegistry
from resources.stack.recipes import trainers_of
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from tests.learning_world import AS_OF, HORIZON, Notices, OneFeatureTrainer, task_as_of

TREES = {"kind": "xgboost", "max_depth": 2, "monotone": True, "max_rounds": 40, "folds": 2}
LINE = {"kind": "logistic_regression", "bgnbd": True, "folds": 2}
BLINKERED = "tests.learning_world.BlinkeredTrainerConfig"
#: Trees know the taste, the line knows the purchases; the merge knows both.
PARTS = [{"kind": BLINKERED, "sees": [2], "of": TREES}, {"kind": BLINKERED, "sees": [0, 1], "of": LINE}]


def fan_out(merge: str, *parts: dict[str, Any]) -> TrainerSettings:
    return TrainerSettings.model_validate({"kind": "fan_out", "merge": merge, "of": list(parts)})


MEAN, STACKED = fan_out("mean", *PARTS), fan_out("stacking", *PARTS)
#: The line knows all that there is to know here: trees add nothing to it.
NO_BETTER = fan_out("mean", TREES, LINE)


def task(as_of: date) -> TrainingTask:
    history = PurchaseHistory("orders_90", "recency_days", "recency_days", HORIZON)
    return task_as_of(as_of, directions={"recency_days": 1, "orders_90": -1}, purchases=history)


def trained(registry: FolderRegistry, candidates: list[TrainerSettings], as_of: date) -> Evaluation:
    """A night of training with a weak baseline."""
    given = task(as_of)
    found = evaluate_candidates(given, [OneFeatureTrainer(1), *trainers_of(candidates)], registry, as_of)
    promote_or_keep(given, found, registry, Notices(), run_id="r", who="w")
    return found


@pytest.mark.parametrize("candidate", [MEAN, STACKED], ids=["mean", "stacking"])
def test_it_is_judged_refit_renewed_and_rolled_back_to(candidate: TrainerSettings, tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    found = trained(registry, [candidate], AS_OF)
    assert found.candidate.name == (candidate.model_extra or {})["merge"]
    assert re.search(r"over its best part, \d \((xgboost|logistic_regression)\)", found.says("best_part"))
    assert found.report.passed, found.report.markdown(picture=False)
    assert registry.ledger("churn")[-1].judged == "1", "its refit serves"
    merge, refit = ([*map(str, children_of(registry.fetch("churn", version)))] for version in ("1", "2"))
    assert len({*merge, *refit}) == 4
    lines = registry.versions("churn")[0].tags["children"].splitlines()
    assert [line.split(", ")[0] for line in lines] == [
        "0.xgboost: xgboost",
        "1.logistic_regression: logistic_regression",
    ]
    assert all("holdout_auc 0." in line and "rows " in line for line in lines)
    first = loadable_champion("churn", registry).model
    recipe = Recipe.model_validate_json(first.extras[RECIPE])
    assert {"0.rounds", "1.steps"} == set(recipe.chosen) - {"weights"}
    rows = task(AS_OF).newest
    matrix = first.encoder.matrix(rows)
    assert np.ptp(first.model.raw(matrix) - first.model.contributions(matrix).sum(axis=1)) < 1e-4

    # A week later a candidate of other settings is no better: the mean is made again from its recipe, with its columns.
    again = trained(registry, [candidate], AS_OF + timedelta(days=7))
    assert "there is nothing else to beat" in again.says("champion")
    assert registry.champion("churn") == "4"
    make_champion(registry, "churn", "2", action="rollback", why="w", who="ann", run_id="", metrics={})
    back = loadable_champion("churn", registry)
    assert back.version == "2"
    assert np.array_equal(back.model.score(rows), first.score(rows))


@pytest.mark.parametrize("merge", ["mean", "stacking"])
def test_a_merge_that_is_no_better_is_refused_and_its_best_part_serves(merge: str, tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    found = trained(registry, [fan_out(merge, TREES, LINE)], AS_OF)
    assert found.instead_of is not None
    assert found.instead_of.report.stopped_by == ("best_part",)
    numbers = found.instead_of.says("best_part")
    assert re.match(
        r"log-likelihood per row [+-]0\.\d+ \[-0\.\d+, [+-]0\.\d+\] over its best part, 1 \(logistic", numbers
    )
    assert (found.candidate.name, found.version, found.instead_of.version) == ("logistic_regression", "2", "1")
    assert found.report.passed, found.report.markdown(picture=False)
    said = f"in place of {merge} (version 1): {numbers}"
    assert found.report.notes[0] == f"Evaluated {said}."
    entry = registry.ledger("churn")[-1]
    assert entry.judged == "2"
    assert said in entry.why
    verdict = registry.last_verdict("churn")
    assert verdict is not None
    assert verdict.promotes
    assert f"stands in for {merge} (version 1) passed" in verdict.sentence()
    assert loadable_champion("churn", registry).model.model.kind == "logistic_regression"


def test_the_part_that_serves_is_renewed_while_the_merge_stays_no_better(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    trained(registry, [NO_BETTER], AS_OF)
    served = registry.champion("churn")
    again = trained(registry, [NO_BETTER], AS_OF)
    assert (again.candidate.name, again.renewal, registry.champion("churn")) == ("mean", None, served)
    later = trained(registry, [NO_BETTER], AS_OF + timedelta(days=7))
    assert later.instead_of is not None
    assert "there is nothing else to beat" in later.says("champion")
    assert registry.ledger("churn")[-1].judged == later.version


def test_a_champion_that_is_a_mean_is_compared_by_its_settings_when_others_are_named(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    trained(registry, [MEAN], AS_OF)
    other = TrainerSettings.model_validate({"kind": "xgboost", "max_rounds": 20, "folds": 2})
    found = trained(registry, [other], AS_OF + timedelta(days=7))
    assert "(its evaluated settings, trained on the same rows)" in found.says("champion")


def test_a_task_that_declares_no_purchases_says_so(tmp_path: Path) -> None:
    trainer = LogisticRegressionTrainerConfig(bgnbd=True, folds=2).open()
    with pytest.raises(TesseraError, match=r"`bgnbd: true`, and its application does not declare a purchase history"):
        evaluate_candidates(task_as_of(), [OneFeatureTrainer(1), trainer], FolderRegistry(tmp_path), AS_OF)
