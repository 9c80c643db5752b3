"""Realized quality: a promise is broken beyond chance only, and days without outcomes are found."""

from datetime import date, timedelta

import numpy as np
import pytest

from models.evaluation.binary_metrics import AUC
from models.evaluation.metrics import auc
from models.evaluation.realized import Promise, Realized, realized, undelivered_days
from models.evaluation.regression_metrics import ExplainedAbsoluteError

FIRST = date(2026, 3, 2)


def measured(rows: int, strength: float, promise: float, seed: int = 0) -> Realized | None:
    draws = np.random.default_rng(seed)
    labels = (draws.random(rows) < 0.4).astype(np.int8)
    scores = strength * labels + draws.normal(size=rows)
    return realized(AUC, labels, scores, np.arange(rows), Promise(promise, 0.01), max_drop=0.02)


def test_the_realized_metric_is_the_metric_with_an_interval_around_it() -> None:
    draws = np.random.default_rng(3)
    labels = (draws.random(2_000) < 0.4).astype(np.int8)
    scores = labels + draws.normal(size=2_000)
    found = realized(AUC, labels, scores, np.arange(2_000), None, max_drop=0.0)
    assert found is not None
    assert found.value == pytest.approx(auc(labels, scores))
    assert 0.015 < found.high - found.low < 0.06
    assert found.is_kept, "nothing was promised"


def test_the_error_of_many_rows_is_estimated_from_some_of_them() -> None:
    few, many = measured(20_000, 1.0, 0.76), measured(60_000, 1.0, 0.76)
    assert few is not None
    assert many is not None
    assert many.error == pytest.approx(few.error / 3**0.5, rel=0.35)


@pytest.mark.parametrize(("rows", "strength", "kept"), [(2_000, 1.0, True), (2_000, 0.2, False), (60, 0.6, True)])
def test_a_promise_is_broken_by_more_than_chance(rows: int, strength: float, kept: bool) -> None:
    found = measured(rows, strength, promise=0.76)
    assert found is not None
    assert found.is_kept == kept
    assert "the gate accepted 0.760" in str(found)


def test_as_good_as_promised_is_hardly_ever_reported() -> None:
    broken = [not found.is_kept for seed in range(60) if (found := measured(400, 1.0, 0.760, seed))]
    assert sum(broken) <= 1


def test_what_cannot_be_measured_is_no_number() -> None:
    one_class = np.zeros(100, dtype=np.int8)
    assert realized(AUC, one_class, np.zeros(100), np.arange(100), None, max_drop=0.0) is None
    same = np.ones(100)
    assert realized(ExplainedAbsoluteError(), same, same, np.arange(100), None, max_drop=0.0) is None


def test_days_with_hardly_any_rows_are_missing_unless_that_weekday_or_holiday_has_none() -> None:
    days = [FIRST - timedelta(days=70) + timedelta(days=n) for n in range(100)]
    rows = {day: 50 for day in days if day.weekday() != 5}
    for day in (FIRST, FIRST + timedelta(days=1)):
        rows[day] = 2
    del rows[FIRST + timedelta(days=9)]
    assert undelivered_days(rows, FIRST, FIRST + timedelta(days=13)) == [
        FIRST,
        FIRST + timedelta(days=1),
        FIRST + timedelta(days=9),
    ]
    holidays = dict.fromkeys((date(2025, 10, 1) + timedelta(days=n) for n in range(80)), 50)
    assert undelivered_days(holidays, date(2025, 12, 24), date(2025, 12, 26)) == []


def test_a_home_without_earlier_days_knows_no_usual_day() -> None:
    assert undelivered_days({}, FIRST, FIRST + timedelta(days=6)) == []
