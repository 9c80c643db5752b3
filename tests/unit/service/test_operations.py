"""Operations of applications as routes: bodies are checked, effects happen once, errors are problems."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from service_world import ServiceWorld

from assets.churn import app as churn_app
from assets.stages.operation import Answer, Asker, Body, NotThere, Operation, QuickHandler, WrongRequest
from models.errors import TesseraError
from pipelines.gateway.holder import LOCAL
from pipelines.gateway.reads import ReadLog
from pipelines.service import door
from pipelines.service.build import build_routes
from pipelines.service.door import Door
from pipelines.service.metrics import Metrics

T = TypeVar("T")
SLOW = 2


class Asked(Body):
    """A number, and what happens."""

    number: int
    fails: str = ""


class Counted(Answer):
    """The number, and how often anything was done."""

    number: int
    done: int
    who: str


class Effects:
    """An operation with an effect, which counts it."""

    def __init__(self) -> None:
        self.done, self.opened = 0, 0

    def __call__(self, *_: Any) -> Any:
        self.opened += 1
        return self.answer

    def answer(self, asked: Asked, asker: Asker) -> Counted:
        kinds = {"wrong": WrongRequest, "missing": NotThere, "down": TesseraError}
        if asked.fails in kinds:
            raise kinds[asked.fails](asked.fails, expected="success", todo="Repair it.")
        if asked.fails:
            raise ValueError(asked.fails)
        self.done += 1
        return Counted(number=asked.number, done=self.done, who=asker.name, model_version="7")


@pytest.fixture
def effects(monkeypatch: pytest.MonkeyPatch) -> Effects:
    """Churn offers one operation."""
    from dataclasses import replace

    found = Effects()
    example = {"number": 1}
    one = Operation("act", "Act", Asked, Counted, example, found, "operator", has_effect=True, subject=("number",))
    monkeypatch.setattr(door, "APPS", (replace(churn_app.CHURN, operations=lambda: (one,)),))
    return found


def ask(world: ServiceWorld, body: Any, **headers: str) -> Any:
    return world.ask("/v1/churn/act", "POST", json=body, headers=headers)


def test_the_same_key_and_body_have_one_effect_and_one_answer(world: ServiceWorld, effects: Effects) -> None:
    first, again = (ask(world, {"number": 1}, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json() == again.json() == {"number": 1, "done": 1, "who": "local", "model_version": "7"}
    other = ask(world, {"number": 2}, **{"Idempotency-Key": "k1"})
    assert (other.status_code, effects.done) == (422, 1)
    assert "Idempotency-Key" in other.json()["detail"]
    world.__dict__.pop("app")  # another server on the same home
    assert ask(world, {"number": 1}, **{"Idempotency-Key": "k1"}).json() == first.json()
    assert ask(world, {"number": 1}, **{"Idempotency-Key": "k2"}).json()["done"] == 2
    assert ask(world, {"number": 1}).json()["done"] == 3
    assert ask(world, {"number": 1}, **{"Idempotency-Key": "k" * 201}).status_code == 400
    assert ask(world, {"number": 1}, **{"Idempotency-Key": ""}).status_code == 400


def test_another_asker_with_the_same_key_asks_for_something_else(world: ServiceWorld, effects: Effects) -> None:
    for number, name in enumerate(("ada", "bob"), 1):
        header = world.key(name, "operator")
        found = ask(world, {"number": 1}, **{"Idempotency-Key": "k1", **header}).json()
        assert (found["done"], found["who"]) == (number, name)


def test_a_request_that_failed_may_be_repeated(world: ServiceWorld, effects: Effects) -> None:
    assert ask(world, {"number": 1, "fails": "down"}, **{"Idempotency-Key": "k1"}).status_code == 503
    assert ask(world, {"number": 1}, **{"Idempotency-Key": "k1"}).json()["done"] == 1


@pytest.mark.parametrize(("fails", "status"), [("wrong", 422), ("missing", 404), ("down", 503)])
def test_errors_are_problems(world: ServiceWorld, effects: Effects, fails: str, status: int) -> None:
    answer = ask(world, {"number": 1, "fails": fails})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    found = answer.json()
    assert (found["detail"], found["expected"], found["todo"]) == (fails, "success", "Repair it.")


def test_a_bug_is_a_problem_that_says_nothing_of_it(world: ServiceWorld, effects: Effects) -> None:
    answer = ask(world, {"number": 1, "fails": "secret"})
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/body/number"),
        ({"number": "x"}, "/body/number"),
        ({"number": 1, "nubmer": 2}, "/body/nubmer"),
        ([], "/body"),
    ],
)
def test_wrong_bodies_are_named_by_pointer(world: ServiceWorld, effects: Effects, body: Any, pointer: str) -> None:
    answer = ask(world, body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert effects.opened == 0


@pytest.mark.parametrize("given", [{}, {"Content-Type": "text/plain"}])
def test_a_body_that_is_not_said_to_be_json_is_refused(
    world: ServiceWorld, effects: Effects, given: dict[str, str]
) -> None:
    answer = world.ask("/v1/churn/act", "POST", content=b'{"number": 1}', headers=given)
    assert (answer.status_code, effects.opened) == (415, 0)
    assert "application/json" in answer.json()["expected"]


def test_it_is_opened_once_and_reads_are_logged(world: ServiceWorld, effects: Effects) -> None:
    for _ in range(2):
        ask(world, {"number": 17})
    assert (effects.opened, len(list(ReadLog(world.home).about("churn", "17")))) == (1, 2)


def test_a_body_that_grows_beyond_the_limit_is_cut(world: ServiceWorld, effects: Effects) -> None:
    world.settings = {"body_bytes": 1_000}

    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 100

    answer = world.ask("/v1/churn/act", "POST", content=parts(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, effects.opened) == (413, 0)


def test_a_quick_request_is_answered_at_once_unless_another_one_is_being_answered(
    tmp_path: Path, effects: Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of an operation come one at a time either way."""
    threads, begun, released = dict[int, str](), threading.Event(), threading.Event()

    def answer(asked: Asked, asker: Asker) -> Counted:
        threads[asked.number] = threading.current_thread().name
        if asked.number == SLOW:
            begun.set()
            assert released.wait(20)
        return effects.answer(asked, asker)

    monkeypatch.setattr(Effects, "__call__", lambda *_: QuickHandler(answer, lambda asked, _: asked.number != SLOW))

    async def lived(client: httpx.AsyncClient) -> list[int]:
        def asked(number: int) -> Any:
            return asyncio.create_task(client.post("/v1/churn/act", json={"number": number}))

        await asked(0)
        await asked(1)
        slow = asked(SLOW)
        await asyncio.to_thread(begun.wait, 20)
        behind = [asked(3), asked(4)]
        await asyncio.sleep(0.01)
        behind[1].cancel()
        await asyncio.sleep(0.01)
        fifth = asked(5)
        await asyncio.sleep(0.01)
        released.set()
        answers = [await slow, await behind[0], await fifth]
        await asked(6)
        return [one.json()["done"] for one in answers]

    assert asyncio.run(_with_client(ServiceWorld(tmp_path / "home"), lived)) == [3, 4, 5]
    own, here = "tessera-churn-act_0", threading.current_thread().name
    assert threads == {0: own, 1: here, SLOW: own, 3: own, 5: own, 6: here}


