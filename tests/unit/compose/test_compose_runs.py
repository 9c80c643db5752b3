"""Behaviour of sequence, router, switch, fan-out and fallback, of budgets, deadlines and the cache."""

import threading
import time

import numpy as np
import pytest

from models.compose.batch import from_records
from models.compose.budget import Budget, Estimate
from models.compose.cache import MemoryCache, keys_of
from models.compose.call import new_call
from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.fields import Column, fields
from models.compose.merges import Custom, Mean, Stacking, Vote
from models.compose.router import Below, Router, Switch
from models.compose.sequence import Sequence, Soft
from models.compose.step import Leaf
from models.errors import TesseraError
from tests.unit.compose.compose_steps import ROW, answering, answers, number_step, rows

PAID = Estimate(row_eur=0.01, row_calls=1)


def by_value(bad: float) -> object:
    """Return a condition: the step raises if the value is among its records."""
    return lambda x: bool((x == bad).any())


class TestSequence:
    def test_a_step_sees_what_earlier_steps_gave(self) -> None:
        both = Sequence(
            "s", [number_step("a", lambda x: x + 1), number_step("b", lambda y: y * 10, takes="y", gives="z")]
        )
        assert answers(both, 1, 2)[0] == [{"y": 2.0, "z": 20.0}, {"y": 3.0, "z": 30.0}]
        chosen = Sequence("c", [both], gives=["z"])
        assert answers(chosen, 1)[0] == [{"z": 20.0}]

    def test_a_record_that_fails_goes_no_further_and_costs_no_other_its_answer(self) -> None:
        seen: list[float] = []

        def second(y: Column) -> Column:
            seen.extend(y)
            return y

        def first(x: Column) -> Column:
            if 2 in x:
                raise ValueError("two")
            return np.where(x == 4, np.nan, x)

        both = Sequence("s", [number_step("a", first), number_step("b", second, takes="y", gives="z")])
        shown, found = answers(both, 1, 2, 3, 4)
        assert shown == [{"y": 1.0, "z": 1.0}, "raised", {"y": 3.0, "z": 3.0}, "garbage"]
        assert str(found.failures[1]) == "a: raised, ValueError: two"
        assert seen == [1, 3]

    def test_a_soft_step_has_its_default_and_a_note(self) -> None:
        soft = Soft(answering("a", raises=by_value(2)), {"answer": "unknown", "confidence": 0.0})
        whole = Sequence("s", [soft, number_step("b", abs, takes="confidence")])
        shown, found = answers(whole, 1, 2)
        assert shown == [
            {"answer": "a", "confidence": 1.0, "y": 1.0},
            {"answer": "unknown", "confidence": 0.0, "y": 0.0},
        ]
        assert [failure.step for failure in found.notes[1]] == ["a"]
        assert 0 not in found.notes

    @pytest.mark.parametrize(
        "given",
        [
            {}, {"y": np.zeros(2)}, {"y": np.zeros(1, dtype=np.int64)}, {"y": [1.0]}, {"y": None}, None, 7,
            {"y": np.full(1, np.nan)}, {"y": np.zeros((1, 1))}, {"y": np.array(["a"], dtype=object)},
        ],
    )  # fmt: skip
    def test_garbage_is_a_failure_and_never_an_input(self, given: object) -> None:
        leaf = Leaf("a", ROW, fields("Out", {"y": "number"}), lambda x: given)  # type: ignore[arg-type, return-value]
        assert answers(Sequence("s", [leaf, number_step("b", abs, takes="y", gives="z")]), 1)[0] == ["garbage"]


