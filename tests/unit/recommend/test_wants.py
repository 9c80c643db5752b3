"""Expected wants of customers, and what they are made of."""

import numpy as np
import pytest

from models.personalization.known import repeat_share
from models.personalization.wants import expected_wants, sources_of
from models.recommend.history import Profiles, ages_of, profiles_of
from models.recommend.interactions import Interactions

TODAY = 20.0


def rows(*of: tuple[int, int, int], customers: int = 2, products: int = 3) -> Interactions:
    customer, product, day = np.array(sorted(of)).T
    ids = [np.array([f"{kind}{number}" for number in range(n)]) for kind, n in (("c", customers), ("p", products))]
    codes = (customer.astype(np.int32), product.astype(np.int32), day.astype(np.float32))
    return Interactions(ids[0], ids[1], *codes, is_timed=True)


def views_of(looked: Interactions) -> Profiles:
    return profiles_of(looked, ages_of(looked, TODAY))


LOOKED = rows((0, 0, 10), (0, 0, 11), (0, 1, 11), (1, 2, 12))
#: The order of day 3 is older than any view that is known.
BOUGHT = rows((0, 2, 3), (0, 2, 12), (1, 2, 12))
CHOSEN = rows((0, 2, 3), (0, 2, 12), (1, 2, 12), (0, 0, 11))


def test_sources_count_the_days_of_which_views_are_known() -> None:
    of = sources_of(CHOSEN, BOUGHT, LOOKED)
    assert (of.carts, of.lines) == (1 / 4, 2 / 4)
    assert of.lines_of.tolist() == [1, 1]
    assert of.ordered.tolist() == [1 / 5, 1 / 5, 3 / 5]


def test_wants_by_looking_around_follow_the_customers_own_views_and_otherwise_their_taste() -> None:
    of = sources_of(CHOSEN, rows((1, 2, 12)), LOOKED)
    share = np.array([[0.2, 0.2, 0.6], [0.2, 0.2, 0.6]])
    plain = expected_wants(views_of(LOOKED.chosen(LOOKED.customer > 1)), np.zeros(2), share, of)
    looked = (plain - of.lines * of.ordered) / of.carts
    np.testing.assert_allclose(looked, share, rtol=1e-5)
    found = expected_wants(views_of(LOOKED), np.zeros(2), share, of)
    assert found[0, 0] > found[0, 1] > plain[0, 1]
    assert found[0, 2] < plain[0, 2]


def test_wants_by_orders_follow_the_customers_lines_per_view() -> None:
    of = sources_of(BOUGHT, BOUGHT, LOOKED)
    assert of.carts == 0
    few, many = expected_wants(views_of(LOOKED), np.array([0, 300]), np.full((2, 3), 1 / 3), of)
    assert few == pytest.approx(100 * of.lines / 103 * of.ordered)
    assert many == pytest.approx((300 + 100 * of.lines) / 101 * of.ordered)


def test_the_share_that_bought_again_needs_two_days_of_one_customer_and_many_buyers() -> None:
    assert repeat_share(BOUGHT).tolist() == [0, 0, 1 / 12]