@pytest.mark.parametrize("is_missing", [False, True])
def test_operations_are_open_before_the_first_request(
    tmp_path: Path, effects: Effects, monkeypatch: pytest.MonkeyPatch, is_missing: bool
) -> None:
    """What is missing at the start does not end the server: the first request tries again."""
    world, opened, at_the_end = ServiceWorld(tmp_path / "home"), asyncio.Event(), list[int]()
    failures = [TesseraError("no champion yet", expected="one", todo="Train.")] if is_missing else []

    def open_it(*_: Any) -> Any:
        effects.opened += 1
        if failures:
            raise failures.pop()
        return effects.answer

    monkeypatch.setattr(Effects, "__call__", open_it)

    def all_open() -> None:
        at_the_end.append(effects.opened)
        opened.set()

    async def lived(client: httpx.AsyncClient) -> int:
        await asyncio.wait_for(opened.wait(), 20)
        return (await client.post("/v1/churn/act", json={"number": 1})).status_code

    assert asyncio.run(_with_client(world, lived, all_open)) == 200
    assert at_the_end == [1]
    assert effects.opened == 1 + is_missing


async def _with_client(
    world: ServiceWorld, work: Callable[[httpx.AsyncClient], Awaitable[T]], opened: Callable[[], None] = lambda: None
) -> T:
    """Return what `work` returns, given a client of the routes without the gateway, in the loop that serves them."""
    routes = build_routes(Door(world.stack), Metrics(), opened)

    async def held(scope: Any, receive: Any, send: Any) -> None:
        await routes({**scope, "tessera.holder": LOCAL, "tessera.request_id": "r"}, receive, send)

    async with routes.router.lifespan_context(routes):
        transport = httpx.ASGITransport(held)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await work(client)
