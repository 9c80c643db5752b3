"""A composition whose contracts disagree is refused when it is built, with both contracts and the field."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from models.compose.batch import from_arrow, from_records
from models.compose.fallback import Fallback
from models.compose.fan_out import FanOut
from models.compose.fields import fields
from models.compose.merges import Mean, Vote
from models.compose.router import Below, Router, Switch
from models.compose.sequence import Sequence, Soft
from models.compose.step import Leaf
from models.errors import TesseraError
from tests.unit.compose.compose_steps import answering, number_step

DETECT = Leaf("detect", fields("Ticket", {"text": "text"}), fields("Detected", {"language": "integer"}), dict)
ANSWER = Leaf(
    "answer", fields("Question", {"text": "text", "language": "text"}), fields("Reply", {"reply": "text"}), dict
)
TWO = [answering("cheap"), answering("dear")]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: Sequence("triage", [DETECT, ANSWER]),
            "Step 'answer' takes Question.language as text, and step 'detect' gives Detected.language as integer. "
            "Expected language: text.",
        ),
        (lambda: Sequence("triage", [DETECT, DETECT]), "gives Detected.language, which step 'detect' gives"),
        (lambda: Sequence("triage", [answering("a"), answering("a")]), "several steps of the name 'a'"),
        (lambda: Sequence("triage", []), "triage has no steps"),
        (lambda: Sequence("triage", [DETECT], gives=["langage"]), "did you mean 'language'?"),
        (lambda: Soft(DETECT, {}), "has values of []"),
        (
            lambda: Soft(DETECT, {"language": "en"}),
            "The soft step 'detect': Field 'language' of Detected is not integer",
        ),
        (lambda: Router("r", [answering("a"), number_step("b", abs)], Below("confidence", (0.5,))), "without 'answer'"),
        (lambda: Router("r", TWO, Below("confidence", (0.5, 0.7))), "r has 2 thresholds. Expected 1"),
        (lambda: Router("r", TWO, Below("sureness", (0.5,))), "without 'sureness'"),
        (lambda: Router("r", TWO, Below("confidence", (0.5,)), shares=[]), "r has 0 shares"),
        (lambda: Router("r", TWO[:1], Below("confidence", ())), "r has 1 step"),
        (lambda: Switch("s", "x", {"de": TWO[0]}), "as text"),
        (lambda: Switch("s", "language", {}), "s has no routes"),
        (lambda: Fallback("f", TWO[:1]), "f has nothing to fall back to"),
        (lambda: FanOut("f", {"a": TWO[0], "b": TWO[1]}), "both give 'answer'"),
        (lambda: FanOut("f", {"a": TWO[0]}), "f has 1 branches"),
        (lambda: FanOut("f", {"a": TWO[0], "b": TWO[1]}, Vote("reply")), "without 'reply'"),
        (lambda: FanOut("f", {"a": TWO[0], "b": TWO[1]}, Mean("answer")), "of which there is no mean"),
        (lambda: FanOut("f", {"a": TWO[0], "b": TWO[1]}, Vote("answer", {"c": 1})), "weighs a branch 'c'"),
        (lambda: FanOut("f", {"a": TWO[0], "b": TWO[1]}, Vote("answer", {"a": 0})), "weighs 'a' by 0"),
        (lambda: FanOut("f", {"a": DETECT, "b": answering("b")}, at_least=1), "its merge needs all"),
        (lambda: fields("Ticket", {"text": "strng"}), "'strng' is no type"),
        (lambda: fields("Ticket", {"Text": "text"}), "Ticket has a field 'Text'"),
        (lambda: answering("a", cached=True), "is cached and has no version"),
    ],
)
def test_a_mismatch_is_refused(build: Callable[[], object], says: str) -> None:
    with pytest.raises(TesseraError) as refused:
        build()
    assert says in str(refused.value)


def test_a_field_that_may_be_missing_is_not_taken_for_one_that_is_there() -> None:
    perhaps = Leaf("perhaps", fields("Ticket", {"text": "text"}), fields("Found", {"order": "text?"}), dict)
    needs = Leaf("needs", fields("Needs", {"order": "text"}), fields("Out", {"out": "text"}), dict)
    with pytest.raises(TesseraError, match=r"Needs.order as text, and step 'perhaps' gives Found.order as text\?"):
        Sequence("s", [perhaps, needs])
    bears = Leaf("bears", fields("Bears", {"order": "text?"}), fields("Out", {"out": "text"}), dict)
    assert Sequence("s", [perhaps, bears]).takes.as_text() == {"text": "text"}
    # From outside the narrower type is asked for.
    assert Sequence("s", [bears, Leaf("b", needs.takes, fields("O", {"o": "text"}), dict)]).takes.as_text() == {
        "order": "text"
    }


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_input_of_parallel_steps_is_compared_too(order: tuple[int, int]) -> None:
    steps = [DETECT, Leaf("other", fields("Other", {"text": "number"}), fields("O", {"o": "text"}), dict)]
    with pytest.raises(TesseraError, match=r"takes (Ticket|Other)\.text as"):
        FanOut("f", {str(place): steps[place] for place in order})


EVERY = fields(
    "Every",
    {
        "text": "text", "texts": "texts", "record": "record", "number": "number", "integer": "integer", "flag": "flag",
        "at": "timestamp", "vector": "vector(2)", "maybe": "integer?", "perhaps": "text?", "unsure": "number?",
    },
)  # fmt: skip
RECORD = {
    "text": "ä", "texts": ["a", "b"], "record": {"k": [1]}, "number": 1.5, "integer": 2**53 + 1, "flag": True,
    "at": np.datetime64("2026-11-28T01:02:03.000004"), "vector": [1.0, -2.0], "maybe": None, "perhaps": None,
    "unsure": None,
}  # fmt: skip


def test_every_type_goes_to_arrow_and_back() -> None:
    batch = from_records([RECORD, {**RECORD, "maybe": 3, "perhaps": "there", "unsure": 0.5}], EVERY)
    table = batch.to_arrow(EVERY)
    assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert table.column("record").to_pylist() == ['{"k": [1]}'] * 2
    plain = EVERY.only([name for name in EVERY if name != "record"])
    for one, other in zip(from_arrow(table, plain).records(), batch.only(plain).records(), strict=True):
        np.testing.assert_array_equal(one.pop("vector"), other.pop("vector"))
        assert one == other
    assert batch.records()[0]["integer"] == 2**53 + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", None), ("text", 3), ("texts", "ab"), ("record", []), ("number", None), ("number", float("inf")),
        ("number", "x"), ("integer", None), ("integer", 1.5), ("flag", None), ("at", None), ("vector", [1.0]),
        ("vector", [1.0, float("nan")]), ("maybe", "1"), ("perhaps", 1),
    ],
)  # fmt: skip
def test_a_record_that_breaks_its_contract_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(TesseraError, match=f"Field '{field}' of Every is not"):
        from_records([RECORD, {**RECORD, field: value}], EVERY)
