"""Merged candidates are those of the plain definition on whole tables of customers times products, to the bit."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.personalization.config import PartsConfig
from models.personalization.reasons import block_of_rows
from models.personalization.tables import Items, items_of
from models.recommend.config import GeneratorName, GeneratorsConfig
from models.recommend.generators import GENERATORS, NO_SCORE, OwnScores, Scores, SharedScores, Tables, scores
from models.recommend.history import ProductNumbers, Profiles, history
from models.recommend.interactions import Interactions
from models.recommend.merging import Candidates, merged
from models.recommend.neighbours import no_neighbours
from models.recommend.ranking_metrics import NOTHING
from models.settings import PersonalizationSettings

Tensor = NDArray[np.float32]
Values = dict[GeneratorName, Tensor]


def plain(values: Values, owned: NDArray[np.bool_], config: GeneratorsConfig, n: int) -> Candidates:
    """Return the candidates by whole tables: rank, sum of 1 / (60 + rank), own products first."""
    fused, sources = np.zeros(owned.shape, np.float32), np.zeros(owned.shape, np.uint8)
    ranks: Values = {name: np.zeros(owned.shape, np.float32) for name in GENERATORS}
    for bit, name in enumerate(GENERATORS):
        count = min(config.limits()[name], owned.shape[1])
        if count == 0 or name not in values:
            continue
        none = (
            ~owned.any(axis=1, keepdims=True) if name in ("ease", "walks", "factors", "knn") else np.zeros((1, 1), bool)
        )
        best, there = best_of(np.where(owned & (name != "own") | none, NO_SCORE, values[name]), count)
        for row, column in zip(*there.nonzero(), strict=True):
            place = best[row, column]
            ranks[name][row, place] = column + 1
            fused[row, place] += np.float32(1) / np.float32(61 + column)
            sources[row, place] |= 1 << bit
    first = np.where(sources & 1 << GENERATORS.index("own") > 0, fused + np.float32(1), fused)
    chosen, there = best_of(np.where(sources > 0, first, NO_SCORE), min(n, owned.shape[1]))

    def taken(table: NDArray) -> NDArray:
        return np.take_along_axis(table, chosen, axis=1)

    product = np.where(there, chosen, NOTHING).astype(np.int32)
    of: Values = {name: taken(each) for name, each in values.items()}
    ranked: Values = {name: taken(each) for name, each in ranks.items()}
    return Candidates(product, taken(sources), taken(fused), of, ranked, taken(owned))


def best_of(values: Tensor, count: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the places of the highest values; ties at the last place fall as numpy parts the whole row."""
    places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    if count < values.shape[1]:
        places = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    return places, np.isfinite(np.take_along_axis(values, places, axis=1))


def random_scores(rng: np.random.Generator, shape: tuple[int, int]) -> Tensor:
    """Return scores with ties, a few of them NaN or without a score."""
    found = rng.integers(-2, rng.choice([3, 500]), shape).astype(np.float32)
    for strange in (np.nan, NO_SCORE):
        found[rng.random(shape) < rng.choice([0, 0.02, 0.9])] = strange
    return found


def random_profiles(rng: np.random.Generator, customers: int, products: int) -> Profiles:
    """Return the profiles of customers, some of them without any product."""
    has = rng.random((customers, products)) < rng.choice([0, 0.05, 0.5, 1], (customers, 1))
    rows = [each.astype(np.int32) for each in has.nonzero()]
    days = rng.integers(0, 90, rows[0].size).astype(np.float32)
    ids = [np.array([f"{number:03}" for number in range(size)]) for size in (customers, products)]
    return history(Interactions(ids[0], ids[1], rows[0], rows[1], days, is_timed=True), 100.0).profiles


