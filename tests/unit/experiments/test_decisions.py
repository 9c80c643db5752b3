"""Stops by guardrails and resumptions by people: what holds for a night, and what an evaluation counts then."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import OUTCOMES
from models.experiments.assignment import assignment_of
from models.experiments.config import ExperimentSettings
from models.experiments.decisions import Decision, as_of, pauses, stops
from models.experiments.evaluation import Evaluation, evaluate
from tests.unit.experiments.test_evaluation import FIRST, LINES, NAME, SETTINGS, at, exposure, frame, outcome


def made(action: Any, day: int, from_day: int, variant: str = "new") -> Decision:
    until, night = FIRST + timedelta(days=day), FIRST + timedelta(days=from_day)
    return Decision(variant, action, until, night, at(from_day), "guardrail", "it is worse")


@settings(max_examples=15, deadline=None)
@given(gaps=st.lists(st.integers(1, 4), max_size=6), night=st.integers(-1, 30))
def test_a_night_is_served_by_the_last_decision_before_it(gaps: list[int], night: int) -> None:
    days = np.cumsum(gaps, dtype=int).tolist()
    every = [made("resume" if n % 2 else "stop", day - 1, day) for n, day in enumerate(days)]
    before = sum(day <= night for day in days)
    assert set(stops(every, FIRST + timedelta(days=night))) == ({"new"} if before % 2 else set())
    assert set(stops(reversed(every))) == ({"new"} if len(days) % 2 else set())
    found = pauses(every, "new")
    assert len(found) == (len(days) + 1) // 2
    assert all(one.last is None or one.first <= one.last for one in found)
    assert not pauses(every, "control")
    known = as_of(every, FIRST + timedelta(days=night))
    of_earlier_days = [one for one in every[::2] if one.until < FIRST + timedelta(days=night)]
    assert [one for one in known if one.action == "stop"] == of_earlier_days


def world(settings: ExperimentSettings, days: Sequence[int], bad: range) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Forty new units a day; those of `new` do not click while it is `bad`, all others do half of the time."""
    assigned, rng = assignment_of(NAME, settings), np.random.default_rng(1)
    shown, happened = list[Any](), list[Any]()
    for day in days:
        for unit in (f"u{day}-{n}" for n in range(200)):
            variant = assigned.variant(unit)
            shown.append(exposure(unit, day, variant=variant))
            if rng.random() < (0.05 if variant == "new" and day in bad else 0.5):
                happened.append(outcome(unit, day, "click", None))
    return frame(shown), frame(happened, OUTCOMES)


TRIAL = SETTINGS.model_copy(update={"window_days": 1, "last_day": FIRST + timedelta(days=40)})


def as_found(rows: tuple[pl.DataFrame, pl.DataFrame], day: int, decisions: Sequence[Decision] = ()) -> Evaluation:
    until = FIRST + timedelta(days=day)
    names = ("shown_at", "happened_at")
    known = [each.filter(pl.col(name) < at(day + 1, 0)) for each, name in zip(rows, names, strict=True)]
    return evaluate(
        NAME, TRIAL, known[0], known[1], known[0].select("exposure_id", "shown_at"), LINES, until, decisions
    )


def test_a_stop_lasts_whatever_the_guardrail_says_later_and_a_resumed_variant_is_measured_anew() -> None:
    rows = world(TRIAL, range(20), range(6))
    first = next(day for day in range(20) if as_found(rows, day).broken)
    assert 1 <= first <= 4
    stop = made("stop", first, first + 1)
    shown = rows[0].filter((pl.col("shown_at") < at(first + 2, 0)) | (pl.col("shown_at") >= at(8, 0)))
    for day in range(first + 1, 7):
        stopped = as_found((shown, rows[1]), day, [stop])
        assert (stopped.broken, stopped.verdict.decision, [*stopped.stopped]) == ([], "stop", ["new"])
        assert "was stopped by the evaluation of" in stopped.verdict.reasons[0]
        assert stopped.faults.while_stopped == 0
    resumed = Decision("new", "resume", stop.until, FIRST + timedelta(days=7), datetime.now(UTC), "ana", "mended")
    after = as_found((shown, rows[1]), 19, [stop, resumed])
    guarded = after.effects[1]
    assert (after.stopped, guarded.state in ("kept", "open"), after.ratio.is_kept) == ({}, True, True)
    assert guarded.units + guarded.control_units == pytest.approx(200 * 11, abs=200), "since it was resumed alone"
    worse = world(TRIAL, range(20), range(20))
    assert as_found(worse, 19, [stop, resumed]).broken, "it is stopped again if it is still worse"


def test_a_service_that_goes_on_showing_a_stopped_variant_is_told() -> None:
    rows = world(TRIAL, range(8), range(8))
    found = as_found(rows, 7, [made("stop", 3, 4)])
    assert found.faults.while_stopped > 200
    assert "while_stopped" in found.faults.serious()
    before = as_found(rows, 3)
    assert (found.units, found.effects[0].units) == (before.units, found.effects[0].units)


def test_of_three_variants_the_others_go_on_and_their_shares_stay() -> None:
    third = [{"name": name, "share": share} for name, share in (("control", 0.4), ("new", 0.3), ("other", 0.3))]
    trial = ExperimentSettings.model_validate({**TRIAL.model_dump(), "variants": third})
    rows = world(trial, range(12), range(12))
    shown = rows[0].filter((pl.col("variant") != "new") | (pl.col("shown_at") < at(4, 0)))
    until = FIRST + timedelta(days=11)
    found = evaluate(NAME, trial, shown, rows[1], shown, LINES, until, [made("stop", 3, 4)])
    assert found.ratio.is_kept
    units = {one.variant: one.units for one in found.effects}
    assert units["other"] > 2 * units["new"]
