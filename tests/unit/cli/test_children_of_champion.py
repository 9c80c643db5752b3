"""`tessera models` names what the champion is made of."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from assets.stages.promotion import make_champion
from models.compose.model_part import ModelPart
from models.compose.package import Composition, save_composition
from models.training.children import children_of, children_tag
from pipelines.cli import legacy_models
from pipelines.cli import registry as command
from resources.registry.fake import FolderRegistry
from tests.unit.training.test_package import packed

GOLDEN = [{"a": 0.5, "b": 1.0, "country": "DE"}]


def test_each_child_of_the_champion_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, package = FolderRegistry(tmp_path / "registry"), tmp_path / "package"
    part = ModelPart.of(packed("xgboost", tmp_path / "child"))
    declaration = {"kind": "sequence", "name": "s", "steps": ["trees"]}
    save_composition(package, Composition("alone", declaration, {"trees": part}), GOLDEN)
    tags = {"gate": "passed", "kind": "composition", **children_tag(package)}
    version = registry.register("churn", package, parameters={}, metrics={}, tags=tags, report="")
    make_champion(registry, "churn", version, action="promote", why="w", who="ann", run_id="", metrics={})
    monkeypatch.setattr(command, "active_ports", lambda: SimpleNamespace(registry=registry))
    command.models("churn")
    said = " ".join(capsys.readouterr().out.split())
    (child,) = children_of(package)
    assert f"children of version 1 trees: xgboost, sha256 {child.sha256[:12]} (" in said
    assert f"rows {child.trained_on['rows']}" in said


def test_a_version_is_shown_as_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry, package = FolderRegistry(tmp_path / "registry"), tmp_path / "package"
    packed("xgboost", package)
    tags = {"gate": "passed", "origin": "\x1b[31m", "licence": "né"}
    version = registry.register("churn", package, parameters={}, metrics={"auc": 0.5}, tags=tags, report="")
    monkeypatch.setattr(legacy_models, "active_ports", lambda: SimpleNamespace(registry=registry))
    legacy_models.show("churn", version, as_json=False)
    said = capsys.readouterr().out
    assert "\x1b" not in said
    shown = yaml.safe_load(said)
    assert (shown["version"], shown["metrics"], shown["tags"]) == (version, {"auc": 0.5}, tags)
