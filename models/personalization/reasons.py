"""Why a product is in a list: the generators that named it, and a reason in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.personalization.block import Block
from models.personalization.known import Known
from models.recommend.sparse import Sparse

#: Source of a product of this visit.
VISIT = "visit"
_POPULAR = "popular"


def reasons(
    known: Known, country: str, context: Mapping[str, Any], ranked: Mapping[str, Any], places: NDArray[np.int64]
) -> list[tuple[str, str]]:
    """Return the source of each product of a list, and the reason in words.

    Args:
        known: the day.
        country: of the customer, "" if not known.
        context: of the visit (`models.personalization.fields.CONTEXT`).
        ranked: candidates (`RANKED`); without `places` they are popular ones.
        places: of the products of the list among the candidates.
    """
    popular = f"popular in {country}" if country else "popular"
    if ranked["places"] is None:
        return [(_POPULAR, popular)] * len(places)
    return _Of(known, ranked, context, popular).all(places)


class _Of:
    """Reasons of one request."""

    def __init__(self, known: Known, ranked: Mapping[str, Any], context: Mapping[str, Any], popular: str) -> None:
        self._known, self._ranked, self._popular = known, ranked, popular
        self._block: Block = ranked["block"]
        self._row: int = ranked["row"]
        self._visited = set(context["products"])
        asked = self._block.asked
        begin, end = asked.starts[self._row], asked.starts[self._row + 1]
        self._own: NDArray[np.int32] = asked.product[begin:end]
        self._pairs = {int(code): int(begin) + at for at, code in enumerate(self._own.tolist())}

    def all(self, places: NDArray[np.int64]) -> list[tuple[str, str]]:
        """Return source and reason of each candidate."""
        products, candidates = self._ranked["products"][places], self._ranked["places"][places]
        beside = self._bought_beside(products)
        found: list[tuple[str, str]] = []
        for code, place, other in zip(products.tolist(), candidates.tolist(), beside, strict=True):
            if code in self._visited:
                found.append((VISIT, "looked at in this visit"))
            else:
                names = self._block.found.source_names(self._row, place)
                found.append(("+".join(names), self._says(code, names, other)))
        return found

    def _says(self, code: int, names: tuple[str, ...], beside: int) -> str:
        if code in self._pairs:
            asked, pair = self._block.asked, self._pairs[code]
            return f"chosen {_times(int(asked.count[pair]))}, last {_ago(int(asked.last[pair]))}"
        if beside >= 0 and {"ease", "walks", "knn"} & set(names):
            return f"goes with {self._known.offers.ids[beside]}, chosen before"
        if "factors" in names:
            return "near to what was chosen before"
        if "taste" in names:
            return "of a kind that was looked at before"
        return "new in the shop" if "new" in names else self._popular

    def _bought_beside(self, products: NDArray[np.int64]) -> list[int]:
        """Return the own product that speaks most for each product, -1 where none does."""
        if not self._own.size or not len(products):
            return [-1] * len(products)
        weights = block_of_rows(self._block.tables.ease, self._own, products)
        best = weights.argmax(axis=0)
        return np.where(weights.max(axis=0) > 0, self._own[best], -1).tolist()


def block_of_rows(table: Sparse, rows: NDArray[np.int32], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return `table[rows][:, columns]` of distinct columns as an array; scipy's costs a list ten times as much."""
    slot = np.full(table.shape[1], len(columns))  # the column after the last one takes what was not asked for
    slot[columns] = np.arange(len(columns))
    found = np.zeros((len(rows), len(columns) + 1), np.float32)
    for place, row in enumerate(rows.tolist()):
        begin, end = table.indptr[row], table.indptr[row + 1]
        found[place, slot[table.indices[begin:end]]] = table.data[begin:end]
    return found[:, :-1]


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _ago(days: int) -> str:
    return "yesterday" if days == 1 else f"{days} days ago"
