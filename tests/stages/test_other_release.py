"""A champion that this release cannot use is trained anew by the night, with the reason; a damaged one is not."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets.personalization.app import PERSONALIZATION
from assets.personalization.lists import scoring_task
from assets.stages import metadata_keys as keys
from assets.stages import other_release, promotion
from assets.stages.builders import LearningConfig, champion_of
from assets.stages.composition_training import ComposedCandidate, ComposedChampionRun, register_composition
from assets.stages.training import ChampionRun, evaluate_candidates, promote_or_keep
from models.gates.check import GateCheck
from models.gates.report import GateReport
from models.personalization.block import FEATURES as RANKER_FEATURES
from models.personalization.composition import GOLDEN, personalization, rehearsed
from models.personalization.config import StepsConfig
from models.personalization.parts import ITEMS, KNOWN, RankerPart
from models.recommend.config import RankerConfig
from models.recommend.rankers import TrainingRows, fitted
from models.settings import Settings, TrainerSettings
from models.training.agreement import RefitConfig
from models.training.computed_features import ComputedFeatures
from resources.notifier.log import LogNotifierConfig
from resources.registry.fake import FolderRegistry
from resources.stack.ports import NotifierResource, RegistryResource
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from tests.learning_world import AS_OF, FEATURES, GATE, Notices, task_as_of
from tests.small_shop import FolderRegistryIn, NotifierIn

TRAINER = TrainerSettings(kind="logistic_regression", folds=2)  # pyright: ignore[reportCallIssue] - of the trainer
AS_BEFORE = ComputedFeatures("churn_v1", FEATURES)
STEPS = StepsConfig(deadline_ms=None)


def night(folder: Path, app: str, run: Any, later: int = 0) -> Mapping[str, Any]:
    """Run the champion step of a night, `later` days after `AS_OF`, and return the metadata of the champion."""

    @champion_of(app, rows="Rows.", judged_on="a hold-out")
    def champion(
        context: dg.AssetExecutionContext,
        config: LearningConfig,
        registry: RegistryResource,
        notifier: NotifierResource,
    ):
        yield from run(context, config.train, registry, notifier)

    resources = {
        "registry": FolderRegistryIn(folder=str(folder)),
        "notifier": NotifierIn(backend=LogNotifierConfig(path=str(folder / "notices.jsonl"))),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        day = (AS_OF + timedelta(days=later)).isoformat()
        done = dg.materialize([champion], partition_key=day, resources=resources, instance=instance)
    (found,) = (
        one for one in done.asset_materializations_for_node(f"{app}__champion") if one.asset_key.path[1] == "champion"
    )
    return {name: getattr(one, "value", one) for name, one in found.metadata.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose champion is of the release before."""
    folder = tmp_path_factory.mktemp("registry")
    registry, task = FolderRegistry(folder), task_as_of(refit=RefitConfig(enabled=False))
    found = evaluate_candidates(task, [LogisticRegressionTrainerConfig(folds=2).open()], registry, AS_OF)
    promote_or_keep(task, found, registry, Notices(), run_id="r", who="w")
    return folder


@pytest.fixture(scope="module")
def ranker() -> Any:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, len(RANKER_FEATURES))).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(np.int8)
    trained = fitted(["xgboost_binary"], TrainingRows(rows, labels, np.array([80])), RankerConfig(rounds=2), seed=0)
    return trained["xgboost_binary"]


class NoRows:
    """A training set of which nothing is shown."""

    def metadata(self) -> dict[str, Any]:
        return {}


def folder_of(registry: FolderRegistry) -> Path:
    return registry._folder  # pyright: ignore[reportPrivateUsage]


