"""A model that fails again and again is not asked for a while; one trial finds out whether it answers again."""

from collections.abc import Callable
from typing import Any

import pytest

from models.compose.budget import Budget, Spending
from resources.calls.breaker import states_here
from resources.calls.failure import CallFailed
from resources.calls.guard import Answered, Guard
from resources.calls.policy import CallPolicy


class World:
    """A guard whose clock stands still until it sleeps."""

    def __init__(self, name: str = "m", *, is_remote: bool = False, **policy: Any) -> None:
        self.now, self.pauses, self.asked = 0.0, list[float](), 0
        self.guard = Guard(
            name,
            "chat",
            CallPolicy(**policy),
            is_remote=is_remote,
            clock=self.clock,
            sleep=self.sleep,
            draw=lambda: 0.5,
        )

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def ask(self, work: Callable[[float], Answered[str]], deadline_ms: float | None = None) -> str:
        def counted(seconds: float) -> Answered[str]:
            self.asked += 1
            return work(seconds)

        spending = Spending(Budget(latency_ms=deadline_ms), self.clock) if deadline_ms else None
        return self.guard.call(counted, tokens=1, spending=spending)


def fails(_: float) -> Answered[str]:
    raise CallFailed("it is down", is_temporary=True)


def answers(_: float) -> Answered[str]:
    return Answered("yes")


def test_pauses_double_and_differ_by_chance() -> None:
    world = World(tries=4, first_pause_seconds=1, open_after_failures=0)
    with pytest.raises(CallFailed, match="it is down"):
        world.ask(fails)
    assert world.pauses == [0.75, 1.5, 3.0]


def test_after_failures_in_a_row_it_is_not_asked_until_a_trial() -> None:
    world = World(tries=3, open_after_failures=5, open_seconds=30)
    with pytest.raises(CallFailed, match="it is down"):
        world.ask(fails)
    assert world.guard.breaker.state == "closed"
    with pytest.raises(CallFailed, match="it is down"):
        world.ask(fails)
    assert (world.asked, world.guard.breaker.state, states_here()["m"]) == (5, "open", "open")
    with pytest.raises(
        CallFailed, match="m is not asked: it failed 5 times in a row, and the next trial is due in 30 s"
    ):
        world.ask(answers, deadline_ms=5_000)
    assert world.asked == 5
    world.now += 30
    assert world.guard.breaker.state == "half_open"
    with pytest.raises(CallFailed, match="it is down"):
        world.ask(fails, deadline_ms=5_000)
    assert (world.asked, world.guard.breaker.state) == (6, "open")
    world.now += 30
    assert world.ask(answers, deadline_ms=5_000) == "yes"
    assert (world.guard.breaker.state, states_here()["m"]) == ("closed", "closed")


def test_without_a_deadline_a_call_waits_for_the_trial_of_a_short_outage_only() -> None:
    world = World("slow", tries=1, open_after_failures=1, open_seconds=30)
    for _ in range(4):
        with pytest.raises(CallFailed, match="it is down"):
            world.ask(fails)
    assert (world.asked, world.pauses) == (4, [30, 30, 30])
    with pytest.raises(CallFailed, match="is not asked"):
        world.ask(fails)
    assert (world.asked, world.pauses) == (4, [30, 30, 30])
    world.now += 30
    assert world.ask(answers) == "yes"


def test_an_answer_between_failures_and_refusals_do_not_open_it() -> None:
    world = World(tries=1, open_after_failures=2)

    def refused(_: float) -> Answered[str]:
        raise CallFailed("another key", is_temporary=False)

    for work in (fails, answers, fails, answers, refused, refused, refused, fails):
        try:
            world.ask(work)
        except CallFailed:
            continue
    assert world.guard.breaker.state == "closed"


def test_a_timeout_that_the_requests_own_deadline_made_short_says_nothing_of_the_model() -> None:
    world = World("late", is_remote=True, tries=1, open_after_failures=1, timeout_seconds=30)
    spending = Spending(Budget(latency_ms=1), world.clock)

    def late(seconds: float) -> Answered[str]:
        raise CallFailed(f"no answer within {seconds} s", is_temporary=True, may_be_paid=True)

    with pytest.raises(CallFailed, match=r"within 0\.001 s"):
        world.guard.call(late, tokens=1, spending=spending)
    assert world.guard.breaker.state == "closed"
    with pytest.raises(CallFailed, match="within 30"):
        world.guard.call(late, tokens=1)
    assert world.guard.breaker.state == "open"