class TestRouter:
    def test_the_dear_step_is_asked_only_where_the_cheap_one_is_unsure(self) -> None:
        asked: list[int] = []
        dear = answering("dear", lambda x: asked.append(x.size) or np.ones(x.size))
        router = Router("r", [answering("cheap"), dear], Below("confidence", (0.5,)))
        shown, _ = answers(router, 0.9, 0.1, 0.5)
        assert [one["answer"] for one in shown] == ["cheap", "dear", "cheap"]
        assert [one["r_by"] for one in shown] == ["cheap", "dear", "cheap"]
        assert asked == [1]

    def test_three_steps_have_a_threshold_each(self) -> None:
        steps = [answering("a"), answering("b", lambda x: x + 0.3), answering("c")]
        shown, _ = answers(Router("r", steps, Below("confidence", (0.5, 0.7))), 0.6, 0.45, 0.2)
        assert [one["answer"] for one in shown] == ["a", "b", "c"]

    def test_a_dear_step_that_fails_leaves_the_cheap_answer_with_a_note(self) -> None:
        steps = [answering("cheap"), answering("dear", raises=lambda _: True)]
        shown, found = answers(Router("r", steps, Below("confidence", (0.5,))), 0.9, 0.1)
        assert [one["r_by"] for one in shown] == ["cheap", "cheap"]
        assert found.notes.keys() == {1}
        strict = Router("r", steps, Below("confidence", (0.5,)), keeps_cheaper=False)
        assert answers(strict, 0.9, 0.1)[0][1] == "raised"

    def test_a_cheap_step_that_fails_is_made_good_by_the_dear_one(self) -> None:
        steps = [answering("cheap", raises=by_value(0.9)), answering("dear")]
        shown, found = answers(Router("r", steps, Below("confidence", (0.5,))), 0.8, 0.9)
        assert [one["r_by"] for one in shown] == ["cheap", "dear"]
        assert [failure.step for failure in found.notes[1]] == ["cheap"]

    def test_a_budget_is_refused_before_the_call_and_the_cheap_answer_is_noted(self) -> None:
        asked: list[float] = []
        dear = answering("dear", lambda x: asked.extend(x) or x, cost=PAID)
        router = Router("r", [answering("cheap"), dear], Below("confidence", (0.5,)))
        call = new_call(Budget(money_eur=0.02))
        shown, found = answers(router, 0.1, 0.2, 0.3, 0.9, call=call)
        assert [one["r_by"] for one in shown] == ["dear", "dear", "cheap", "cheap"]
        assert asked == [0.1, 0.2]
        assert "the budget of 0.02 EUR leaves 0, and it costs 0.01" in found.notes[2][0].why
        assert call.spending.money_eur == pytest.approx(0.02)
        assert [(run.step, run.n, run.money_eur) for run in call.log] == [("cheap", 4, 0), ("dear", 3, 0.02)]


def test_a_switch_asks_one_step_by_value() -> None:
    takes, gives = fields("Text", {"language": "text"}), fields("Out", {"said": "text"})
    german = Leaf("german", takes, gives, lambda language: {"said": language + "!"})
    english = Leaf("english", takes, gives, lambda language: {"said": language + "?"})
    texts = from_records([{"language": text} for text in ("de", "xx", "en", "de")], takes)
    found = Switch("s", "language", {"de": german, "en": english}).run(texts, new_call())
    answered = [(one["said"], one["s_by"]) for one in found.batch.records()]
    assert answered == [("de!", "german"), ("en?", "english"), ("de!", "german")]
    assert found.failures[1].kind == "missing"
    kept = Switch("s", "language", {"de": german}, otherwise=english).run(texts, new_call())
    assert kept.batch["said"].tolist() == ["de!", "xx?", "en?", "de!"]


class TestFallback:
    def test_the_next_step_answers_where_one_fails_and_the_default_at_the_end(self) -> None:
        steps = [answering("a", raises=by_value(1)), answering("b", raises=lambda x: bool((x >= 2).any()))]
        whole = Fallback("f", [steps[0], steps[1]], default={"answer": "human", "confidence": 0.0})
        shown, found = answers(whole, 0, 1, 2)
        assert [one["f_by"] for one in shown] == ["a", "b", "a"]
        broken = Fallback("f", [answering("a", raises=lambda _: True), steps[1]], default=whole.default)
        shown, found = answers(broken, 1, 2)
        assert [one["answer"] for one in shown] == ["b", "human"]
        assert [failure.step for failure in found.notes[1]] == ["a", "b"]
        assert answers(Fallback("g", [answering("a", raises=lambda _: True), steps[1]]), 1, 2)[0][1] == "raised"


