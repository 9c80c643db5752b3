"""Every body and every answer of the OpenAPI document has an example, and each example fits its schema."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from pipelines.docs.openapi import FOLDER

DOCUMENT = json.loads((FOLDER / "openapi.json").read_text())
JSON = "application/json"


def contents() -> Iterator[tuple[str, Any]]:
    """Bodies and answers in JSON, by name."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            place = f"{method.upper()} {path}"
            if "requestBody" in operation:
                yield f"{place} body", operation["requestBody"]["content"][JSON]
            if JSON in operation["responses"]["200"].get("content", {}):
                yield f"{place} answer", operation["responses"]["200"]["content"][JSON]


@pytest.mark.parametrize(("place", "content"), [pytest.param(*one, id=one[0]) for one in contents()])
def test_every_body_and_answer_has_an_example_that_fits_its_schema(place: str, content: Any) -> None:
    examples = [one["value"] for one in content.get("examples", {}).values()]
    examples += [content["example"]] if "example" in content else []
    assert examples, f"{place} has no example"
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    for one in examples:
        jsonschema.Draft202012Validator(schema).validate(one)
