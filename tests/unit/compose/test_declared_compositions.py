"""Compositions declared as data do what those built in Python do, and are drawn."""

import pytest
import yaml

from models.compose.call import new_call
from models.compose.declared import declared
from models.compose.drawing import mermaid
from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.merges import Vote
from models.compose.outline import outline
from models.compose.router import Below, Router
from models.compose.sequence import Sequence, Soft
from models.errors import TesseraError
from tests.unit.compose.compose_steps import answering, number_step, rows

DECLARATION = """
kind: sequence
name: triage
steps:
  - kind: router
    name: intent
    below: confidence
    thresholds: [0.5]
    steps:
      - cheap
      - kind: fallback
        name: safe
        steps: [dear]
        default: {answer: human, confidence: 0}
  - kind: fan_out
    name: both
    branches:
      urgency: {step: urgency, defaults: {urgent: 0}}
      mood: mood
"""


def parts() -> dict[str, object]:
    def broken(x: object) -> object:
        raise ValueError("no mood")

    return {
        "cheap": answering("cheap"),
        "dear": answering("dear", raises=lambda x: bool((x < 0.2).any())),
        "urgency": number_step("urgency", broken, gives="urgent"),  # type: ignore[arg-type]
        "mood": number_step("mood", lambda x: -x, gives="mood"),
    }


def test_a_declared_composition_is_that_built_in_python() -> None:
    cheap, dear, urgency, mood = parts().values()
    safe = Fallback("safe", [dear], default={"answer": "human", "confidence": 0})
    intent = Router("intent", [cheap, safe], Below("confidence", (0.5,)))
    both = FanOut("both", {"urgency": Soft(urgency, {"urgent": 0}), "mood": mood})
    built = Sequence("triage", [intent, both])
    found = declared("triage", yaml.safe_load(DECLARATION), parts())
    outcomes = [step.run(rows(0.9, 0.4, 0.1), new_call()) for step in (built, found)]
    assert outcomes[0].batch.records() == outcomes[1].batch.records()
    assert [one["intent_by"] for one in outcomes[0].batch.records()] == ["cheap", "safe", "safe"]
    assert [one["answer"] for one in outcomes[0].batch.records()] == ["cheap", "dear", "human"]
    assert outcomes[0].notes == outcomes[1].notes
    assert found.gives == built.gives
    assert mermaid(found) == mermaid(built)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: sequence", "kind: sequnce", "triage has the kind 'sequnce'. Expected one of 'fallback'"),
        ("kind: router", "kind: routr", "triage: steps.0 has the kind 'routr'.*did you mean 'router'"),
        ("thresholds: [0.5]", "thresholds: 0.5", "thresholds is 0.5: a list was expected"),
        ("thresholds: [0.5]", "threshold: 0.5", "steps.0.thresholds is .*: field required"),
        ("- cheap", "- cheep", "uses a part 'cheep'.*did you mean 'cheap'"),
        ("[0.5]", "[0.5, 0.6]", "intent has 2 thresholds"),
        ("urgent: 0", "urgent: soon", "The soft step 'urgency'.*'soon' is no number"),
        ("default: {answer: human, confidence: 0}", "", "safe has nothing to fall back to"),
        ("below: confidence", "below: sureness", "without 'sureness'"),
    ],
)
def test_a_mistake_is_named_by_its_place(old: str, new: str, says: str) -> None:
    assert old in DECLARATION
    with pytest.raises(TesseraError, match=says):
        declared("triage", yaml.safe_load(DECLARATION.replace(old, new)), parts())  # type: ignore[arg-type]


def test_merges_are_declared_or_named() -> None:
    branches = {"kind": "fan_out", "name": "f", "branches": {"a": "cheap", "b": "dear"}}
    voted = declared("f", {**branches, "merge": {"kind": "vote", "field": "answer"}}, parts())  # type: ignore[arg-type]
    named = declared("f", {**branches, "merge": {"kind": "use", "merge": "v"}}, parts(), {"v": Vote("answer")})  # type: ignore[arg-type]
    assert [step.run(rows(1), new_call()).batch.records() for step in (voted, named)] == [
        [{"answer": "cheap", "agreement": 0.5}]
    ] * 2
    with pytest.raises(TesseraError, match="merge is 'vote': a mapping with `kind`"):
        declared("f", {**branches, "merge": "vote"}, parts())  # type: ignore[arg-type]
    with pytest.raises(TesseraError, match="uses a merge 'w'"):
        declared("f", {**branches, "merge": {"kind": "use", "merge": "w"}}, parts(), {"v": Vote("answer")})  # type: ignore[arg-type]


def test_the_picture_shows_every_step_rule_and_soft_edge() -> None:
    picture = mermaid(declared("triage", yaml.safe_load(DECLARATION), parts()))  # type: ignore[arg-type]
    assert picture.startswith("flowchart TD\n")
    assert '-->|"confidence #lt; 0.5"|' in picture
    assert all(f'"{name}' in picture for name in ("cheap", "dear", "urgency", "mood", "intent", "safe", "both"))
    assert picture.count("-.->") == 1
    assert '-.->|"urgency"| ' in picture


def test_the_outline_names_every_step_below_the_one_that_runs_it() -> None:
    found = outline(declared("triage", yaml.safe_load(DECLARATION), parts()))  # type: ignore[arg-type]
    lines = found.splitlines()
    depth = {line.split("**")[1]: (len(line) - len(line.lstrip())) // 2 for line in lines}
    assert lines[0].startswith("- **triage**")
    assert {"cheap", "dear", "urgency", "mood", "intent", "safe", "both"} <= depth.keys()
    assert [depth[name] for name in ("triage", "intent", "cheap", "safe", "dear")] == [0, 1, 2, 2, 3]
    assert sum("may fail: " in line for line in lines) == 1
