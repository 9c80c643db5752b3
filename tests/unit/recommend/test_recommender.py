"""The recommender on a small shop with known habits."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from models.personalization.parts import RankerPart
from models.recommend.choice import choose
from models.recommend.config import FittedConfig, FoldsConfig, RankerConfig
from models.recommend.files import read_ranker, write_trees
from models.recommend.fitting import fit_recommender
from models.recommend.folds import folds
from models.recommend.generators import GENERATORS, scores, tables_of
from models.recommend.history import history
from models.recommend.interactions import Interactions, interactions
from models.recommend.neighbours import ease, item_knn, rp3beta
from models.recommend.new_products import with_ease
from models.recommend.ranker_features import ranker_features
from models.recommend.rankers import TrainingRows
from models.recommend.rankers import fitted as fitted_rankers
from models.recommend.ranking_metrics import NOTHING, diversity, hits, ndcg, recall, targets
from models.recommend.recency import RECENT, recent_scores
from models.recommend.recommender import Recommender, best_lists

CONFIG = FittedConfig(ranker=RankerConfig(rounds=20), folds=FoldsConfig(cutoffs=3), candidates=25, k=5)


@cache
def events(customers: int = 90, days: int = 160) -> Interactions:
    """Customers of three kinds with ten products each; one product comes in every basket, others now and then."""
    rng = np.random.default_rng(0)
    rows = [
        (f"c{customer:03}", f"p{customer % 3 * 10 + product:02}", day)
        for customer in range(customers)
        for day in np.sort(rng.choice(days, 9, replace=False)).tolist()
        for product in {customer % 10, *rng.integers(0, 10, 2).tolist()}
    ]
    frame = pl.DataFrame(rows, schema=["customer", "product", "day"], orient="row")
    return interactions(frame["customer"], frame["product"], pl.Series([*frame["day"]], dtype=pl.Int32).cast(pl.Date))


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    return fit_recommender(events(), 160.0, CONFIG)


def lists(found: Recommender) -> np.ndarray:
    profiles = found.profiles(np.arange(found.customers.size, dtype=np.int32))
    candidates = found.candidates(profiles)
    return best_lists(candidates, found.rank(candidates, profiles), 5)[0]


def test_a_history_knows_only_interactions_before_its_moment() -> None:
    known = history(events().chosen(events().day < 100), 100.0)
    mine = events().chosen((events().customer == 7) & (events().day < 100))
    asked = known.profiles.of(np.array([7]))
    products, counts = np.unique(mine.product, return_counts=True)
    assert asked.product.tolist() == products.tolist()
    assert asked.count.tolist() == counts.tolist()
    assert asked.last.tolist() == [100 - mine.day[mine.product == each].max() for each in products]
    assert asked.baskets.tolist() == [np.unique(mine.day).size]
    assert asked.latest.tolist() == [100 - mine.day.max()]


def test_folds_hold_what_came_next_and_nothing_of_it_before() -> None:
    for fold in folds(events(), 160.0, CONFIG.folds, seed=0):
        assert fold.known.day.max() < fold.now
        for place, customer in enumerate(fold.taken.customers[:5]):
            mine = events().chosen((events().customer == customer) & (events().day >= fold.now))
            basket = fold.taken.product[fold.taken.starts[place] : fold.taken.starts[place + 1]]
            assert sorted(basket) == sorted(mine.product[mine.day == mine.day.min()])


def test_candidates_have_sources_and_come_once(fitted: Recommender) -> None:
    asked = fitted.profiles(np.arange(20, dtype=np.int32))
    found = fitted.candidates(asked)
    for row in found.product:
        assert np.unique(row[row != NOTHING]).size == (row != NOTHING).sum()
    assert all(found.source_names(3, place) for place in np.flatnonzero(found.product[3] != NOTHING))
    assert set(found.source_names(3, 0)) <= set(GENERATORS)
    own = {"own" in found.source_names(3, place) for place in np.flatnonzero(found.is_own[3])}
    assert own == {True}


def test_lists_hold_the_habit_and_are_the_same_one_by_one(fitted: Recommender) -> None:
    every = lists(fitted)
    habit = np.array([np.searchsorted(fitted.products, f"p{c % 3 * 10 + c % 10:02}") for c in range(90)])
    assert (every[:, 0] == habit).mean() > 0.8
    for customer in (0, 41):
        asked = fitted.profiles(np.array([customer], np.int32))
        found = fitted.candidates(asked)
        assert best_lists(found, fitted.rank(found, asked), 5)[0][0].tolist() == every[customer].tolist()


def test_files_give_the_same_ranker(fitted: Recommender, tmp_path: Path) -> None:
    asked = fitted.profiles(np.arange(20, dtype=np.int32))
    found = fitted.candidates(asked)
    again = replace(fitted, ranker=read_ranker(fitted.ranker.name, write_trees(fitted.ranker, tmp_path), tmp_path))
    assert again.rank(found, asked).tolist() == fitted.rank(found, asked).tolist()


def test_new_products_change_places_among_each_other_by_ease_and_own_ones_keep_theirs(fitted: Recommender) -> None:
    asked = fitted.profiles(np.arange(20, dtype=np.int32))
    found = fitted.candidates(asked)
    by_ranker = np.random.default_rng(3).normal(size=found.product.shape).astype(np.float32)
    assert with_ease(by_ranker, found, 0.0) is by_ranker
    moved, is_new = with_ease(by_ranker, found, 1e6), ~found.is_own & (found.product != NOTHING)
    assert (moved[~is_new] == by_ranker[~is_new]).all()
    for row in range(20):
        new = is_new[row]
        by_ease = np.lexsort((-by_ranker[row][new], -found.scores["ease"][row][new]))
        assert moved[row][new][by_ease].tolist() == sorted(by_ranker[row][new].tolist(), reverse=True)


def test_scores_of_recent_products_are_sums_over_neighbours_weighted_by_age(fitted: Recommender) -> None:
    asked = fitted.profiles(np.arange(15, dtype=np.int32))
    product = fitted.candidates(asked).product
    n, codes = fitted.products.size, np.where(product == NOTHING, 0, product)
    found = dict(zip(RECENT, recent_scores(asked, fitted.tables, codes), strict=True))
    rows, last = np.arange(15)[:, None], asked.last == asked.latest[asked.owner()]
    for name, weight in (("recent", np.exp(-asked.last / 60)), ("last_basket", last)):
        for table in ("ease", "walks"):
            expected = asked.matrix(n, weight.astype(np.float32)).toarray() @ getattr(fitted.tables, table).toarray()
            np.testing.assert_allclose(found[f"{table}_{name}"], expected[rows, codes], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_tables_and_candidates_are_the_same_bits_with_any_number_of_threads() -> None:
    """Products enough for OpenBLAS to share a multiplication out."""
    rng = np.random.default_rng(5)
    customer, product = rng.integers(0, 300, 9_000), rng.integers(0, 900, 9_000)
    known = history(interactions(customer.astype(str), product.astype(str), None), 0.0)
    found: list[bytes] = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            tables = tables_of(known, CONFIG.generators, seed=0)
            asked = known.profiles.of(np.arange(200))
            made = scores(asked, tables, known.of_products, CONFIG.generators)["factors"]
            found.append(
                tables.factors.tobytes() + tables.ease.data.tobytes() + made.take(np.arange(900)[None]).tobytes()
            )
    assert found[0] == found[1]


def test_what_is_not_better_than_frequency_is_refused() -> None:
    rng = np.random.default_rng(1)
    frequency = rng.random(400)
    noise, better = frequency + rng.normal(0, 0.2, 400), frequency + 0.05 + rng.normal(0, 0.1, 400)
    assert choose({"frequency": frequency, "fused": noise - noise.mean() + frequency.mean()}, 0.5).name == "frequency"
    assert choose({"frequency": frequency, "xgboost_ndcg": better}, 0.5).name == "xgboost_ndcg"


def test_neighbour_tables_are_those_of_the_formulas() -> None:
    owned = history(events(), 160.0).profiles.matrix(events().products.size)
    dense = owned.toarray().astype(float)
    inverse = np.linalg.inv(dense.T @ dense + 50 * np.eye(dense.shape[1]))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease(owned, penalty=50.0).toarray(), expected, atol=1e-5)
    assert np.diff(ease(owned, penalty=50.0, keep=4).indptr).max() == 4
    common, count = dense.T @ dense, dense.sum(axis=0)
    cosine = common / (np.sqrt(np.outer(count, count)) + 10)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(item_knn(owned, shrink=10.0).toarray(), cosine, atol=1e-5)
    walks = (dense / count).T @ (dense / dense.sum(axis=1, keepdims=True)) / count**0.5
    np.fill_diagonal(walks, 0)
    np.testing.assert_allclose(rp3beta(owned, alpha=1.0, beta=0.5).toarray(), walks, atol=1e-5)


def test_recall_and_ndcg_of_a_list_by_hand() -> None:
    taken = targets(np.array([0, 0, 1], np.int32), np.array([3, 5, 2], np.int32))
    hit = hits(np.array([[5, 1, NOTHING], [1, 0, 4]], np.int32), taken, 10)
    assert recall(hit, taken.sizes()).tolist() == [0.5, 0.0]
    assert ndcg(hit, taken.sizes()).tolist() == [pytest.approx(1 / (1 + 1 / np.log2(3))), 0.0]


def test_diversity_is_the_share_of_pairs_of_different_kinds() -> None:
    lists = np.array([[0, 1, 2], [0, 3, NOTHING], [4, NOTHING, NOTHING]], np.int32)
    assert diversity(lists, np.array([0, 0, 1, -1, 1])) == pytest.approx((2 / 3 + 1) / 2)
    assert diversity(lists[2:], np.array([0, 0, 1, -1, 1])) == 0


def test_wants_order_the_candidates_by_their_weight_which_is_saved(fitted: Recommender, tmp_path: Path) -> None:
    asked = fitted.profiles(np.arange(5, dtype=np.int32))
    found = fitted.candidates(asked)
    features = ranker_features(found, asked, fitted.of_products, fitted.tables)
    rows = TrainingRows(features.reshape(-1, features.shape[2]), found.is_own.ravel().astype(np.int8), np.full(5, 25))
    config = RankerConfig(rounds=2, wants_weight=3.0)
    trained = RankerPart(fitted_rankers(["xgboost_wants"], rows, config, seed=0)["xgboost_wants"])
    again = RankerPart.read(tmp_path, trained.save(tmp_path), {}).ranker
    wants = np.exp(np.arange(found.product.size, dtype=np.float32) * 2 % 9).reshape(found.product.shape)
    plain, moved = (again.scores(one, features, fitted.of_products) for one in (found, replace(found, wants=wants)))
    np.testing.assert_allclose(moved - plain, 3 * np.log(wants), rtol=1e-4, atol=1e-5)
    few = replace(found, wants=wants).take(np.array([3, 1])).wants
    assert few is not None
    assert few.tolist() == wants[[3, 1]].tolist()
