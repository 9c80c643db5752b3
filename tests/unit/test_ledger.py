"""The ledger: who was champion when, and that no edit goes unseen."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import TesseraError
from models.ledger import (
    NOTHING_BEFORE,
    LedgerEntry,
    champion_at,
    champion_before,
    entry_line,
    line_digest,
    next_moment,
    read_chain,
)

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
words = st.text(max_size=20)


def _entry(number: int, previous: str, why: str = "better", metrics: dict[str, float] | None = None) -> LedgerEntry:
    return LedgerEntry(
        app="churn",
        at=NOON + timedelta(hours=number),
        action="promote",
        from_version=str(number) if number else None,
        to_version=str(number + 1),
        why=why,
        who="ann",
        run_id="r",
        metrics=metrics or {},
        previous=previous,
    )


def _lines(reasons: list[str]) -> list[str]:
    lines: list[str] = []
    for number, why in enumerate(reasons):
        lines.append(entry_line(_entry(number, line_digest(lines[-1]) if lines else NOTHING_BEFORE, why)))
    return lines


@pytest.mark.slow
@given(st.lists(words, max_size=5))
def test_any_text_survives_as_one_line_each(reasons: list[str]) -> None:
    lines = _lines(reasons)
    assert not any("\n" in line for line in lines)
    assert [entry.why for entry in read_chain(lines, "here")] == reasons


@given(st.lists(words, min_size=2, max_size=6), st.data())
@pytest.mark.slow
def test_every_change_before_the_last_line_names_a_line(reasons: list[str], data: st.DataObject) -> None:
    lines = _lines(reasons)
    at = data.draw(st.integers(0, len(lines) - 2))
    change = data.draw(st.sampled_from(["edit", "remove", "repeat", "swap"]))
    if change == "edit":
        lines[at] = json.dumps({**json.loads(lines[at]), "who": "bob"})
    elif change == "remove":
        del lines[at]
    elif change == "repeat":
        lines.insert(at, lines[at])
    else:
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    with pytest.raises(TesseraError, match=r"Line \d of the ledger here"):
        read_chain(lines, "here")


@pytest.mark.parametrize("line", ["", "{}", "no json", '{"app": "churn"}'])
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    with pytest.raises(TesseraError, match="Line 2 of the ledger here is no ledger entry"):
        read_chain([*_lines(["a"]), line], "here")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1, 1e-300])
def test_every_number_is_read_back_from_standard_json(value: float) -> None:
    line = entry_line(_entry(0, NOTHING_BEFORE, metrics={"auc": value}))
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    found = read_chain([line], "here")[0].metrics["auc"]
    assert found == value or (math.isnan(found) and math.isnan(value))


@pytest.mark.parametrize(("action", "version"), [("promote", None), ("rollback", None), ("retire", "1")])
def test_only_retiring_leaves_nothing_in_charge(action: str, version: str | None) -> None:
    values = {**_entry(0, NOTHING_BEFORE).model_dump(), "action": action, "to_version": version}
    with pytest.raises(ValidationError, match="cannot make"):
        LedgerEntry.model_validate(values)


def test_the_champion_at_a_moment_is_the_last_one_before_it() -> None:
    entries = [_entry(0, ""), _entry(1, "x")]
    moments = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=1)]
    assert [champion_at(entries, moment) for moment in moments] == [None, "1", "1", "2"]


@given(st.lists(st.sampled_from("1234"), max_size=8), st.frozensets(st.sampled_from("1234")))
def test_the_way_back_is_to_the_nearest_former_champion_that_is_allowed(moves: list[str], allowed: set[str]) -> None:
    entries: list[LedgerEntry] = []
    for to in moves:
        present = entries[-1].to_version if entries else None
        if to != present:
            entries.append(_entry(len(entries), "").model_copy(update={"from_version": present, "to_version": to}))
    present = entries[-1].to_version if entries else None
    found = champion_before(entries, allowed)
    former = {entry.to_version for entry in entries} - {present}
    assert found is None or (found in allowed and found in former)
    if entries and entries[-1].from_version in allowed:
        assert found == entries[-1].from_version
    if len(set(moves)) == len(moves) and former & allowed:
        assert found is not None, "straight history: every former champion lies on the way"


def test_time_never_runs_backwards_and_is_utc() -> None:
    entries = [_entry(0, "")]
    assert next_moment([], NOON) == NOON
    assert next_moment(entries, NOON - timedelta(days=1)) == NOON + timedelta(microseconds=1)
    later = (NOON + timedelta(days=1)).astimezone(timezone(timedelta(hours=9)))
    assert next_moment(entries, later).isoformat() == "2025-03-02T12:00:00+00:00"
