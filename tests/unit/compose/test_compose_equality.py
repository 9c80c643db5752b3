"""A record has the same outcome by itself and in any batch, whatever the composition and whatever fails in it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.compose.call import new_call
from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.fields import Column, fields
from models.compose.merges import Custom, Mean, Vote
from models.compose.outcome import Outcome
from models.compose.router import Below, Router
from models.compose.sequence import Sequence, Soft
from models.compose.step import Leaf, Step
from tests.unit.compose.compose_steps import ANSWER, ROW, rows

ANSWERED = fields("Answer", ANSWER)
DEFAULT = {"answer": "default", "confidence": 0.5}


class _Names:
    def __init__(self) -> None:
        self.taken = 0

    def new(self, kind: str) -> str:
        self.taken += 1
        return f"{kind}{self.taken}"


@st.composite
def leaves(draw: st.DrawFn, names: _Names) -> Step:
    name, poison, garbage = names.new("leaf"), draw(st.integers(0, 7)), draw(st.integers(0, 7))
    slope = draw(st.sampled_from([-0.2, 0.1, 0.3]))

    def function(x: Column) -> dict[str, Column]:
        if (x == poison).any():
            raise ValueError("poison")
        texts = np.array([f"{name}:{value:g}" for value in x], dtype=object)
        return {"answer": texts, "confidence": np.where(x == garbage, np.nan, 0.5 + slope * x)}

    return Leaf(name, ROW, fields("Answer", ANSWER), function)


@st.composite
def compositions(draw: st.DrawFn, names: _Names, depth: int = 2) -> Step:
    kind = draw(st.sampled_from(["leaf", "router", "fallback", "vote", "sequence"])) if depth else "leaf"
    if kind == "leaf":
        return draw(leaves(names))
    first, second, third = (draw(compositions(names, depth - 1)) for _ in range(3))
    if kind == "router":
        keeps = draw(st.booleans())
        return Router(names.new("router"), [first, second, third], Below("confidence", (0.6, 0.9)), keeps_cheaper=keeps)
    if kind == "fallback":
        return Fallback(names.new("fallback"), [first, second], default=draw(st.sampled_from([None, DEFAULT])))
    if kind == "vote":
        parts = {"a": first, "b": second, "c": third}
        only = Custom(lambda found: {name: next(iter(found.values()))[name] for name in ANSWER}, ANSWERED, partial=True)
        return FanOut(names.new("fan"), parts, only, at_least=draw(st.integers(1, 3)))
    doubled = names.new("doubled")
    takes, gives = fields("C", {"confidence": "number"}), fields("D", {doubled: "number"})
    number = Leaf(names.new("number"), takes, gives, lambda confidence: {doubled: confidence * 2})
    whole = Sequence(names.new("inner"), [first], gives=list(ANSWER))
    steps = [Soft(whole, DEFAULT) if draw(st.booleans()) else whole, number]
    return Sequence(names.new("outer"), steps, gives=list(ANSWER))


def shown(found: Outcome) -> list[object]:
    records = dict(zip(found.places().tolist(), found.batch.records(), strict=True))
    assert sorted({*records, *found.failures}) == list(range(found.n))
    assert not records.keys() & found.failures.keys()
    return [(records.get(row), found.failures.get(row), found.notes.get(row, ())) for row in range(found.n)]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_one_record_and_a_batch_go_one_way(data: st.DataObject) -> None:
    step = data.draw(compositions(_Names()))
    values = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=12))
    together = shown(step.run(rows(*values), new_call()))
    alone = [shown(step.run(rows(value), new_call()))[0] for value in values]
    assert [str(one) for one in together] == [str(one) for one in alone]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=9), st.floats(0.1, 5))
def test_a_mean_and_a_vote_do_not_depend_on_the_batch(values: list[float], weight: float) -> None:
    def branch(name: str, power: int) -> Leaf:
        def function(x: Column) -> dict[str, Column]:
            return {"answer": np.array([name if v > 0.5 else "none" for v in x], dtype=object), "confidence": x**power}

        return Leaf(name, ROW, fields("Answer", ANSWER), function)

    parts = {name: branch(name, place + 1) for place, name in enumerate("abc")}
    for merge in (Vote("answer", {"b": weight}), Mean("confidence", {"b": weight}, scale="log_odds")):
        fan = FanOut("fan", parts, merge)
        together = fan.run(rows(*values), new_call()).batch.records()
        assert together == [fan.run(rows(value), new_call()).batch.records()[0] for value in values]