class TestFanOut:
    def test_branches_vote_and_the_earlier_one_decides_a_tie(self) -> None:
        three = {name: answering(name if name != "c" else "b") for name in ("a", "b")}
        assert answers(FanOut("f", three, Vote("answer")), 1)[0] == [{"answer": "a", "agreement": 0.5}]
        assert answers(FanOut("f", three, Vote("answer", {"b": 2})), 1)[0] == [{"answer": "b", "agreement": 2 / 3}]

    def test_a_mean_of_log_odds_is_that_of_the_log_odds(self) -> None:
        both = {"a": answering("a", lambda x: x), "b": answering("b", lambda x: x**2)}
        shown, _ = answers(FanOut("f", both, Mean("confidence", scale="log_odds")), 0.2)
        odds = [np.log(p / (1 - p)) for p in (0.2, 0.04)]
        assert shown == [{"confidence": pytest.approx(1 / (1 + np.exp(-np.mean(odds))))}]
        assert answers(FanOut("f", both, Mean("confidence", {"a": 3})), 0.2)[0] == [{"confidence": pytest.approx(0.16)}]

    def test_a_stack_gets_a_column_of_each_branch_in_their_order(self) -> None:
        both = {"a": answering("a", lambda x: x), "b": answering("b", lambda x: 10 * x)}
        stack = FanOut("f", both, Stacking("confidence", lambda rows: rows @ [1.0, -1.0]))
        assert answers(stack, 1.0, 2.0)[0] == [{"probability": -9.0}, {"probability": -18.0}]

    def test_a_vote_does_without_a_branch_that_fails(self) -> None:
        three = {"a": answering("a", raises=by_value(1)), "b": answering("b"), "c": answering("c", raises=by_value(2))}
        shown, found = answers(FanOut("f", three, Vote("answer"), at_least=2), 0, 1, 2)
        assert [one["answer"] for one in shown] == ["a", "b", "a"]
        assert {row: [one.step for one in notes] for row, notes in found.notes.items()} == {1: ["a"], 2: ["c"]}
        assert answers(FanOut("f", three, Vote("answer")), 0, 1, 2)[0][1:] == ["raised", "raised"]

    def test_a_merge_that_raises_or_gives_garbage_fails_the_record(self) -> None:
        both = {"a": answering("a"), "b": answering("b")}
        out = fields("Out", {"out": "number"})
        assert answers(FanOut("f", both, Custom(lambda _: {}, out)), 1)[0] == ["garbage"]
        assert answers(FanOut("f", both, Custom(lambda parts: parts["c"], out)), 1)[0] == ["raised"]

    def test_waiting_branches_really_run_side_by_side(self) -> None:
        barrier = threading.Barrier(2, timeout=20)  # breaks unless both are in it at once

        def meet(x: Column) -> Column:
            barrier.wait()
            return x

        both = {name: answering(name, meet, waits=True) for name in ("a", "b")}
        assert answers(FanOut("f", both, Vote("answer")), 1)[0] == [{"answer": "a", "agreement": 0.5}]
        barrier.reset()
        long = {name: answering(name, meet, cost=Estimate(call_ms=2)) for name in ("a", "b")}
        assert answers(FanOut("g", long, Vote("answer")), 1)[0] == [{"answer": "a", "agreement": 0.5}]


class TestDeadline:
    def test_a_step_that_cannot_be_ready_is_not_begun(self) -> None:
        slow = answering("slow", lambda x: pytest.fail("was begun"), cost=Estimate(call_ms=10_000))
        shown, found = answers(slow, 1, call=new_call(Budget(latency_ms=5_000)))
        assert shown == ["refused"]
        assert "the deadline of 5000 ms leaves" in found.failures[0].why

    def test_a_step_that_is_late_is_given_up_and_its_answer_is_not_used(self) -> None:
        release = threading.Event()
        hangs = answering("hangs", lambda x: release.wait(60) and x, waits=True, timeout_ms=30)
        began = time.monotonic()
        shown, found = answers(Fallback("f", [hangs, answering("quick")]), 1)
        assert [one["f_by"] for one in shown] == ["quick"]
        assert found.notes[0][0].kind == "late"
        assert time.monotonic() - began < 30
        release.set()

    def test_a_branch_that_is_late_is_given_up_at_the_deadline(self) -> None:
        release = threading.Event()
        branches = {
            "hangs": answering("hangs", lambda x: release.wait(60) and x, cost=Estimate(call_ms=1)),
            "quick": answering("quick", cost=Estimate(call_ms=1)),
        }
        shown, found = answers(
            FanOut("f", branches, Vote("answer"), at_least=1), 1, call=new_call(Budget(latency_ms=300))
        )
        assert [one["answer"] for one in shown] == ["quick"]
        assert found.notes[0][0].kind == "late"
        release.set()

    @pytest.mark.parametrize("wrong", [{"latency_ms": -1}, {"money_eur": float("nan")}, {"calls": float("inf")}])
    def test_a_budget_without_sense_is_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(TesseraError, match="A budget has"):
            Budget(**wrong)  # type: ignore[arg-type]


