"""The taste of customers for categories and prices."""

from dataclasses import replace
from functools import cache

import numpy as np

from models.personalization.composition import golden_day
from models.personalization.known import Known, shares
from models.personalization.taste import lifts, taste
from models.recommend.history import Profiles, ages_of, profiles_of


@cache
def tastes() -> Known:
    """The first customer looked at products of one category and price, the second at one of each."""
    known = golden_day().known
    looked = known.looked.chosen((known.looked.customer > 0) | (known.looked.product == 0))
    return replace(known, looked=looked)


def views(known: Known) -> Profiles:
    return profiles_of(known.looked, ages_of(known.looked, known.now))


def test_shares_add_up_and_follow_what_was_looked_at() -> None:
    found = taste(tastes(), views(tastes()))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    own = tastes().shelf.category == tastes().shelf.category[0]
    popular = tastes().seen / tastes().seen.sum()
    assert found[0, own].sum() > popular[own].sum()
    assert (found[0] == found[0].max()).nonzero()[0].tolist() == [0]


def test_one_who_looked_at_nothing_has_the_shares_of_the_shop() -> None:
    nothing = replace(tastes(), looked=tastes().looked.chosen(tastes().looked.customer == 0))
    np.testing.assert_allclose(taste(tastes(), views(nothing))[1], tastes().seen / tastes().seen.sum(), rtol=1e-5)


def test_shares_do_not_depend_on_who_is_asked_beside() -> None:
    every = views(tastes())
    alone = [taste(tastes(), every.of(np.array([one])))[0] for one in range(every.size)]
    assert np.array_equal(np.stack(alone), taste(tastes(), every))


def test_a_lift_is_the_share_beside_the_shops_drawn_to_one() -> None:
    groups, popular = np.arange(30) % 2, np.ones(30, np.float32)
    asked = views(tastes()).of(np.array([0]))
    count = asked.count.sum()
    expected = [(count + 3 * 0.5) / (count + 3) / 0.5, (3 * 0.5) / (count + 3) / 0.5]
    np.testing.assert_allclose(lifts(groups, shares(groups, popular), asked)[0], expected, rtol=1e-6)


def test_prices_that_are_not_known_are_a_band_of_their_own() -> None:
    price = tastes().offers.price.copy()
    price[3] = np.nan
    known = replace(tastes(), offers=replace(tastes().offers, price=price))
    assert known.price_bands[3] == 0
    assert known.price_bands.max() == 8
    assert np.isfinite(taste(known, views(tastes()))).all()