class TestPlainModels:
    @pytest.fixture
    def registry(self, trained: Path, tmp_path: Path) -> FolderRegistry:
        shutil.copytree(trained, tmp_path / "registry")
        return FolderRegistry(tmp_path / "registry")

    def night(
        self, registry: FolderRegistry, computed: ComputedFeatures, later: int = 0, **task: Any
    ) -> Mapping[str, Any]:
        values: dict[str, Any] = {"refit": RefitConfig(enabled=False), "service": computed.version, **task}

        def run(context: Any, train: Any, models: Any, notifier: Any) -> Iterator[dg.MaterializeResult]:
            learning = ChampionRun(context, "churn", train, models, notifier, [TRAINER], lambda: computed)
            return learning.results(NoRows, lambda _: task_as_of(**values))

        return night(folder_of(registry), "churn", run, later)

    def test_one_that_reads_what_is_computed_stays(self, registry: FolderRegistry) -> None:
        shown = self.night(registry, AS_BEFORE)
        assert shown[keys.VERDICT] == "stays: no training was due"
        assert keys.TRAINED_BECAUSE not in shown

    def test_one_of_another_version_of_the_features_is_trained_anew(self, registry: FolderRegistry) -> None:
        shown = self.night(registry, ComputedFeatures("churn_v2", FEATURES))
        assert (registry.champion("churn"), shown[keys.VERSION]) == ("2", "2")
        because = shown[keys.TRAINED_BECAUSE]
        assert because.startswith("this release cannot use version 1: The model was trained on features of version")
        assert shown[keys.VERDICT].startswith("promoted: ")
        assert because in shown[keys.VERDICT]
        assert because in registry.ledger("churn")[-1].why
        assert keys.TRAINED_BECAUSE not in self.night(registry, ComputedFeatures("churn_v2", FEATURES))

    def test_where_the_gate_refuses_the_night_says_both_and_the_champion_does_not_score(
        self, registry: FolderRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        computed = ComputedFeatures("churn_v1", FEATURES[:2])
        refusing = GATE.model_copy(update={"min_quality": 0.99})
        shown = self.night(registry, computed, gate=refusing)
        assert registry.champion("churn") == "1"
        assert shown[keys.VERDICT].startswith("stays: candidate version 2 was stopped by absolute_floor")
        assert shown[keys.VERDICT].endswith(f"trained because {shown[keys.TRAINED_BECAUSE]}")
        assert "reads 1 features that are no longer computed, e.g. 'taste'" in shown[keys.TRAINED_BECAUSE]
        (left,) = promotion.champions("churn", registry, computed)
        assert isinstance(left, promotion.Unusable)
        assert "taste" in left.why
        assert isinstance(next(promotion.champions("churn", registry, AS_BEFORE)), promotion.Verified)
        for later in (0, 6):
            waiting = self.night(registry, computed, later, gate=refusing)
            assert waiting[keys.VERDICT].startswith(f"stays: {shown[keys.TRAINED_BECAUSE]}; the gate refused what was")
            assert "A night trains again from 2025-09-08 on" in waiting[keys.VERDICT]
            assert keys.TRAINED_BECAUSE not in waiting
        for reason, release in ((shown[keys.TRAINED_BECAUSE], "9.9.9"), ("another one", "")):
            monkeypatch.setattr(other_release, "this_release", lambda release=release: release)
            assert not other_release.why_waiting(registry, "churn", reason, AS_OF)
        monkeypatch.undo()
        assert self.night(registry, computed, 7, gate=refusing)[keys.VERSION] == "1"
        assert registry.versions("churn")[0].version == "3"

    def test_a_damaged_one_is_not_trained_anew_but_left_to_repair(self, registry: FolderRegistry) -> None:
        for folder in ("cache", "churn/1/package"):
            for file in (folder_of(registry) / folder).rglob("manifest.json"):
                file.write_text("{")
        shown = self.night(registry, ComputedFeatures("churn_v2", FEATURES))
        assert (registry.champion("churn"), shown[keys.VERDICT]) == ("1", "stays: no training was due")


class EarlierRanker(RankerPart):
    """A ranker as an earlier release kept it: of one number that is no longer computed."""

    def save(self, folder: Path) -> Mapping[str, Any]:
        return {**super().save(folder), "features": [*RANKER_FEATURES, "visits"]}


class TestCompositions:
    @pytest.fixture
    def registry(self, tmp_path: Path, ranker: Any) -> FolderRegistry:
        """A registry with a champion of the release before, and the champion before that one, of plain frequency."""
        registry = FolderRegistry(tmp_path / "registry")
        for made in (candidate({}), candidate({"ranker": EarlierRanker(ranker)})):
            version = register_composition(PERSONALIZATION.name, made, registry, AS_OF)
            registry.set_champion(
                PERSONALIZATION.name, version, action="promote", why="w", who="w", run_id="", metrics={}
            )
        return registry

    def night(self, registry: FolderRegistry, made: ComposedCandidate) -> Mapping[str, Any]:
        def run(context: Any, train: Any, models: Any, _: Any) -> Iterator[dg.MaterializeResult]:
            learning = ComposedChampionRun(context, PERSONALIZATION.name, train, models, lambda: rehearsed({}))
            return learning.results(NoRows, lambda *_: made)

        return night(folder_of(registry), PERSONALIZATION.name, run)

    def test_one_that_is_read_otherwise_is_trained_anew_and_then_stays(
        self, registry: FolderRegistry, ranker: Any
    ) -> None:
        made = candidate({"ranker": RankerPart(ranker)})
        shown = self.night(registry, made)
        assert (registry.champion(PERSONALIZATION.name), shown[keys.VERSION]) == ("3", "3")
        assert "1 differ, e.g. visits" in shown[keys.TRAINED_BECAUSE]
        assert shown[keys.VERDICT] == f"promoted: 1 checks passed; trained because {shown[keys.TRAINED_BECAUSE]}"
        assert self.night(registry, made)[keys.VERDICT] == "stays: no training was due"

    def test_where_the_gate_refuses_the_night_says_both_and_the_champion_before_scores(
        self, registry: FolderRegistry, ranker: Any
    ) -> None:
        refused = candidate({"ranker": RankerPart(ranker)}, passed=False)
        shown = self.night(registry, refused)
        assert registry.champion(PERSONALIZATION.name) == "2"
        assert shown[keys.VERDICT].startswith("stays: candidate version 3 was stopped by floor; trained because this ")
        task = scoring_task(Settings(), SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
        assert task.composed is not None
        over = replace(task, composed=replace(task.composed, live=rehearsed({})))
        left, before = over.champions(registry)
        assert isinstance(left, promotion.Unusable)
        assert (left.version, before.version) == ("2", "1")
        assert isinstance(before, promotion.VerifiedComposition)
        assert "the gate refused what was trained for that" in self.night(registry, refused)[keys.VERDICT]
        assert len(registry.versions(PERSONALIZATION.name)) == 3


def candidate(ranker: Mapping[str, Any], *, passed: bool = True) -> ComposedCandidate:
    """Return a candidate over the golden day, and a gate's report on it."""
    resources = rehearsed({})
    check = GateCheck("floor", passed, 0.5, 0.6, "0.5, at least 0.6")
    return ComposedCandidate(
        name="ranker" if ranker else "frequency",
        composition=personalization(ranker, resources[KNOWN], resources[ITEMS], STEPS),
        golden=GOLDEN,
        rehearsal=resources,
        report=GateReport("ranker", [check], {}, (), b"", (), (), ""),
        metrics={},
        holdout="",
        parameters={},
        extras={},
        shown={},
    )
