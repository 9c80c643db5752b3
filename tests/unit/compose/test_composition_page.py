"""The page docs/composition.md shows compositions that can be built, and the picture of its example."""

import re
from pathlib import Path
from typing import Any

import yaml

from models.compose.declared import declared
from models.compose.drawing import mermaid
from models.compose.fields import Fields, fields
from models.compose.step import Leaf

PAGE = Path(__file__).parents[3] / "docs" / "composition.md"
TEXT = fields("Ticket", {"text": "text"})


def part(name: str, gives: Fields) -> Leaf:
    return Leaf(name, TEXT, gives, dict)


def test_the_example_is_built_and_drawn_as_the_page_shows() -> None:
    page = PAGE.read_text()
    example = re.search(r"<!-- example:begin -->\n```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    intent = fields("Intent", {"intent": "text", "margin": "number"})
    parts = {
        "linear": part("linear", intent),
        "fused": part("fused", intent),
        "sentiment": part("sentiment", fields("Sentiment", {"negative": "number"})),
        "urgency": part("urgency", fields("Urgency", {"urgent": "number"})),
    }
    drawn = mermaid(declared("triage", yaml.safe_load(example.group(1)), parts))
    shown = f"<!-- drawing:begin -->\n```mermaid\n{drawn}```\n<!-- drawing:end -->"
    assert shown in page, f"docs/composition.md should hold:\n{shown}"


def test_the_first_example_gives_what_its_comments_say() -> None:
    page = PAGE.read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert code is not None
    named: dict[str, Any] = {}
    exec(code.group(1), named)  # noqa: S102 - the page's own code
    assert [one["intent_by"] for one in named["outcome"].batch.records()] == ["linear", "fused"]
    assert (named["outcome"].places().tolist(), named["outcome"].failures) == ([0, 1], {})


def test_the_page_lists_every_setting_of_every_kind() -> None:
    from models.compose import declared as kinds

    page = PAGE.read_text()
    models = {
        "sequence": kinds.SequenceOf, "router": kinds.RouterOf, "switch": kinds.SwitchOf, "fan_out": kinds.FanOutOf,
        "fallback": kinds.FallbackOf,
    }  # fmt: skip
    for kind, model in models.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{kind}` |"))
        listed = set(re.findall(r"`([a-z_]+)`", row))
        assert listed >= set(model.model_fields) - {"kind", "defaults"}, (kind, set(model.model_fields) - listed)
