"""Confidence sequences hold under continuous looking; CUPED narrows; the sample ratio alarms when it should."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.experiments.confidence import Sequence, adjusted, difference, sample_of, variance_left
from models.experiments.sample_ratio import sample_ratio
from models.training.model import Vector

_EXPERIMENTS, _UNITS, _FROM = 600, 3000, 100  # units per variant


def _miss_rates(draw: Callable[[np.random.Generator, tuple[int, int]], Vector], effect: float) -> tuple[float, float]:
    """Return the share of experiments with an interval that misses `effect` at any look: sequence, plain 95 %."""
    rng = np.random.default_rng(12)
    treated, control = (draw(rng, (_EXPERIMENTS, _UNITS)) for _ in range(2))
    treated = treated + effect
    n = np.arange(1, _UNITS + 1)

    def moments(values: Vector) -> tuple[Vector, Vector]:
        mean = values.cumsum(1) / n
        return mean, ((values**2).cumsum(1) / n - mean**2) * n / np.maximum(n - 1, 1)

    (mean_t, var_t), (mean_c, var_c) = moments(treated), moments(control)
    away = np.abs(mean_t - mean_c - effect)[:, _FROM:] / np.sqrt((var_t + var_c) / n)[:, _FROM:]
    sequence = Sequence(0.05, 2000)
    factors = np.array([sequence.factor(2 * int(count)) for count in n[_FROM:]])
    return float((away > factors).any(1).mean()), float((away > 1.96).any(1).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "effect"),
    [
        (lambda rng, shape: rng.binomial(1, 0.1, shape).astype(float), 0.0),
        (lambda rng, shape: rng.lognormal(0, 1, shape) * rng.binomial(1, 0.3, shape), 0.0),
        (lambda rng, shape: rng.normal(0, 1, shape), 0.1),
    ],
    ids=["conversion", "spending", "effect"],
)
def test_looking_after_every_unit_misses_at_most_five_percent(
    draw: Callable[[np.random.Generator, tuple[int, int]], Vector], effect: float
) -> None:
    sequence, plain = _miss_rates(draw, effect)
    assert sequence <= 0.05
    assert plain > 0.2  # what looking at plain intervals as often does


def test_an_effect_is_found_and_the_p_value_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(3)
    sequence = Sequence(0.05, 4000)
    for shift in (0.0, 0.02, 0.05, 0.2):
        value, error = difference(sample_of(rng.normal(shift, 1, 3000)), sample_of(rng.normal(0, 1, 3000)))
        found = sequence.interval(value, error, 6000)
        assert (found.low > 0 or found.high < 0) == (sequence.p_value(value, error, 6000) < 0.05)
    assert sequence.p_value(0.2, 0.02, 6000) < 1e-6


def test_the_sequence_is_narrowest_where_it_was_planned() -> None:
    def factor(narrowest_at: int) -> float:
        return Sequence(0.05, narrowest_at).factor(5000)

    assert factor(5000) < min(factor(500), factor(4000), factor(6500), factor(50_000))
    assert factor(5000) == pytest.approx(3.035, abs=0.001)  # 55 % wider than a single look (1.96)


def test_samples_that_are_too_small_have_endless_intervals() -> None:
    value, error = difference(sample_of(np.array([1.0])), sample_of(np.array([])))
    assert (value, error) == (1.0, np.inf)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), correlation=st.floats(-0.95, 0.95))
def test_cuped_never_widens_and_keeps_the_mean(seed: int, correlation: float) -> None:
    rng = np.random.default_rng(seed)
    before = rng.normal(0, 1, 400)
    values = correlation * before + np.sqrt(1 - correlation**2) * rng.normal(0, 1, 400)
    after = adjusted(values, before)
    assert after.mean() == pytest.approx(values.mean())
    assert variance_left(values, after) <= 1 + 1e-12
    assert variance_left(values, after) == pytest.approx(1 - np.corrcoef(values, before)[0, 1] ** 2)


def test_two_covariates_explain_no_less_than_either() -> None:
    rng = np.random.default_rng(4)
    before = rng.gamma(1, 1, (500, 2)) * [1.0, 300.0]
    values = before[:, 0] + rng.normal(0, 1, 500) + before[:, 1] / 900
    left = [variance_left(values, adjusted(values, each)) for each in (before[:, 0], before[:, 1], before)]
    assert left[2] < min(left[:2])
    twice = np.stack([before[:, 0]] * 2, axis=1)
    assert variance_left(values, adjusted(values, twice)) == pytest.approx(left[0])


def test_a_covariate_that_does_not_vary_changes_nothing() -> None:
    values = np.array([1.0, 2.0, 4.0])
    assert adjusted(values, np.ones(3)).tolist() == [1, 2, 4]
    assert adjusted(np.array([]), np.array([])).size == 0
    assert variance_left(np.ones(3), np.ones(3)) == 1


def test_cuped_does_not_bias_the_effect() -> None:
    rng = np.random.default_rng(5)
    found: list[float] = []
    for _ in range(300):
        before = rng.gamma(2, 1, 400)
        treated = rng.permutation(400) < 200
        values = 0.8 * before + 0.3 * treated + rng.normal(0, 0.5, 400)
        after = adjusted(values, before)
        found.append(after[treated].mean() - after[~treated].mean())
    assert np.mean(found) == pytest.approx(0.3, abs=4 * np.std(found) / np.sqrt(300))


def test_the_sample_ratio_alarms_rarely_although_every_day_is_looked_at() -> None:
    rng = np.random.default_rng(8)
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    alarms = 0
    for _ in range(300):
        days = rng.multinomial(200, [*shares.values()], 28).cumsum(0)
        ratios = (sample_ratio(dict(zip(shares, map(int, day), strict=True)), shares, 0.05) for day in days)
        alarms += any(not one.is_kept for one in ratios)
    assert alarms / 300 <= 0.05


def test_the_sample_ratio_finds_lost_units() -> None:
    found = sample_ratio({"a": 10_000, "b": 9_400}, {"a": 0.5, "b": 0.5}, 0.01)
    assert not found.is_kept
    assert "a 10,000 of 9,700 expected" in str(found)


def test_no_unit_has_no_sample_ratio_and_one_variant_alone_breaks_it() -> None:
    assert sample_ratio({}, {"a": 0.5, "b": 0.5}, 0.001).is_kept
    assert not sample_ratio({"a": 100}, {"a": 0.5, "b": 0.5}, 0.001).is_kept
