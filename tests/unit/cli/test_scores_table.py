"""The table of `tessera scores` fits the terminal, whatever an application publishes."""

import pytest

from pipelines.cli import console
from pipelines.cli.publications import _fitting

CELLS = {
    "ticket_id": ["t1"],
    "intent": ["x" * 22],
    "score": ["0.9"],
    "answer": ["x" * 80],
    "cost_eur": ["0.000"],
    "context": ["x" * 1000],
}


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (2000, list(CELLS)),
        (140, ["ticket_id", "intent", "score", "answer", "cost_eur"]),
        (60, ["ticket_id", "intent", "score", "cost_eur"]),
        (45, ["ticket_id", "intent", "score"]),
        (5, ["ticket_id", "score"]),
    ],
)
def test_wide_columns_give_way_first_and_those_to_keep_never(
    width: int, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "_width", width)
    assert _fitting(CELLS, keeps={"ticket_id", "score"}) == shown
