"""A composition is kept as a package: the same answers after it was read back, and nothing changed or untrusted."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.compose.batch import from_records
from models.compose.call import new_call
from models.compose.fields import fields
from models.compose.model_part import ModelPart
from models.compose.package import (
    Composition,
    golden_answers,
    is_composition,
    load_composition,
    save_composition,
)
from models.compose.step import Leaf, Step
from models.errors import TesseraError
from models.training.children import children_of, children_tag
from models.training.model_package import load
from tests.unit.training.test_package import packed

GOLDEN = [{"a": 0.5, "b": None, "country": "DE"}, {"a": -1.0, "b": 2.0, "country": None}]
DECLARATION = {
    "kind": "sequence",
    "name": "offer",
    "steps": [
        {
            "kind": "fan_out",
            "name": "both",
            "branches": {"trees": "trees", "line": "line"},
            "merge": {"kind": "mean", "field": "probability", "scale": "log_odds"},
        },
        "greeting",
    ],
}


class Greeting:
    """A prompt, filled in by something that says it in capitals."""

    loader = "tests.unit.compose.test_composition_packages:Greeting.read"
    needs = ("voice",)

    def __init__(self, prompt: str, voice: Any) -> None:
        self.prompt, self.voice = prompt, voice

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> "Greeting":
        return cls((folder / "prompt.md").read_text(), resources["voice"])

    def save(self, folder: Path) -> Mapping[str, Any]:
        (folder / "prompt.md").write_text(self.prompt)
        return {}

    def step(self, name: str) -> Step:
        def say(probability: np.ndarray) -> Mapping[str, np.ndarray]:
            return {"said": np.array([self.voice(self.prompt.format(one)) for one in probability], dtype=object)}

        return Leaf(name, fields("Sure", {"probability": "number"}), fields("Said", {"said": "text"}), say)


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPart]:
    place = tmp_path_factory.mktemp("children")
    kinds = {"trees": "xgboost", "line": "logistic_regression"}
    return {name: ModelPart.of(packed(kind, place / kind)) for name, kind in kinds.items()}


@pytest.fixture
def composition(children: dict[str, ModelPart]) -> Composition:
    pins = {name: part.pin("churn", "1") for name, part in children.items()}
    return Composition("offer", DECLARATION, {**children, "greeting": Greeting("{:.3f} for you", str.upper)}, pins)


VOICE = {"voice": str.upper}


def test_a_model_part_gives_what_the_model_gives(children: dict[str, ModelPart], tmp_path: Path) -> None:
    package = packed("xgboost", tmp_path / "p")
    table = pa.table({"a": [0.5, -1.0], "b": pa.array([None, 2.0]), "country": ["DE", None]})
    step = children["trees"].step("trees")
    assert step.takes.as_text() == {"a": "number?", "b": "number?", "country": "text?"}
    found = step.run(from_records(GOLDEN, step.takes), new_call())
    np.testing.assert_array_equal(found.batch["probability"], load(package).score(table))


def test_what_is_read_back_answers_the_same_and_names_its_versions(composition: Composition, tmp_path: Path) -> None:
    digest = save_composition(tmp_path / "p", composition, GOLDEN, {"calibration.md": "at 0.7"})
    assert is_composition(tmp_path / "p")
    found = load_composition(tmp_path / "p", resources=VOICE, sha256=digest, trusted=["tests"])
    assert golden_answers(found) == 2
    assert found.extras == {"calibration.md": "at 0.7"}
    assert found.composition.pins == composition.pins
    greeting, line, trees = children_of(tmp_path / "p")
    assert (trees.name, trees.kind, trees.version) == ("trees", "xgboost", "churn 1")
    assert trees.trained_on["rows"] == load(packed("xgboost", tmp_path / "x")).card.rows
    assert (greeting.kind, greeting.trained_on, greeting.version) == ("Greeting", {}, "")
    assert len({trees.sha256, line.sha256, greeting.sha256}) == 3
    assert (
        children_tag(tmp_path / "p")["children"]
        .splitlines()[2]
        .startswith(f"trees: xgboost, sha256 {trees.sha256[:12]} (")
    )

    records = from_records(GOLDEN, found.step.takes)
    answers = [step.run(records, new_call()).batch.records() for step in (composition.step(), found.step)]
    assert answers[0] == answers[1]
    assert "FOR YOU" in answers[0][0]["said"]
    assert save_composition(tmp_path / "again", composition, GOLDEN, {"calibration.md": "at 0.7"}) == digest


def test_a_child_of_other_content_has_another_digest(composition: Composition, tmp_path: Path) -> None:
    said = replace(composition, parts={**composition.parts, "greeting": Greeting("{:.2f} for you", str.upper)})
    for name, one in {"a": composition, "b": said}.items():
        save_composition(tmp_path / name, one, GOLDEN)
    first, second = ({child.name: child.sha256 for child in children_of(tmp_path / name)} for name in ("a", "b"))
    assert {name for name in first if first[name] != second[name]} == {"greeting"}


def test_a_child_that_is_gone_from_its_place_changes_nothing(tmp_path: Path) -> None:
    package = packed("xgboost", tmp_path / "child")
    alone = Composition("alone", {"kind": "sequence", "name": "s", "steps": ["m"]}, {"m": ModelPart.of(package)})
    save_composition(tmp_path / "p", alone, GOLDEN)
    shutil.rmtree(package)
    assert golden_answers(load_composition(tmp_path / "p")) == 2


def test_another_prompt_is_another_version(
    composition: Composition, children: dict[str, ModelPart], tmp_path: Path
) -> None:
    digest = save_composition(tmp_path / "p", composition, GOLDEN)
    parts = {**children, "greeting": Greeting("{:.2f} for you", str.upper)}
    assert (
        save_composition(tmp_path / "q", Composition("offer", DECLARATION, parts, composition.pins), GOLDEN) != digest
    )


@pytest.mark.parametrize("file", ["greeting/prompt.md", "trees/model.ubj", "trees/manifest.json"])
def test_a_file_that_was_changed_is_named(file: str, composition: Composition, tmp_path: Path) -> None:
    save_composition(tmp_path / "p", composition, GOLDEN)
    content = (tmp_path / "p" / file).read_bytes()
    (tmp_path / "p" / file).write_bytes(content + b" ")
    with pytest.raises(TesseraError, match=f"the file '{file}' was changed"):
        load_composition(tmp_path / "p", resources=VOICE, trusted=["tests"])


def test_what_a_part_needs_and_who_wrote_it_are_asked_for(composition: Composition, tmp_path: Path) -> None:
    save_composition(tmp_path / "p", composition, GOLDEN)
    with pytest.raises(TesseraError, match="the profile does not trust the package 'tests'"):
        load_composition(tmp_path / "p", resources=VOICE)
    with pytest.raises(TesseraError, match=r"Part 'greeting' of .* needs 'voice'"):
        load_composition(tmp_path / "p", resources={"language_model": None}, trusted=["tests"])


def test_a_part_that_answers_otherwise_is_found_by_its_golden_records(composition: Composition, tmp_path: Path) -> None:
    save_composition(tmp_path / "p", composition, GOLDEN)
    with pytest.raises(TesseraError, match=r"answers its golden record 0 with .*for you.* and did with .*FOR YOU"):
        golden_answers(load_composition(tmp_path / "p", resources={"voice": str}, trusted=["tests"]))


def test_a_golden_record_that_fails_is_refused(composition: Composition, tmp_path: Path) -> None:
    def mute(text: str) -> str:
        raise OSError("mute")

    parts = {**composition.parts, "greeting": Greeting("{}", mute)}
    with pytest.raises(TesseraError, match="offer fails on golden record 0: greeting: raised, OSError: mute"):
        save_composition(tmp_path / "p", Composition("offer", DECLARATION, parts), GOLDEN)


def test_a_manifest_of_another_kind_or_none_is_refused(composition: Composition, tmp_path: Path) -> None:
    package = packed("xgboost", tmp_path / "child")
    assert not is_composition(package)
    assert not is_composition(tmp_path)
    with pytest.raises(TesseraError, match="none of a composition"):
        load_composition(package)
    save_composition(tmp_path / "p", composition, GOLDEN)
    manifest = json.loads((tmp_path / "p" / "manifest.json").read_text())
    manifest["declaration"]["steps"] = ["greeting"]
    (tmp_path / "p" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TesseraError, match=r"its manifest\.json was changed"):
        load_composition(tmp_path / "p", resources=VOICE, trusted=["tests"])
