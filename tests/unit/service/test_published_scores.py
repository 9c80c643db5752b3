"""`GET /v1/churn/scores/{id}` gives what is published, and follows publication, withdrawal and erasure."""

import re
from datetime import date
from typing import Any

import numpy as np
from service_world import DAY, ServiceWorld

from assets.churn.app import CHURN
from pipelines.service.row_models import answer_model
from resources.conformance.score_sets import some_rows
from resources.stack.loader import ROOT

PATH = "/v1/churn/scores/c000007"


def test_every_row_is_the_published_one(world: ServiceWorld) -> None:
    world.settings = {"in_flight": 100}
    published = world.publish()
    rows = world.sink.scores("churn", DAY)[1].read_all().to_pylist()
    answers = world.ask_all([("GET", f"/v1/churn/scores/{row['customer_id']}") for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        found = answer.json()
        answer_model("churn", CHURN.contract).model_validate(found)
        kept = {name: row[name] for name in ("customer_id", "score", "decision", "reasons")}
        assert found["rows"] == [{**kept, "score": float(str(np.float32(row["score"])))}]
        assert np.float32(found["rows"][0]["score"]) == row["score"]
        assert (found["model_version"], found["feature_version"]) == (row["model_version"], row["feature_version"])
        assert found["freshness"]["day"] == DAY.isoformat()
        assert found["freshness"]["degradation"] == published.degradation == "fresh"


def test_who_was_not_scored_is_a_problem_in_three_parts(world: ServiceWorld) -> None:
    world.publish()
    answer = world.ask("/v1/churn/scores/nobody")
    found = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert found["status"] == 404
    assert found["request_id"] == answer.headers["x-request-id"]
    assert all(found[part] for part in ("title", "detail", "expected", "todo"))


def test_it_follows_the_pointer(world: ServiceWorld) -> None:
    assert world.ask(PATH).status_code == 404
    world.publish(some_rows(3))
    first = world.ask(PATH).json()
    world.publish(some_rows(4))
    second = world.ask(PATH).json()
    assert (first["model_version"], second["model_version"]) == ("3", "4")
    assert first["rows"] != second["rows"]
    world.publish(some_rows(5), date(2026, 2, 1))
    assert world.ask(PATH).json()["freshness"]["day"] == "2026-02-01"
    assert world.ask(f"{PATH}?day={DAY}").json()["rows"] == second["rows"]


def test_what_is_withdrawn_is_gone_and_comes_back(world: ServiceWorld) -> None:
    published = world.publish()
    before = world.ask(PATH).json()["rows"]
    world.sink.unpublish("churn", DAY, why="wrong", who="test")
    assert world.ask(PATH).status_code == 404
    world.sink.publish(published)
    assert world.ask(PATH).json()["rows"] == before


def test_who_is_erased_is_gone_and_the_others_stay(world: ServiceWorld) -> None:
    world.publish()
    other = world.ask("/v1/churn/scores/c000008").json()["rows"]
    assert world.ask(PATH).status_code == 200
    world.sink.forget("churn", "customer_id", "c000007", why="request", who="test")
    assert world.ask(PATH).status_code == 404
    assert world.ask("/v1/churn/scores/c000008").json()["rows"] == other
    assert [
        str(file) for file in (world.home / "service").rglob("*") if file.is_file() and b"c000007" in file.read_bytes()
    ] == []


def test_the_sink_is_asked_again_only_after_a_while(world: ServiceWorld) -> None:
    world.settings = {"look_seconds": 3600.0}
    world.publish(some_rows(3))
    assert world.ask(PATH).json()["model_version"] == "3"
    world.publish(some_rows(4))
    assert world.ask(PATH).json()["model_version"] == "3"


def test_a_wrong_day_is_named(world: ServiceWorld) -> None:
    answer = world.ask(f"{PATH}?day=yesterday")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/query/day"


def test_the_curl_commands_of_the_documentation_ask_for_routes_that_are_there(world: ServiceWorld) -> None:
    page = (ROOT / "docs/service.md").read_text()
    commands = re.findall(r"^curl -s http://127.0.0.1:8000(\S+)(.*)$", page, re.MULTILINE)
    assert len(commands) >= 2
    for path, options in commands:
        body = re.search(r"-d '(.*)'", options)
        more: dict[str, Any] = {"content": body[1], "headers": {"Content-Type": "application/json"}} if body else {}
        answer = world.ask(path, "POST" if body else "GET", **more)
        assert answer.status_code in (404, 503), "nothing is published, and there is no champion"
        assert answer.json()["detail"].startswith(("No scores of churn are published", "There is no champion of "))
