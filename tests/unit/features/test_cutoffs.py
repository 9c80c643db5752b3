"""Which cut-offs may train and evaluate a model."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from models.features.cutoffs import Cutoffs, cutoff_moment, cutoffs_between, training_cutoffs

OPENING, CLOSING = date(2010, 12, 1), date(2011, 8, 31)  # Online Retail


def test_the_cutoff_is_the_last_microsecond_of_the_day() -> None:
    assert cutoff_moment(date(2024, 2, 29)) == datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)


def test_online_retail_has_ten_cutoffs_and_a_holdout() -> None:
    found = training_cutoffs(CLOSING, OPENING)
    assert found.holdout == date(2011, 6, 2)
    assert (len(found.train), found.train[0], found.train[-1]) == (10, date(2010, 12, 31), date(2011, 3, 4))


def test_one_day_of_history_too_few_is_refused_with_the_day_from_which_it_works() -> None:
    enough = OPENING + timedelta(days=30 + 180 - 1)
    assert training_cutoffs(enough, OPENING) == Cutoffs((date(2010, 12, 30),), enough - timedelta(days=90))
    with pytest.raises(TesseraError, match=rf"209 days .* at least 210 days.*{enough}"):
        training_cutoffs(enough - timedelta(days=1), OPENING)


@given(
    history=st.integers(0, 900),
    horizon=st.integers(1, 120),
    step=st.integers(1, 40),
    least=st.integers(1, 60),
    most=st.integers(1, 20),
)
def test_no_label_window_reaches_across_the_holdout(
    history: int, horizon: int, step: int, least: int, most: int
) -> None:
    as_of = OPENING + timedelta(days=history)
    given_ = {"horizon_days": horizon, "step_days": step, "min_history_days": least, "max_cutoffs": most}
    try:
        found = training_cutoffs(as_of, OPENING, **given_)
    except TesseraError:
        assert history + 1 < least + 2 * horizon
        return
    window = timedelta(days=horizon)
    assert found.holdout + window == as_of
    assert all(day + window <= found.holdout for day in found.train)
    assert (found.train[0] - OPENING).days + 1 >= least
    assert all(
        later - earlier == timedelta(days=step) for earlier, later in zip(found.train, found.train[1:], strict=False)
    )
    assert 1 <= len(found.train) <= most
    # Nothing that would fit is left out.
    assert len(found.train) == most or (found.train[0] - timedelta(days=step) - OPENING).days + 1 < least


@given(st.integers(1, 120), st.integers(1, 40))
def test_the_refit_learns_from_the_cutoffs_between_on_the_hold_outs_own_steps(horizon: int, step: int) -> None:
    found = training_cutoffs(CLOSING, date(2010, 1, 1), horizon_days=horizon, step_days=step)
    between = cutoffs_between(found, step)
    days = [*between, found.holdout]
    assert days == sorted(set(days))
    assert all((found.holdout - day).days % step == 0 for day in between)
    assert all(found.train[-1] < day < found.holdout for day in between)
    assert (days[0] - found.train[-1]).days <= step, "no gap is wider than a step"
