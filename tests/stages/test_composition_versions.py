"""A composition is a version of the registry like any model: verified before it is champion, rolled back to."""

import json
import shutil
from pathlib import Path

import pytest

from assets.stages.promotion import champion_composition, make_champion
from models.compose.model_part import ModelPart
from models.compose.package import Composition, save_composition
from models.errors import TesseraError
from resources.registry.fake import FolderRegistry
from resources.registry.mlflow_registry import MLflowRegistryConfig
from resources.registry.port import Registry
from tests.unit.training.test_package import packed

GOLDEN = [{"a": 0.5, "b": 1.0, "country": "DE"}]


@pytest.fixture(params=["folders", "mlflow"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    if request.param == "folders":
        return FolderRegistry(tmp_path / "registry")
    (tmp_path / "registry").mkdir()
    shutil.copy(request.getfixturevalue("mlflow_database"), tmp_path / "registry")
    return MLflowRegistryConfig(path=str(tmp_path / "registry")).open()


def registered(registry: Registry, folder: Path, *kinds: str) -> str:
    """Register the children, then their mean, which pins them; return its version."""
    parts = {}
    pins = {}
    for kind in kinds:
        package = packed(kind, folder / kind)
        version = registry.register("child", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
        parts[kind] = ModelPart.of(registry.fetch("child", version))
        pins[kind] = parts[kind].pin("child", version)
    declaration = {
        "kind": "fan_out", "name": "mean", "branches": {kind: kind for kind in kinds},
        "merge": {"kind": "mean", "field": "probability"},
    }  # fmt: skip
    save_composition(folder / "package", Composition("mean", declaration, parts, pins), GOLDEN)
    return registry.register(
        "mean", folder / "package", parameters={}, metrics={}, tags={"gate": "passed", "kind": "composition"}, report=""
    )


def promoted(registry: Registry, version: str, action: str = "promote") -> None:
    make_champion(registry, "mean", version, action=action, why="w", who="ann", run_id="", metrics={})  # type: ignore[arg-type]


def test_a_composition_is_promoted_loaded_by_its_alias_and_rolled_back_to(registry: Registry, tmp_path: Path) -> None:
    first = registered(registry, tmp_path / "1", "xgboost", "logistic_regression")
    second = registered(registry, tmp_path / "2", "xgboost", "hist_gradient_boosting")
    promoted(registry, first)
    promoted(registry, second)
    found = champion_composition(registry, "mean")
    assert (found.version, found.golden_rows) == (second, 1)
    pins = found.composition.composition.pins
    assert {name: (pin.app, pin.version) for name, pin in pins.items()} == {
        "xgboost": ("child", "3"),
        "hist_gradient_boosting": ("child", "4"),
    }
    promoted(registry, first, "rollback")
    assert champion_composition(registry, "mean").version == first
    assert registry.ledger("mean")[-1].metrics["golden_rows"] == 1


def test_one_that_answers_otherwise_is_never_champion(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    version = registered(registry, tmp_path / "1", "xgboost", "logistic_regression")
    package = tmp_path / "wrong"
    shutil.copytree(registry.fetch("mean", version), package)
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["golden"][0]["answer"]["probability"] += 0.01
    from models.training.manifest import digest

    manifest["sha256"] = digest(manifest)
    (package / "manifest.json").write_text(json.dumps(manifest))
    wrong = registry.register("mean", package, parameters={}, metrics={}, tags={"gate": "passed"}, report="")
    with pytest.raises(TesseraError, match="answers its golden record 0 with"):
        promoted(registry, wrong)
    assert registry.champion("mean") is None
    with pytest.raises(TesseraError, match="There is no champion of mean"):
        champion_composition(registry, "mean")


def test_mlflow_shows_its_contracts_as_the_signature(mlflow_database: Path, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    shutil.copy(mlflow_database, tmp_path / "registry")
    registry = MLflowRegistryConfig(path=str(tmp_path / "registry")).open()
    registered(registry, tmp_path / "1", "xgboost", "logistic_regression")
    from mlflow.models import Model

    models = [Model.load(path) for path in (tmp_path / "registry").rglob("MLmodel")]
    (signature,) = (one.signature for one in models if one.flavors["tessera"]["kind"] == "composition")
    takes = {one.name: (one.type.name, one.required) for one in signature.inputs}
    assert takes == {"a": ("double", False), "b": ("double", False), "country": ("string", False)}
    assert [(one.name, one.required) for one in signature.outputs] == [("probability", True)]
