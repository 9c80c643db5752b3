"""Item tables of the recommender: neighbours and vectors of products, as an index version holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.personalization.known import Known
from models.recommend.config import GeneratorsConfig
from models.recommend.generators import NO_SCORE, Tables, tables_of
from models.recommend.history import RECENT_DAYS
from models.recommend.sparse import Sparse

# scipy's sparse arrays have no static types.
# pyright: basic

Vectors = NDArray[np.float32]
#: Neighbour tables of an index version.
NEIGHBOURS = ("ease", "walks", "knn")
#: Penalty of the regression of vectors on texts.
_TEXT_PENALTY = 1.0


class ItemTables(Protocol):
    """Gives the tables over the products of a day."""

    def over(self, known: Known) -> Tables:
        """Return the tables by the product codes of `known`; products that they do not know have none."""
        ...


@dataclass(frozen=True)
class Items:
    """Rows of an index version.

    Attributes:
        ids: of the products, ascending.
        vectors: of each, for dot products, shape `(n, size)`.
        ease: neighbours of each: id -> weight.
        walks: the same by random walks.
        knn: the same by item-kNN.
    """

    ids: Sequence[str]
    vectors: Vectors
    ease: Sparse
    walks: Sparse
    knn: Sparse

    def documents(self) -> list[str]:
        """Return the neighbours of each product as JSON: what an index row carries beside its vector."""
        tables, ids = {name: getattr(self, name) for name in NEIGHBOURS}, [*self.ids]
        return [
            json.dumps({name: _neighbours(table, row, ids) for name, table in tables.items()}, sort_keys=True)
            for row in range(len(ids))
        ]

    def over(self, known: Known) -> Tables:
        """Return the tables by the product codes of `known`."""
        places = np.array([known.places.get(id, -1) for id in self.ids], dtype=np.int64)
        there, n = places >= 0, known.offers.ids.size
        vectors = np.zeros((n, self.vectors.shape[1]), np.float32)
        vectors[places[there]] = self.vectors[there]
        ease, walks, knn = (_recoded(getattr(self, name), places, n) for name in NEIGHBOURS)
        return Tables(ease, walks, knn, vectors, known.popularity, _new(known))


def made_items(known: Known, config: GeneratorsConfig, texts: Vectors | None, *, seed: int = 0) -> Items:
    """Return the tables as of the end of a day.

    Args:
        known: the day.
        config: sizes and penalties.
        texts: vectors of the products' names; products without interactions get vectors from them. None: they get none.
        seed: of the factors.
    """
    tables = known_tables(known, config, seed=seed)
    vectors = tables.factors if texts is None else with_cold(tables.factors, texts)
    return Items(known.offers.ids.tolist(), vectors, tables.ease, tables.walks, tables.knn)


def known_tables(known: Known, config: GeneratorsConfig, *, seed: int = 0) -> Tables:
    """Return the tables of a day by its own product codes, as training uses them."""
    made = tables_of(known.history, config, seed=seed, popular=known.popularity)
    return replace(made, new=_new(known))


def with_cold(factors: Vectors, texts: Vectors) -> Vectors:
    """Return the factors; products without any have them from texts, by ridge regression on those that have both."""
    has = np.asarray(factors.any(axis=1))
    if has.all() or not has.any():
        return factors
    inputs, known = texts[has].astype(np.float64), factors[has].astype(np.float64)
    left = inputs.T @ inputs + _TEXT_PENALTY * np.eye(inputs.shape[1])
    weights = np.linalg.solve(left, inputs.T @ known)
    return np.where(has[:, None], factors, texts @ weights).astype(np.float32)


def items_of(rows: Mapping[str, Any], vectors: Vectors) -> Items:
    """Return the tables of an index version.

    Args:
        rows: columns `id` and `neighbours` (JSON, as `Items.documents` makes it).
        vectors: of each row.
    """
    ids, parsed = list(rows["id"]), [json.loads(text) for text in rows["neighbours"]]
    place = {id: at for at, id in enumerate(ids)}
    # An index of an earlier release has no neighbours by item-kNN.
    ease, walks, knn = (_table([one.get(name, {}) for one in parsed], place) for name in NEIGHBOURS)
    return Items(ids, vectors, ease, walks, knn)


def _new(known: Known) -> NDArray[np.float32]:
    """Return the score of products that are new: baskets per day; products of no one count by their launch."""
    of = known.history.of_products
    age = known.now - known.offers.launched
    age = np.where(np.isnan(age), of.first, age)
    return np.where(age <= RECENT_DAYS, of.count / np.maximum(age, 1), NO_SCORE).astype(np.float32)


def _neighbours(table: Sparse, row: int, ids: list[str]) -> dict[str, float]:
    begin, end = table.indptr[row], table.indptr[row + 1]
    return {
        ids[column]: float(f"{value:.6g}")
        for column, value in zip(table.indices[begin:end].tolist(), table.data[begin:end].tolist(), strict=True)
    }


def _table(rows: Sequence[Mapping[str, float]], place: Mapping[str, int]) -> Sparse:
    from scipy.sparse import csr_array

    kept = [{place[id]: value for id, value in row.items() if id in place} for row in rows]
    starts = np.r_[0, np.cumsum([len(row) for row in kept])]
    columns = np.fromiter((column for row in kept for column in row), np.int32, int(starts[-1]))
    values = np.fromiter((value for row in kept for value in row.values()), np.float32, int(starts[-1]))
    found = csr_array((values, columns, starts), shape=(len(rows), len(rows)))
    found.sort_indices()
    return found


def _recoded(table: Sparse, places: NDArray[np.int64], n: int) -> Sparse:
    from scipy.sparse import coo_array

    coo = table.tocoo()
    row, column = places[coo.coords[0]], places[coo.coords[1]]
    kept = (row >= 0) & (column >= 0)
    return coo_array((coo.data[kept], (row[kept], column[kept])), shape=(n, n)).tocsr()
