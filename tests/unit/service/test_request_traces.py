"""Requests as spans: in the trace of their caller, linked to the night that made what they read, without ids."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from service_world import ServiceWorld

from models.publishing import Publication
from models.tracing import current_traceparent, span, trace_id_of
from resources.conformance import score_sets
from resources.traces.port import SpanRecord, recorded, traces_of_home

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CANARY = "canary-customer-7"


@pytest.fixture
def world(tmp_path: Path) -> ServiceWorld:
    return ServiceWorld(tmp_path / "home")


def spans(world: ServiceWorld, id: str) -> Sequence[SpanRecord]:
    store = traces_of_home(world.home, world.stack.settings.traces)
    return store.trace(store.traces_of(id)[0] if len(id) < 32 else id)


def published_in_a_trace(world: ServiceWorld) -> str:
    with span("churn/scores"):
        at = current_traceparent()
        rows = score_sets.some_rows(3)
        attempt = score_sets.digest(rows)[:16]
        world.sink.write_attempt("churn", score_sets.DAY, attempt, score_sets.reader(rows))
        draft: Publication = score_sets.publication(attempt, rows, day=score_sets.DAY)
        score_sets.audit_and_publish(world.sink, draft.model_copy(update={"traceparent": at}))
    return at


def test_a_request_is_in_its_callers_trace_and_links_to_the_night_that_made_the_scores(world: ServiceWorld) -> None:
    with recorded(world.home, world.stack.settings.traces):
        made = published_in_a_trace(world)
        answer = world.ask("/v1/churn/scores/c000001", headers={"traceparent": CALLER, "X-Request-ID": "from-a-client"})
    (request,) = spans(world, "from-a-client")
    assert answer.status_code == 200
    assert answer.headers["traceparent"].split("-")[1:3] == [request.trace_id, request.span_id]
    assert (request.trace_id, request.parent_id) == (trace_id_of(CALLER), "b7ad6b7169203331")
    assert (request.name, request.kind) == ("GET /v1/churn/scores/{entity}", "server")
    assert request.links == (made,)
    assert request.attributes["http.response.status_code"] == 200


def test_no_id_that_a_client_sends_is_in_a_span(world: ServiceWorld) -> None:
    paths = [f"/v1/churn/scores/{CANARY}", f"/v1/{CANARY}", f"/v1/churn/scores/{CANARY}?day={CANARY}"]
    with recorded(world.home, world.stack.settings.traces):
        published_in_a_trace(world)
        for path in paths:
            assert world.ask(path).status_code in (404, 422)
        world.ask("/v1/churn/score", "POST", json={"ids": [CANARY]})
        world.ask("/v1/churn/score", "POST", json={"ids": CANARY})
        world.ask("/v1/churn/score", CANARY)
    written = b"".join(file.read_bytes() for file in (world.home / "traces").iterdir())
    assert b"POST /v1/churn/score" in written
    assert CANARY.encode() not in written


def test_an_operation_is_a_span_in_its_request_with_what_opening_it_took(world: ServiceWorld) -> None:
    with recorded(world.home, world.stack.settings.traces):
        answer = world.ask("/v1/fraud/alerts?first=2026-01-01", headers={"X-Request-ID": "listing-of-alerts"})
    assert answer.status_code == 200
    request, operation, opening = spans(world, "listing-of-alerts")
    assert (operation.name, opening.name) == ("operation fraud.alerts", "open the operation")
    assert (operation.parent_id, opening.parent_id) == (request.span_id, operation.span_id)


def test_a_refused_request_names_its_error(world: ServiceWorld) -> None:
    with recorded(world.home, world.stack.settings.traces):
        world.ask("/v2/models/chrun/ready", headers={"X-Request-ID": "of-a-route"})
        world.ask("/v2/models/fraud", headers={"Host": "another.example", "X-Request-ID": "of-the-gateway"})
    errors = [spans(world, id)[0].attributes["error.type"] for id in ("of-a-route", "of-the-gateway")]
    assert errors == ["NotThere", "Refusal"]


def test_an_answer_has_no_traceparent_where_nothing_is_recorded(world: ServiceWorld) -> None:
    answer = world.ask("/v2/health/live")
    assert (answer.status_code, "traceparent" in answer.headers) == (200, False)
