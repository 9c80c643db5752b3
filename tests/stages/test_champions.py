"""Nothing goes in charge that a night could not load, and a night finds the newest champion that it can."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from assets.stages.promotion import loadable_champion, make_champion, verified
from assets.stages.training import Evaluation, evaluate_candidates, promote_or_keep
from models.errors import TesseraError
from models.settings import TrainerSettings
from models.training.agreement import RefitConfig
from resources.registry.fake import FolderRegistry
from resources.stack.recipes import trainers_of
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from resources.trainer.port import Trainer
from tests.learning_world import (
    AS_OF,
    ChangedModel,
    ForeignModel,
    ForeignTrainer,
    Notices,
    PickledModel,
    UnsavedModel,
    WeakTrainer,
    task_as_of,
)

LINEAR = LogisticRegressionTrainerConfig(folds=2).open()


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


def trained(registry: FolderRegistry, *trainers: Trainer, as_of: date = AS_OF) -> Evaluation:
    return evaluate_candidates(task_as_of(as_of), trainers, registry, as_of)


def promote(registry: FolderRegistry, version: str | None, action: str = "promote") -> None:
    registry.set_champion("churn", version, action=action, why="w", who="ann", run_id="", metrics={})


def artifact(registry: FolderRegistry, version: str) -> Path:
    return registry._folder / "churn" / version / "package" / "model.skops"


class TestPromotion:
    @pytest.mark.parametrize(
        ("model", "says"),
        [
            pytest.param(ForeignModel, "kind 'acme'", id="a kind that is not known"),
            pytest.param(PickledModel, "model.pkl", id="a format that is refused"),
            pytest.param(UnsavedModel, "no file for you", id="no package"),
            pytest.param(ChangedModel, "golden set differently", id="another model when it is read back"),
        ],
    )
    def test_what_no_night_could_load_is_stopped_by_the_check_loads(
        self, registry: FolderRegistry, model: type[ForeignModel], says: str
    ) -> None:
        found = trained(registry, ForeignTrainer(model), WeakTrainer())
        assert found.candidate.name == "acme"
        assert "loads" in found.report.stopped_by
        assert says in found.says("loads")
        with pytest.raises(TesseraError, match=f"stopped by the gate: .*{says}"):
            promote_or_keep(task_as_of(), found, registry, Notices(), run_id="r", who="w")
        assert registry.champion("churn") is None

    @pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"PK")])
    def test_an_artifact_that_broke_in_the_registry_is_never_promoted_whatever_the_cache_holds(
        self, registry: FolderRegistry, damage: Callable[[Path], object]
    ) -> None:
        class Breaking(FolderRegistry):
            """Registers well, has a warm cache, and then loses a part of the file."""

            def register(self, app: str, package: Path, **rest: object) -> str:
                version = super().register(app, package, **rest)  # pyright: ignore[reportArgumentType]
                self.fetch(app, version)
                damage(artifact(self, version))
                return version

        found = trained(Breaking(registry._folder), LINEAR)
        assert found.report.stopped_by == ("loads",)
        assert "model.skops" in found.says("loads")
        assert registry.versions("churn")[0].tags["gate"] == "stopped by loads"
        with pytest.raises(TesseraError):
            make_champion(registry, "churn", "1", action="rollback", why="w", who="w", run_id="", metrics={})
        with pytest.raises(TesseraError):
            promote(registry, "1")
        assert (registry.champion("churn"), list(registry.ledger("churn"))) == (None, [])

    def test_what_loads_is_promoted_and_the_report_says_that_it_was_loaded(self, registry: FolderRegistry) -> None:
        task, found = task_as_of(refit=RefitConfig(enabled=False)), trained(registry, LINEAR)
        promote_or_keep(task, found, registry, Notices(), run_id="r", who="w")
        assert found.says("loads") == "loaded, 50 golden rows scored as in training"
        assert registry.champion("churn") == found.version == "1"
        assert registry.ledger("churn")[0].metrics["golden_rows"] == 50


class TestNights:
    @pytest.fixture
    def three(self, registry: FolderRegistry) -> FolderRegistry:
        """Versions 1 to 3 of one package, each in charge after the other."""
        trained(registry, LINEAR)
        package = registry.fetch("churn", "1")
        for version in ("1", "2", "3"):
            if version != "1":
                # Other bytes: the cache knows packages by their content, and each version needs a place of its own.
                copy = registry._folder / f"copy-{version}"
                shutil.copytree(package, copy)
                (copy / "note.md").write_text(version)
                _resigned(copy)
                registry.register("churn", copy, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
            promote(registry, version)
        return registry

    def test_the_champion_is_taken_when_it_loads(self, three: FolderRegistry) -> None:
        found = loadable_champion("churn", three)
        assert (found.version, list(found.problems)) == ("3", [])

    def test_a_champion_that_does_not_load_gives_way_to_the_one_before_and_says_why(
        self, three: FolderRegistry
    ) -> None:
        shutil.rmtree(three._folder / "cache")
        artifact(three, "3").write_bytes(b"PK")
        found = loadable_champion("churn", three)
        assert found.version == "2"
        assert [problem.version for problem in found.problems] == ["3"]
        assert "model.skops was changed" in found.problems[0].why

    def test_what_was_rolled_back_from_is_not_taken(self, three: FolderRegistry) -> None:
        promote(three, "2", "rollback")
        shutil.rmtree(three._folder / "cache")
        artifact(three, "2").unlink()
        found = loadable_champion("churn", three)
        assert (found.version, [one.version for one in found.problems]) == ("1", ["2"])

    def test_when_none_loads_each_is_named(self, three: FolderRegistry) -> None:
        shutil.rmtree(three._folder / "cache")
        for version in "123":
            artifact(three, version).unlink()
        with pytest.raises(
            TesseraError, match=r"No champion of churn can be used: version 3: .*version 2: .*version 1"
        ):
            loadable_champion("churn", three)

    def test_without_a_champion_training_is_advised(self, registry: FolderRegistry) -> None:
        with pytest.raises(TesseraError, match=r"There is no champion of churn.*churn_training"):
            loadable_champion("churn", registry)


def test_a_version_that_scores_otherwise_than_in_training_is_not_verified(registry: FolderRegistry) -> None:
    found = trained(registry, ForeignTrainer(ChangedModel), WeakTrainer())
    assert found.version is not None
    with pytest.raises(TesseraError, match="golden set differently"):
        verified(registry, "churn", found.version)


def test_nothing_but_put_in_charge_moves_the_champion() -> None:
    """Whoever calls the registry itself would promote what was not loaded."""
    root = Path(__file__).resolve().parents[2]
    files = [file for room in ("pipelines", "assets", "resources", "models") for file in (root / room).rglob("*.py")]
    callers = {file.relative_to(root).as_posix() for file in files if ".set_champion(" in file.read_text()}
    assert callers == {"assets/stages/promotion.py", "resources/conformance/registry.py"}, "the latter is a test"


def _resigned(package: Path) -> None:
    """The manifest names what lies in the folder now."""
    import json

    from models.training.manifest import MANIFEST, digest
    from models.training.package_files import sha256_of

    manifest = json.loads((package / MANIFEST).read_text())
    manifest["files"]["note.md"] = sha256_of(package / "note.md")
    manifest["sha256"] = digest(manifest)
    (package / MANIFEST).write_text(json.dumps(manifest))


def test_the_baseline_is_a_setting_of_the_task(registry: FolderRegistry) -> None:
    task = task_as_of(baseline=TrainerSettings(kind="hist_gradient_boosting", rounds=20, folds=2))
    found = evaluate_candidates(task, [LINEAR], registry, AS_OF)
    assert found.report.metrics.keys() == {"candidate", "recency only", "hist_gradient_boosting"}


def test_candidates_are_opened_with_their_settings_and_packages_keep_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHRINKAGE", "0.5")
    given = {"inverse_penalty": {"env": "SHRINKAGE"}, "folds": 2}
    (trainer,) = trainers_of([TrainerSettings(kind="logistic_regression", **given)])
    assert trainer.parameters()["C"] == "0.5"
    assert trainer.recipe is not None
    assert trainer.recipe.settings | given == trainer.recipe.settings
