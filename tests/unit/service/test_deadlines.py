"""A request names its deadline: over it there is a problem, and work that has not begun is not begun."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from service_world import ServiceWorld

from assets.churn import app as churn_app
from assets.stages.operation import Answer, Asker, Body, Operation
from models.compose.budget import Budget
from models.compose.call import new_call
from models.compose.deadline import DeadlinePassed, deadline, remaining_ms, without_deadline
from pipelines.service import door
from resources.calls.failure import CallRefused
from resources.calls.guard import Answered, Guard
from resources.calls.policy import CallPolicy

PATH, HEADER = "/v1/churn/wait", "X-Request-Timeout-Ms"


class Asked(Body):
    """Name of a request."""

    name: str = ""


class Waited(Answer):
    """What it found."""

    had_deadline: bool


class Waiting:
    """An operation that goes on when it is told."""

    def __init__(self) -> None:
        self.may_go, self.begun, self.pinned = threading.Event(), list[str](), list[str | None]()
        self.opened_within: float | None = 0.0

    def opened(self, *_: Any) -> Any:
        self.opened_within = remaining_ms()
        return self.answer

    def answer(self, asked: Asked, asker: Asker) -> Waited:
        self.begun.append(asked.name)
        self.pinned.append(asker.version)
        self.may_go.wait(10)
        return Waited(had_deadline=remaining_ms() is not None, model_version="7")


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    found = Waiting()
    one = Operation("wait", "Wait", Asked, Waited, {}, found.opened, pins=True)
    monkeypatch.setattr(door, "APPS", (replace(churn_app.CHURN, operations=lambda: (one,)),))
    yield found
    found.may_go.set()


def test_work_behind_another_is_not_begun_after_its_deadline(world: ServiceWorld, waiting: Waiting) -> None:
    answers = world.ask_all([("POST", PATH)] * 2, json={"name": "late"}, headers={HEADER: "30"})
    assert [one.status_code for one in answers] == [504, 504]
    assert "0.03 s" in answers[0].json()["detail"]
    waiting.may_go.set()
    after = world.ask(PATH, "POST", json={"name": "after"})
    assert (after.status_code, waiting.begun) == (200, ["late", "after"])
    assert (after.json()["had_deadline"], waiting.opened_within) == (True, None)


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "soon", "1e3", "99999999999"])
def test_other_headers_are_refused(world: ServiceWorld, waiting: Waiting, given: str) -> None:
    answer = world.ask(PATH, "POST", json={}, headers={HEADER: given})
    assert (answer.status_code, waiting.begun) == (400, [])
    assert HEADER in answer.json()["detail"]


def test_a_version_is_handed_on_and_unknown_parameters_are_refused(world: ServiceWorld, waiting: Waiting) -> None:
    waiting.may_go.set()
    for query in ("", "?version=3"):
        assert world.ask(PATH + query, "POST", json={}).status_code == 200
    assert waiting.pinned == [None, "3"]
    refused = world.ask(f"{PATH}?verison=3", "POST", json={})
    assert refused.status_code == 422
    assert "did you mean 'version'" in refused.json()["expected"]
    assert world.ask(f"{PATH}?version=", "POST", json={}).status_code == 422


def test_steps_and_calls_have_the_time_that_the_deadline_leaves() -> None:
    now, called = [0.0], list[float]()

    def work(seconds: float) -> Answered[str]:
        called.append(seconds)
        return Answered("done")

    guard = Guard("m", "chat", CallPolicy(timeout_seconds=60), is_remote=False)
    with deadline(2, lambda: now[0]):
        assert new_call(Budget(latency_ms=5_000)).spending.budget.latency_ms == 2_000
        assert new_call(Budget(latency_ms=500)).spending.budget.latency_ms == 500
        with without_deadline():
            assert new_call().spending.budget.latency_ms is None
        assert guard.call(work, tokens=1) == "done"
        assert 0 < called[0] <= 2
        now[0] = 3.0
        assert new_call().spending.budget.latency_ms == 0
        with pytest.raises(CallRefused, match="deadline"):
            guard.call(work, tokens=1)
    assert (len(called), remaining_ms()) == (1, None)
    assert isinstance(DeadlinePassed("late").todo, str)
