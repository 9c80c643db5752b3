"""Best lists of a learner that knows the laws of the simulated storefront, but no customer: it has their views alone.

It infers taste, budget and affinities of each customer from what they looked at while they were known, by Bayes' rule
over all pairs of favourite categories and all budgets, and ranks by the expected wants. Affinities are inferred product
by product, given the mean of the shares (a product's views are about Poisson). No model that learns from the same views
can be ahead of it by more than that approximation; what lies between it and the best reachable lists is not in the
data.
"""

from itertools import permutations

import numpy as np

from models.simulation.bayes_optimal_storefront import VIEWS_PER_VISIT, order_wants
from models.simulation.catalogue import CATEGORIES
from models.simulation.random_streams import Floats, Integers
from models.simulation.storefront import (
    AFFINITY_POWER,
    ANONYMOUS_SHARE,
    BUDGET_WIDTH,
    BUDGETS_EUR,
    CART_CHANCE,
    LEAST_CHANCE,
    LIST_DAYS,
    POPULARITY_POWER,
    POSITION_POWER,
    PROMOTED_CART_CHANCE,
    PROMOTED_SHARE,
    TASTE,
    VISITS_PER_ORDER,
    Storefront,
)

#: Points of the grid of affinities, which are powers of an even number.
_EVEN = np.concatenate([np.geomspace(LEAST_CHANCE, 0.02, 30), np.linspace(0.03, 0.99, 49)])
_AFFINITY = _EVEN**-AFFINITY_POWER
_WEIGHT = np.gradient(_EVEN) / np.gradient(_EVEN).sum()


def learned_wants(front: Storefront, number: Integers, first_day: int, last_day: int, products: int) -> Floats:
    """Return the expected wants of customers by their views of some days, shape (customers, products).

    Args:
        front: the storefront.
        number: of the customers.
        first_day: of the views.
        last_day: of the views.
        products: that exist on the last day.
    """
    views = _views(front, number, first_day, last_day, products)
    base = _shares(front, first_day, last_day, products)
    traits = _traits(front, last_day, products)
    chances = np.stack([_learned(each, base, traits) for each in views])
    carted = CART_CHANCE + (PROMOTED_CART_CHANCE - CART_CHANCE) * PROMOTED_SHARE
    return VISITS_PER_ORDER * VIEWS_PER_VISIT * (1 - ANONYMOUS_SHARE) * carted * chances + order_wants(products)


def _views(front: Storefront, number: Integers, first_day: int, last_day: int, products: int) -> Floats:
    found = np.zeros((int(number.max()) + 1, products))
    for day in range(first_day, last_day + 1):
        events = front.happened(day)
        seen = (events.customer >= 0) & (events.customer < found.shape[0]) & ~events.is_cart & (events.position > 0)
        seen &= events.product < products
        np.add.at(found, (events.customer[seen], events.product[seen]), 1)
    return found[number]


def _shares(front: Storefront, first_day: int, last_day: int, products: int) -> Floats:
    """Return the weight of each product by popularity and by its mean place in the lists of the days."""
    weeks = range(first_day, last_day + 1, LIST_DAYS)
    places = [front.places(day) for day in weeks]
    some = [each[:products].astype(float) for each in places]
    whole = [np.pad(each, (0, products - len(each)), constant_values=np.inf) for each in some]
    seen = np.mean([each**-POSITION_POWER for each in whole], axis=0)
    return np.arange(1, products + 1) ** -POPULARITY_POWER * seen


def _traits(front: Storefront, day: int, products: int) -> Floats:
    """Return the weights of the products by each pair of favourite categories and each budget."""
    category = front.category(np.arange(products))
    price = np.log(front.offers(day).price[:products])
    found: list[Floats] = []
    for favourites in permutations(range(len(CATEGORIES)), 2):
        taste = np.full(len(CATEGORIES), TASTE[2])
        taste[[*favourites]] = TASTE[:2]
        found += [taste[category] * np.exp(-0.5 * ((price - b) / BUDGET_WIDTH) ** 2) for b in np.log(BUDGETS_EUR)]
    return np.array(found)


def _learned(views: Floats, base: Floats, traits: Floats) -> Floats:
    """Return the chance of each product to be what one customer looks at next."""
    likely, chances = np.empty(len(traits)), np.empty_like(traits)
    for place, trait in enumerate(traits):
        weight = trait * base
        first, _ = _affinities(views, weight, np.full(len(base), _WEIGHT @ _AFFINITY))
        affinity, likely[place] = _affinities(views, weight, first)
        chances[place] = weight * affinity / (weight @ affinity)
    posterior = np.exp(likely - likely.max())
    return posterior / posterior.sum() @ chances


def _affinities(views: Floats, weight: Floats, before: Floats) -> tuple[Floats, float]:
    """Return the expected affinity to each product, and the logarithm of the likelihood of the views.

    Args:
        views: of each product.
        weight: of each product without its affinity.
        before: affinities that the sum of the weights is taken from.
    """
    expected = (views.sum() * weight / (weight @ before))[:, None] * _AFFINITY
    log = views[:, None] * np.log(np.maximum(expected, 1e-300)) - expected
    most = log.max(axis=1, keepdims=True)
    chance = np.exp(log - most) * _WEIGHT
    total = chance.sum(axis=1)
    return chance @ _AFFINITY / total, float((most[:, 0] + np.log(total)).sum())
