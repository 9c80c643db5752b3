"""The taste of customers for categories and prices."""

from dataclasses import replace

import numpy as np

from models.personalization.composition import golden_day
from models.personalization.known import Known, shares
from models.personalization.taste import lifts, taste
from models.recommend.history import Profiles, ages_of, profiles_of

KNOWN = golden_day().known
#: The first customer looked at products of one category and price, the second at one of each.
LOOKED = KNOWN.looked.chosen((KNOWN.looked.customer > 0) | (KNOWN.looked.product == 0))
TASTES = replace(KNOWN, looked=LOOKED)


def views(known: Known = TASTES) -> Profiles:
    return profiles_of(known.looked, ages_of(known.looked, known.now))


def test_shares_add_up_and_follow_what_was_looked_at() -> None:
    found = taste(TASTES, views())
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    own = TASTES.shelf.category == TASTES.shelf.category[0]
    popular = TASTES.seen / TASTES.seen.sum()
    assert found[0, own].sum() > popular[own].sum()
    assert (found[0] == found[0].max()).nonzero()[0].tolist() == [0]


def test_one_who_looked_at_nothing_has_the_shares_of_the_shop() -> None:
    nothing = replace(TASTES, looked=TASTES.looked.chosen(TASTES.looked.customer == 0))
    np.testing.assert_allclose(taste(TASTES, views(nothing))[1], TASTES.seen / TASTES.seen.sum(), rtol=1e-5)


def test_shares_do_not_depend_on_who_is_asked_beside() -> None:
    every = views()
    alone = [taste(TASTES, every.of(np.array([one])))[0] for one in range(every.size)]
    assert np.array_equal(np.stack(alone), taste(TASTES, every))


def test_a_lift_is_the_share_beside_the_shops_drawn_to_one() -> None:
    groups, popular = np.arange(30) % 2, np.ones(30, np.float32)
    asked = views().of(np.array([0]))
    count = asked.count.sum()
    expected = [(count + 3 * 0.5) / (count + 3) / 0.5, (3 * 0.5) / (count + 3) / 0.5]
    np.testing.assert_allclose(lifts(groups, shares(groups, popular), asked)[0], expected, rtol=1e-6)


def test_prices_that_are_not_known_are_a_band_of_their_own() -> None:
    price = TASTES.offers.price.copy()
    price[3] = np.nan
    known = replace(TASTES, offers=replace(TASTES.offers, price=price))
    assert known.price_bands[3] == 0
    assert known.price_bands.max() == 8
    assert np.isfinite(taste(known, views())).all()
