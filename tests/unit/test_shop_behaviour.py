from datetime import date

import numpy as np
import pytest

from models.simulation import customer_behaviour as behaviour
from models.simulation.population import Population
from models.simulation.random_streams import Purpose, uniform

FIRST = 738_000


def test_shares_add_up_to_one() -> None:
    for shares in (behaviour.COUNTRY_SHARE, behaviour.HABIT_SHARE, behaviour.RATE_SHARE):
        assert shares.sum() == pytest.approx(1)
    assert behaviour.LINES_SHARE.sum(axis=1) == pytest.approx(1)


def test_demand_averages_to_about_one_for_both_habits() -> None:
    assert behaviour.demand(np.arange(FIRST, FIRST + 4 * 1461)).mean(axis=1) == pytest.approx(1, abs=0.03)


def test_weekend_shoppers_buy_on_saturday_and_weekday_shoppers_do_not() -> None:
    saturday, monday = np.array([date(2024, 1, 6).toordinal()]), np.array([date(2024, 1, 8).toordinal()])
    assert behaviour.demand(saturday)[1, 0] > 3 * behaviour.demand(monday)[1, 0]
    assert behaviour.demand(monday)[0, 0] > 3 * behaviour.demand(saturday)[0, 0]


def test_the_purchase_rate_falls_before_the_customer_leaves() -> None:
    left = np.arange(1, 200)
    factor = behaviour.fade(left)
    assert (np.diff(factor) >= 0).all()
    assert factor[0] < 0.15
    assert (factor[left >= behaviour.FADE_DAYS] == 1).all()
    assert (factor[behaviour.fading(left) == 1] < 1).all()


@pytest.mark.parametrize("hazard", [1 / 2000, 1 / 300, 1 / 50])
def test_lifetimes_follow_the_share_that_the_posterior_assumes(hazard: float) -> None:
    drawn = behaviour.lifetime(uniform(1, Purpose.LIFETIME, np.arange(100_000)), np.array(hazard))
    days = np.arange(0, behaviour.LONGEST_LIFETIME_DAYS + 2)
    share = np.exp(behaviour.log_lifetime_share(days, np.array(hazard)))
    assert share.sum() == pytest.approx(1)
    assert share[0] == share[-1] == 0
    observed = np.bincount(drawn, minlength=len(days)).cumsum() / len(drawn)
    # Kolmogorov-Smirnov: 99.99 % of true samples of this size stay below 2.23 / sqrt(100,000).
    assert np.abs(observed - share.cumsum()).max() < 2.23 / np.sqrt(100_000)
    survival = np.exp(behaviour.log_lifetime_at_least(days, np.array(hazard)))
    assert survival[1:] == pytest.approx(share[::-1].cumsum()[::-1][1:], abs=1e-12)


def test_the_shop_neither_grows_nor_dies() -> None:
    population = Population(seed=5, size=4000, first_day=FIRST)
    active = [len(population.shopping(day, day).number) for day in FIRST + np.array([0, 1, 200, 1095, 4000, 20_000])]
    # The number of active customers varies like a Poisson number: standard deviation about 63.
    assert active == pytest.approx([4000] * 6, abs=5 * 63)


def test_customers_enter_the_records_once() -> None:
    population = Population(seed=5, size=400, first_day=FIRST)
    entered = [population.appearing(FIRST + day).number for day in range(-3, 60)]
    assert sum(map(len, entered[:3])) == 0
    numbers = np.concatenate(entered)
    assert len(np.unique(numbers)) == len(numbers)
    assert set(numbers) == set(population.joined(0, FIRST + 59).number)


def test_traits_do_not_depend_on_the_days_asked_for() -> None:
    population = Population(seed=5, size=400, first_day=FIRST)
    wide, narrow = population.joined(FIRST, FIRST + 90), population.joined(FIRST + 40, FIRST + 50)
    inside = np.isin(wide.number, narrow.number)
    for column in ("country", "rate", "habit", "joined", "gone"):
        assert (getattr(wide, column)[inside] == getattr(narrow, column)).all()


def test_who_leaves_sooner_is_a_matter_of_country_and_habit() -> None:
    joined = Population(seed=5, size=4000, first_day=FIRST).joined(FIRST, FIRST + 2000)
    stayed = joined.gone - joined.joined
    weekday, weekend = (stayed[joined.habit == habit] for habit in (0, 1))
    assert weekday.mean() > 1.2 * weekend.mean()
    by_country = [stayed[joined.country == country].mean() for country in range(len(behaviour.COUNTRIES))]
    assert (np.argsort(by_country) == np.argsort(-behaviour.COUNTRY_HAZARD)).all()
