"""The examples of docs/experiments.md are settings that a profile may have."""

import re
from pathlib import Path

import pytest
import yaml

from models.settings import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "experiments.md").read_text()
EXAMPLES = re.findall(r"```yaml\nsettings:\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_read_as_settings(text: str) -> None:
    found = Settings.model_validate(yaml.safe_load(f"settings:\n{text}")["settings"])
    assert found.experiments.trials


def test_the_page_has_one_served_elsewhere_and_one_by_personalization() -> None:
    assert len(EXAMPLES) == 2
    assert ["app: personalization" in text for text in EXAMPLES] == [False, True]
