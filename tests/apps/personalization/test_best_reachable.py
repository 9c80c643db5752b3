"""The best reachable lists of the simulated storefront: ahead of every ranking, and what shares are taken of."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.storefront import BEST, best_ndcg, best_of, holdout_at, shares
from models.personalization.gate import POPULARITY, quality_of
from models.simulation.bayes_optimal_storefront import best_lists, expected_wants
from models.simulation.learner_storefront import learned_wants
from tests.apps.personalization.lists_world import DAY, SETTINGS, SHOP, home_after_a_night

#: One worker makes the home once.
pytestmark = pytest.mark.xdist_group("lists home")


def test_no_ranking_is_ahead_of_the_best_lists_and_the_share_of_each_is_told(tmp_path: Path) -> None:
    home, own = home_after_a_night(tmp_path), SETTINGS.personalization
    front, hold = SHOP.open().shop.storefront, holdout_at(home.lake, DAY, own)
    best, lists = best_ndcg(front, hold, own), best_of(front, hold, own)
    assert lists.shape == (hold.wanted.taken.customers.size, own.steps.rules.length)
    assert lists.min() >= 0
    strangers = quality_of(lists[np.random.default_rng(0).permutation(len(lists))], hold.wanted)
    assert np.nanmean(strangers.ndcg) < best, "they are of each customer"
    (version,) = home.registry.versions("personalization")
    popular = np.tile(hold.known.popular[""][: lists.shape[1]].astype(np.int32), (len(lists), 1))
    plain = float(np.nanmean(quality_of(popular, hold.wanted).ndcg))
    told = shares({POPULARITY: plain, "candidate": version.metrics["ndcg_at_20"]}, best)
    assert next(iter(told)) == BEST
    assert 0 < told[POPULARITY] < 1
    assert 0 < told["candidate"] < 1


def test_the_best_list_is_what_customers_want_most_and_they_do_want_it() -> None:
    front, day = SHOP.open().shop.storefront, DAY.toordinal()
    days = range(day - 60, day)
    happened = [front.happened(each) for each in days]
    number = np.unique(np.concatenate([one.customer[one.is_cart & (one.customer >= 0)] for one in happened]))
    lists = best_lists(front, number, [*days][::20], 400, 20)
    carted = {(who, what) for one in happened for who, what in zip(one.customer, one.product, strict=True)}
    found = np.array([[(who, what) in carted for what in row] for who, row in zip(number, lists, strict=True)])
    firsts, lasts = found[:, :5].sum(), found[:, 15:].sum()
    assert firsts > 2 * lasts > 0
    wants = expected_wants(front, number[:5], [day], 400)
    assert (
        np.take_along_axis(wants, best_lists(front, number[:5], [day], 400, 20), 1)[:, -1] >= np.sort(wants)[:, -20]
    ).all()


def test_a_learner_of_views_is_ahead_of_popularity_and_behind_the_best_lists() -> None:
    front, day = SHOP.open().shop.storefront, DAY.toordinal()
    seen = np.concatenate([front.happened(each).customer for each in range(day - 60, day)])
    number = np.sort(np.argsort(-np.bincount(seen[seen >= 0]), kind="stable")[:6])  # who looked at most
    wants = expected_wants(front, number, [day], 400)
    learned = learned_wants(front, number, day - 60, day - 1, 400)

    def reached(scores: np.ndarray) -> float:
        return float(np.take_along_axis(wants, np.argsort(-scores, axis=1)[:, :20], axis=1).sum())

    assert reached(np.tile(-np.arange(400), (6, 1))) < reached(learned) < reached(wants)
