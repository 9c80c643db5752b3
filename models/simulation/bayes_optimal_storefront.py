"""Best reachable lists of the simulated storefront: an order of products that no list can be ahead of in expectation.

It knows the generating laws: the taste, affinities and budget of each customer, and also places, promotions and stock
of the days to come, which no real model knows. It ranks by the expected number of times that a customer orders a
product or puts it into the cart. How likely they want it at all rises with that number, so that its order has the
largest expected discounted gain (Robertson 1977, *The probability ranking principle in IR*). What remains open is
chance. Rules are not applied: a list that obeys them has less.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.simulation import customer_behaviour as behaviour
from models.simulation.catalogue import ZIPF_POWER
from models.simulation.random_streams import Floats, Integers
from models.simulation.storefront import ANONYMOUS_SHARE, MORE_VIEWS, MOST_VIEWS, VISITS_PER_ORDER, Storefront

#: Views of a visit, and lines of an order, in the mean.
VIEWS_PER_VISIT = float(sum(MORE_VIEWS**more for more in range(MOST_VIEWS)))
_LINES = float(behaviour.LINES_SHARE[0] @ np.arange(1, behaviour.LINES_SHARE.shape[1] + 1))


def expected_wants(front: Storefront, number: Integers, days: Sequence[int], products: int) -> Floats:
    """Return how often customers are expected to order products, or put them into the cart while they are known.

    Per order of theirs: shape (customers, products). How often a customer orders is the same factor for all products.

    Args:
        front: the storefront.
        number: of the customers.
        days: in which they may want something; a few of them, evenly spread, are enough.
        products: that exist before these days; later ones are left out.
    """
    carts = [front.chances(number, day)[:, :products] * front.cart_chances(day)[:products] for day in days]
    visits = VISITS_PER_ORDER * VIEWS_PER_VISIT * (1 - ANONYMOUS_SHARE)
    return visits * np.mean(carts, axis=0) + order_wants(products)


def order_wants(products: int) -> Floats:
    """Return how often an order is expected to hold each of the first products."""
    popular = np.arange(1, products + 1, dtype=np.float64) ** -ZIPF_POWER
    return _LINES * popular / popular.sum()


def best_lists(
    front: Storefront, number: Integers, days: Sequence[int], products: int, length: int
) -> NDArray[np.int32]:
    """Return the products that customers are likeliest to want, best first: shape (customers, length).

    Args:
        front: the storefront.
        number: of the customers.
        days: in which they may want something.
        products: that exist before these days.
        length: of a list.
    """
    wants = expected_wants(front, number, days, products)
    return np.argsort(-wants, axis=1, kind="stable")[:, :length].astype(np.int32)
