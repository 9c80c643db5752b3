from math import erf, exp, factorial, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.simulation.random_streams import Purpose, keys, normal, poisson, uniform

MANY = np.arange(200_000)


def test_numbers_are_uniform_on_the_unit_interval() -> None:
    drawn = uniform(7, Purpose.ORDERS, MANY, 738_000)
    counts, _ = np.histogram(drawn, bins=100, range=(0, 1))
    # Chi-square with 99 degrees of freedom: 99.99 % of true uniform draws stay below 161.3.
    assert ((counts - 2000) ** 2 / 2000).sum() < 161.3
    assert drawn.min() >= 0
    assert drawn.max() < 1


@pytest.mark.parametrize(
    "other",
    [
        uniform(7, Purpose.ORDERS, MANY, 738_001),
        uniform(8, Purpose.ORDERS, MANY, 738_000),
        uniform(7, Purpose.LINES, MANY, 738_000),
        uniform(7, Purpose.ORDERS, 738_000, MANY),
        uniform(7, Purpose.ORDERS, MANY + 1, 738_000),
    ],
    ids=["next day", "other seed", "other purpose", "counters swapped", "next customer"],
)
def test_numbers_for_different_things_are_not_correlated(other: np.ndarray) -> None:
    drawn = uniform(7, Purpose.ORDERS, MANY, 738_000)
    # The correlation of independent draws has a standard deviation of 1 / sqrt(200,000) = 0.0022.
    assert abs(np.corrcoef(drawn, other)[0, 1]) < 5 * 0.0022


@given(seed=st.integers(0, 2**31), first=st.integers(0, 10**7), number=st.integers(1, 500))
def test_a_number_depends_on_its_address_only(seed: int, first: int, number: int) -> None:
    together = keys(seed, Purpose.RATE, np.arange(first, first + number), 3)
    alone = keys(seed, Purpose.RATE, np.array([first + number - 1]), 3)
    assert together[-1] == alone[0]
    assert len(np.unique(together)) == number


def test_normal_numbers_are_normal() -> None:
    drawn = np.sort(normal(7, Purpose.AMOUNT, MANY))
    share = np.array([0.5 * (1 + erf(value / sqrt(2))) for value in drawn[::100]])
    # Kolmogorov-Smirnov: 99.99 % of true samples of this size stay below 2.23 / sqrt(200,000), here in 2,000 places.
    assert np.abs(share - np.arange(0, len(MANY), 100) / len(MANY)).max() < 2.23 / np.sqrt(len(MANY)) + 100 / len(MANY)


@pytest.mark.parametrize("rate", [0.01, 1.3, 4.0])
def test_poisson_numbers_have_the_shares_of_the_law(rate: float) -> None:
    drawn = poisson(uniform(7, Purpose.PAYMENTS, MANY), np.full(len(MANY), rate), most=24)
    expected = np.array([exp(-rate) * rate**count / factorial(count) for count in range(25)]) * len(MANY)
    found, often = np.bincount(drawn, minlength=25), expected > 10
    assert (np.abs(found - expected)[often] < 5 * np.sqrt(expected[often])).all()
    assert found.sum() == len(MANY)
