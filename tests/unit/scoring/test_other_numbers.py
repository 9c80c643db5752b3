"""Numbers of columns beside the score: what a broken step leaves in them is odd against the nights before."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from models.scoring.config import UnusualConfig
from models.scoring.night_numbers import NightNumbers, PastNight
from models.scoring.output import OutputColumn, OutputContract
from models.scoring.unusual import Tonight, unusual

CONTRACT = OutputContract(
    keys=(OutputColumn("ticket_id", "string"),),
    payload=(
        OutputColumn("score", "float64", at_least=0, at_most=1),
        OutputColumn("urgency", "float64", "", True),
        OutputColumn("found", "list<string>"),
        OutputColumn("answer", "string", "", True),
    ),
    entity="ticket_id",
    score="score",
)
NIGHT = date(2025, 5, 14)
ROWS = 60


def numbers_of(urgency: list[float | None], found: list[list[str]], answer: list[str | None]) -> dict[str, float]:
    columns = {
        "ticket_id": [f"t{n}" for n in range(ROWS)],
        "score": [n / ROWS for n in range(ROWS)],
        "urgency": urgency,
        "found": found,
        "answer": answer,
    }
    fields = [field for field in CONTRACT.schema if field.name in columns]
    numbers = NightNumbers(CONTRACT)
    for batch in pa.table([pa.array(columns[f.name], f.type) for f in fields], pa.schema(fields)).to_batches(25):
        numbers.observe(batch)
    return numbers.numbers()


USUAL = numbers_of([n % 10 / 10 for n in range(ROWS)], [["a"]] * 54 + [[]] * 6, [f"text {n}" for n in range(ROWS)])
PAST = [PastNight(NIGHT - timedelta(days=back), "p1", USUAL) for back in range(6, 0, -1)]


def odd(numbers: dict[str, float]) -> str:
    return "; ".join(
        one.says for one in unusual(Tonight(NIGHT, "p1", numbers), PAST, UnusualConfig()) if not one.passed
    )


def test_the_numbers_are_means_spreads_empty_lists_and_repetition() -> None:
    assert USUAL["mean_urgency"] == pytest.approx(0.45)
    assert USUAL["spread_urgency"] == pytest.approx(0.2872, abs=1e-4)
    assert USUAL["empty_found"] == pytest.approx(0.1)
    assert USUAL["repeated_answer"] == pytest.approx(3 / ROWS), "once in each of three batches"
    assert odd(USUAL) == ""


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        (numbers_of([1.0] * ROWS, [["a"]] * 54 + [[]] * 6, [f"text {n}" for n in range(ROWS)]), "mean_urgency 1"),
        (numbers_of([0.45] * ROWS, [["a"]] * 54 + [[]] * 6, [f"text {n}" for n in range(ROWS)]), "spread_urgency 0"),
        (numbers_of([0.1, 0.8] * 30, [[]] * ROWS, [f"text {n}" for n in range(ROWS)]), "empty_found 1"),
        (numbers_of([0.1, 0.8] * 30, [["a"]] * 54 + [[]] * 6, ["the same"] * ROWS), "repeated_answer 1"),
    ],
)
def test_what_a_broken_step_leaves_is_odd(numbers: dict[str, float], named: str) -> None:
    assert named in odd(numbers)


def test_a_column_of_few_values_says_nothing_of_mean_or_repetition() -> None:
    few = numbers_of([None] * 50 + [1.0] * 10, [["a"]] * ROWS, ["x"] * 10 + [None] * 50)
    assert not {"mean_urgency", "spread_urgency", "repeated_answer"} & few.keys()