def assert_same(found: Candidates, expected: Candidates) -> None:
    for name in ("product", "sources", "fused", "is_own"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    for name in ("scores", "ranks"):
        assert getattr(found, name).keys() == getattr(expected, name).keys()
        for key, values in getattr(expected, name).items():
            np.testing.assert_array_equal(getattr(found, name)[key], values, strict=True)


@pytest.mark.parametrize("seed", range(120))
def test_candidates_are_those_of_the_plain_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    customers, products = int(rng.integers(1, 6)), int(rng.choice([1, 7, 40, 300]))
    asked = random_profiles(rng, customers, products)
    names: tuple[GeneratorName, ...] = GENERATORS if seed % 3 else tuple(name for name in GENERATORS if name != "taste")
    limits = {name: int(rng.choice([0, 1, 5, 60])) for name in GENERATORS}
    mine, theirs = dict[GeneratorName, Scores](), Values()
    for name in names:
        values, segments = random_scores(rng, (3, products)), rng.integers(0, 3, customers)
        if name in ("popular", "new"):
            order = np.argsort(-values, axis=1, kind="stable").astype(np.int32)
            mine[name], theirs[name] = SharedScores(values, order, segments), values[segments]
        else:
            whole = np.asarray(random_scores(rng, (customers, products)), order="F" if seed % 2 else "C")
            mine[name], theirs[name] = OwnScores(whole), whole
    owned = asked.matrix(products).toarray() > 0
    config, n = GeneratorsConfig(**limits), int(rng.choice([3, 20, 100]))
    assert_same(merged(mine, asked, config, n), plain(theirs, owned, config, n))


def test_sums_of_neighbours_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    asked = random_profiles(rng, 9, 50)
    table = csr_array(rng.normal(size=(50, 50)).astype(np.float32) * (rng.random((50, 50)) < 0.3))
    factors, popular, new = (rng.normal(size=shape).astype(np.float32) for shape in ((50, 4), (2, 50), (50,)))
    made, share = Tables(table, table, table, factors, popular, new), np.ones(50, np.float32)
    expected = (asked.matrix(50) @ table).toarray()
    found = scores(asked, made, ProductNumbers(*[share] * 7), GeneratorsConfig(knn=5))
    for name in ("ease", "knn"):
        np.testing.assert_array_equal(found[name].take(np.tile(np.arange(50), (9, 1))), expected, strict=True)
    old = replace(made, knn=no_neighbours(50))
    for tables, config in ((made, GeneratorsConfig()), (old, GeneratorsConfig(knn=5))):
        assert "knn" not in scores(asked, tables, ProductNumbers(*[share] * 7), config)
    rows, columns = asked.product[:6], rng.permutation(50)[:20]
    np.testing.assert_array_equal(block_of_rows(table, rows, columns), table[rows][:, columns].toarray(), strict=True)


def test_an_index_keeps_the_neighbours_of_each_table_and_one_of_an_earlier_release_has_none_by_item_knn() -> None:
    ids, rng = ["a", "b", "c"], np.random.default_rng(1)
    tables = [csr_array(np.round(rng.random((3, 3)), 3).astype(np.float32)) for _ in range(3)]
    vectors = np.ones((3, 2), np.float32)
    kept = Items(ids, vectors, *tables).documents()
    found = items_of({"id": ids, "neighbours": kept}, vectors)
    for name, table in zip(("ease", "walks", "knn"), tables, strict=True):
        np.testing.assert_allclose(getattr(found, name).toarray(), table.toarray(), rtol=1e-5)
    earlier = [json.dumps({name: rows for name, rows in json.loads(text).items() if name != "knn"}) for text in kept]
    assert items_of({"id": ids, "neighbours": earlier}, vectors).knn.nnz == 0


def test_the_index_has_a_table_of_item_knn_where_a_variant_asks_for_it() -> None:
    asking = PartsConfig(generators={"cosine": GeneratorsConfig(knn=60)})
    assert (PersonalizationSettings().tables.knn, PersonalizationSettings(parts=asking).tables.knn) == (0, 60)
