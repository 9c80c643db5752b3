"""The OpenAPI document is up to date, says what the routes do, and a change that breaks clients is named."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from models.contracts.api_change import breaking_changes
from pipelines.docs import openapi


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def test_the_documents_of_docs_are_up_to_date_and_break_no_client(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi, "document", lambda: document)
    assert openapi.problems() == []
    assert document["openapi"].startswith("3.1")


def test_every_route_names_itself_its_role_and_an_example_of_its_body(document: dict[str, Any]) -> None:
    routes = [one for methods in document["paths"].values() for one in methods.values()]
    names = [one["operationId"] for one in routes]
    assert len(set(names)) == len(names)
    for one in routes:
        assert {"summary", "x-role", "x-application", "security"} <= one.keys(), one
        for content in one.get("requestBody", {}).get("content", {}).values():
            assert content["examples"]["example"]["value"]
        assert "application/problem+json" in one["responses"]["default"]["content"]


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["components"]["schemas"][name]


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a path": (lambda it: it["paths"].pop("/v1/churn/score"), "POST /v1/churn/score is gone"),
    "a field of an answer": (
        lambda it: schema(it, "ChurnRow")["properties"].pop("score"), "answer.rows[]: score is gone",
    ),
    "an answer that may be null": (
        lambda it: schema(it, "ChurnRow")["properties"].update(score={"anyOf": [{"type": "number"}, {"type": "null"}]}),
        "answer.rows[].score was number and is null or number",
    ),
    "a required field": (
        lambda it: (
            schema(it, "ScoreNow")["properties"].update(why={"type": "string"}),
            schema(it, "ScoreNow")["required"].append("why"),
        ),
        "body: why is required",
    ),
    "a field of a request": (lambda it: schema(it, "TicketNow")["properties"].pop("at"), "body: at is gone"),
    "a limit": (lambda it: schema(it, "ScoreNow")["properties"]["ids"].update(maxItems=5), "ids: maxItems changed"),
    "a role": (lambda it: it["paths"]["/v1/fraud/alerts"]["get"].update({"x-role": "admin"}), "needs the role admin"),
    "a parameter": (
        lambda it: it["paths"]["/v1/churn/scores/{entity}"]["get"]["parameters"].append(
            {"in": "query", "name": "x", "required": True, "schema": {"type": "string"}}
        ),
        "parameter x is required",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_what_breaks_a_client_is_named(document: dict[str, Any], change: Callable[..., object], named: str) -> None:
    changed = deepcopy(document)
    change(changed)
    found = breaking_changes(document, changed)
    assert len(found) == len(set(found)) > 0
    assert all(named in one for one in found)  # of each route that has the body


def test_what_only_adds_breaks_nothing(document: dict[str, Any]) -> None:
    changed = deepcopy(document)
    changed["paths"]["/v1/new"] = changed["paths"]["/v1/churn/score"]
    schema(changed, "ChurnRow")["properties"]["more"] = {"type": "string"}
    schema(changed, "ScoreNow")["properties"]["more"] = {"type": "string"}
    assert breaking_changes(document, changed) == []
    assert breaking_changes(json.loads(json.dumps(document)), document) == []
