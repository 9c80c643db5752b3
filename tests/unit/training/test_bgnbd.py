"""BG/NBD against published values and against a simulation of its own story."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.bgnbd import BgNbd, fit_bgnbd

#: Estimates of Fader, Hardie and Lee (2005), table 2, on CDNOW; time in weeks.
CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)


def _one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def test_the_published_customer_has_the_published_expectation() -> None:
    """A customer with x=2, t_x=30.43, T=38.86 is expected to buy 1.226 times in 39 weeks (their spreadsheet note)."""
    found = CDNOW.expected_purchases(_one(2), _one(30.43), _one(38.86), 39)
    assert found == pytest.approx(1.226, abs=0.0006)


def test_a_customer_without_repeats_is_active() -> None:
    assert CDNOW.probability_active(_one(0), _one(0), _one(30)) == 1.0


def test_longer_silence_is_less_activity_and_fewer_purchases() -> None:
    silent = np.array([0.0, 10.0, 20.0, 38.0])
    recency, age = 38.0 - silent, np.full(4, 38.0)
    x = np.full(4, 5.0)
    assert (np.diff(CDNOW.probability_active(x, recency, age)) < 0).all()
    assert (np.diff(CDNOW.expected_purchases(x, recency, age, 39)) < 0).all()
    assert (np.diff(CDNOW.probability_of_none(x, recency, age, 39)) > 0).all()


def _simulated(truth: BgNbd, customers: int, age: float, days: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat purchases, time of the last one, and purchases in the `days` after `age`, customer by customer."""
    random = np.random.default_rng(5)
    rates = random.gamma(truth.r, 1 / truth.alpha, customers)
    drops = random.beta(truth.a, truth.b, customers)
    x, recency, later = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    for n in range(customers):
        at = 0.0
        while (at := at + random.exponential(1 / rates[n])) < age + days:
            if at < age:
                x[n], recency[n] = x[n] + 1, at
            else:
                later[n] += 1
            if random.random() < drops[n]:
                break
    return x, recency, later


def test_a_simulated_shop_gives_back_parameters_expectation_and_silence() -> None:
    truth = BgNbd(r=0.8, alpha=12.0, a=0.8, b=2.5)
    x, recency, later = _simulated(truth, 8000, 60.0, 30.0)
    age = np.full(x.size, 60.0)
    found = fit_bgnbd(x, recency, age)
    assert [found.r, found.alpha, found.a, found.b] == pytest.approx([0.8, 12.0, 0.8, 2.5], rel=0.25)
    assert found.expected_purchases(x, recency, age, 30).mean() == pytest.approx(later.mean(), rel=0.05)
    assert found.probability_of_none(x, recency, age, 30).mean() == pytest.approx((later == 0).mean(), abs=0.01)


def test_the_slope_of_the_likelihood_is_that_of_its_values() -> None:
    from models.training.bgnbd import _mean_log_likelihood

    rng = np.random.default_rng(2)
    x = rng.poisson(2, 300).astype(np.float64)
    age = rng.uniform(1, 300, 300)
    recency = np.where(x > 0, age * rng.random(300), 0.0)
    counts, inverse = np.unique(x, return_inverse=True)
    at = np.array([0.6, 20.0, 0.4, 1.5])
    _, slope = _mean_log_likelihood(at, counts, inverse, recency, age)
    for place in range(4):
        step = np.zeros(4)
        step[place] = 1e-6 * at[place]
        up, down = (_mean_log_likelihood(at + sign * step, counts, inverse, recency, age)[0] for sign in (1, -1))
        assert (up - down) / (2 * step[place]) == pytest.approx(slope[place], rel=1e-5)


def test_customers_with_thousands_of_purchases_have_finite_expectations() -> None:
    many = np.array([0.0, 1.0, 50.0, 5000.0, 36_499.0])
    assert np.isfinite(CDNOW.expected_purchases(many, np.full(5, 100.0), np.full(5, 100.0), 45)).all()


def test_the_expectation_is_the_printed_series() -> None:
    from scipy.special import hyp2f1

    r, alpha, a, b = CDNOW.r, CDNOW.alpha, CDNOW.a, CDNOW.b
    x, age, days = np.array([1.0, 2.0, 9.0]), np.full(3, 38.86), 39.0
    recency = np.array([10.0, 30.43, 38.0])
    shrink = ((alpha + age) / (alpha + age + days)) ** (r + x)
    series = hyp2f1(r + x, b + x, a + b + x - 1, days / (alpha + age + days))
    printed = (a + b + x - 1) / (a - 1) * (1 - shrink * series) * CDNOW.probability_active(x, recency, age)
    assert CDNOW.expected_purchases(x, recency, age, days) == pytest.approx(printed)


HISTORY = st.tuples(st.integers(0, 400), st.floats(0, 1), st.floats(0, 4000, allow_subnormal=False))


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(HISTORY, min_size=1, max_size=8))
def test_any_customers_give_parameters_and_finite_chances(histories: list[tuple[int, float, float]]) -> None:
    """Also one customer, customers who all bought once, and all of whom came today."""
    x, share, age = (np.array(column, dtype=np.float64) for column in zip(*histories, strict=True))
    recency = np.where(x > 0, age * share, 0.0)
    found = fit_bgnbd(x, recency, age)
    assert min(found.r, found.alpha, found.a, found.b) > 0
    expected = found.expected_purchases(x, recency, age, 45)
    chances = [found.probability_of_none(x, recency, age, 45), found.probability_active(x, recency, age)]
    assert np.isfinite(expected).all()
    assert all(((chance >= -1e-12) & (chance <= 1)).all() for chance in chances)
