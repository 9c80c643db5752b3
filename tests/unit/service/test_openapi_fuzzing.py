"""Requests drawn from the OpenAPI document: no answer is a failure of the server, and each is one of the document."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from service_world import ServiceWorld
from test_inference import service_of

from pipelines.docs.openapi import document
from pipelines.service.timeout import HEADER

pytestmark = pytest.mark.slow

# schemathesis has no complete static types.
# pyright: basic

CHECKS = [
    negative_data_rejection,
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
#: A home where almost nothing was done, of which the server says what to do; and a body that was not read.
NOT_NOW = (503, 413)


def without_deadlines(found: dict[str, Any]) -> dict[str, Any]:
    """Return the document without the header by which a request allows too little time (`test_deadlines`)."""
    for operation in (one for path in found["paths"].values() for one in path.values()):
        operation["parameters"] = [one for one in operation.get("parameters", ()) if one["name"] != HEADER]
    return found


DOCUMENT = without_deadlines(document())
#: Of each operation: 1, and 40 with `--hypothesis-profile=thorough`.
EXAMPLES = settings().max_examples // 25
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [operation.ok() for operation in SCHEMA.get_all_operations()]


class Client:
    """Asks the service in this process."""

    def __init__(self, world: ServiceWorld) -> None:
        self._loop = asyncio.new_event_loop()
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(world.app),  # pyright: ignore[reportArgumentType]
            base_url="http://127.0.0.1:8000",
        )

    def answer(self, case: Any) -> httpx.Response:
        asked = case.as_transport_kwargs(base_url="http://127.0.0.1:8000")
        if isinstance(asked.get("data"), bytes | str):
            asked["content"] = asked.pop("data")
        asked.pop("cookies", None)
        return self._loop.run_until_complete(self._http.request(**asked))

    def close(self) -> None:
        self._loop.run_until_complete(self._http.aclose())
        self._loop.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service whose champion of churn answers, and that has published scores."""
    _, world = service_of(tmp_path_factory.mktemp("fuzzed"), 2.0)
    world.settings = {"requests_per_second": 1e6, "burst": 1_000_000}
    world.__dict__.pop("stack", None)
    world.publish()
    found = Client(world)
    yield found
    found.close()


def modes(operation: Any) -> list[GenerationMode]:
    """Requests as the document has them, and, where that is possible, others."""
    has_values = operation.body or any(operation.iter_parameters())
    return list(GenerationMode) if has_values else [GenerationMode.POSITIVE]


@pytest.mark.parametrize(
    ("operation", "mode"),
    [pytest.param(one, mode, id=f"{one.label} {mode.value}") for one in OPERATIONS for mode in modes(one)],
)
def test_answers_are_those_of_the_document(client: Client, operation: Any, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        phases=[Phase.generate],
        database=None,
        derandomize=True,
    )
    def asked(case: Any) -> None:
        answer = client.answer(case)
        if answer.status_code >= 400:
            is_problem = answer.headers["content-type"] == "application/problem+json"
            assert is_problem, (answer.status_code, answer.text)
            assert {"detail", "expected", "todo", "status"} <= answer.json().keys()
        if answer.status_code not in NOT_NOW:
            case.validate_response(answer, checks=CHECKS)

    asked()