def test_two_threads_never_spend_more_than_there_is() -> None:
    spending = Budget(calls=1_000).start()
    made: list[int] = []
    threads = [
        threading.Thread(target=lambda: made.extend(spending.reserve(PAID, 3) for _ in range(300))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == spending.calls == 1_000


class TestCache:
    def test_equal_content_of_an_equal_version_is_computed_once(self) -> None:
        asked: list[float] = []

        def step(version: str) -> Leaf:
            return answering("a", lambda x: asked.extend(x) or x, cached=True, version=version, cost=PAID)

        cache = MemoryCache()
        call = new_call(cache=cache)
        first, _ = answers(step("1"), 1, 2, 1, call=call)
        again, _ = answers(step("1"), 2, 1, 3, call=call)
        assert asked == [1, 2, 3]
        assert [one["confidence"] for one in [*first, *again]] == [1, 2, 1, 2, 1, 3]
        assert [(run.cached, run.calls) for run in call.log] == [(0, 2), (2, 1)]
        answers(step("2"), 1, call=call)
        assert asked == [1, 2, 3, 1]

    def test_failures_are_not_kept(self) -> None:
        broken = [True]
        leaf = answering("a", raises=lambda _: broken[0], cached=True, version="1")
        call = new_call(cache=MemoryCache())
        assert answers(leaf, 1, 1, call=call)[0] == ["raised", "raised"]
        broken[0] = False
        assert [one["answer"] for one in answers(leaf, 1, 1, call=call)[0]] == ["a", "a"]

    def test_no_two_contents_share_a_key(self) -> None:
        pair = fields("Pair", {"a": "text", "b": "text?"})
        records = [
            {"a": "x", "b": "yz"},
            {"a": "xy", "b": "z"},
            {"a": "x", "b": None},
            {"a": "x", "b": "None"},
            {"a": "", "b": ""},
        ]
        keys = keys_of("s", from_records(records, pair), pair)
        assert len({*keys, *keys_of("t", from_records(records, pair), pair)}) == 10

    def test_what_was_not_used_for_longest_goes(self) -> None:
        cache = MemoryCache(max_entries=2)
        cache.put({"a": {"v": 1}, "b": {"v": 2}})
        cache.get(["a"])
        cache.put({"c": {"v": 3}})
        assert cache.get(["a", "b", "c"]).keys() == {"a", "c"}


def test_outputs_of_each_step_are_kept_on_request() -> None:
    both = Sequence("s", [number_step("a", lambda x: x + 1), number_step("b", abs, takes="y", gives="z")])
    call = new_call(keep_outputs=True)
    both.run(rows(1), call)
    assert [(run.step, run.output.records()) for run in call.log if run.output] == [
        ("a", [{"y": 2.0}]),
        ("b", [{"z": 2.0}]),
    ]


def test_the_log_says_what_became_of_each_record_where_the_call_names_a_key() -> None:
    """Through a router, a step that cannot take every record, and a cache; no step takes the key."""
    cheap = answering("cheap", raises=by_value(3))
    dear = answering("dear", cached=True, version="1")
    call = new_call(keep_outputs=True, key="id", cache=MemoryCache())
    named = ROW.plus(fields("Named", {"id": "text"}))
    batch = from_records([{"id": f"r{x}", "x": float(x)} for x in (1, 2, 3, 4)], named)
    Router("route", [cheap, dear], Below("confidence", (2.0,))).run(batch, call)
    seen = {}
    for run in call.log:
        assert run.keys is not None
        assert run.outcome is not None
        kept = [run.keys[place] for place in run.outcome.places()]
        lost = [run.keys[place] for place in run.outcome.failures]
        seen[run.step] = (kept, lost, run.outcome.batch["confidence"].tolist())
    assert seen == {"cheap": (["r1", "r2", "r4"], ["r3"], [1, 2, 4]), "dear": (["r1", "r3"], [], [1, 3])}
