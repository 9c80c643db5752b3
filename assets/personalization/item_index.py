"""The index of products: vectors for dot products and, under the same version, neighbour tables. Plain functions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from models.vectors.spec import IndexSpec, VectorSpace

if TYPE_CHECKING:
    from assets.stages.vector_index.build import BuiltIndex
    from models.personalization.known import Known
    from models.personalization.tables import Items
    from models.recommend.config import GeneratorsConfig
    from models.recommend.generators import Tables
    from models.text.embedder import Embedder
    from resources.vectors.port import Vectors

COLLECTION = "products"


def index_products(store: Vectors, known: Known, config: GeneratorsConfig, embedder: Embedder) -> BuiltIndex:
    """Return the index of a day, served from now on unless that of a later day is: vectors and neighbours of products.

    Products without interactions have vectors from their names.

    Args:
        store: keeps the index.
        known: the day.
        config: sizes and penalties of the tables.
        embedder: of names.

    Raises:
        TesseraError: approximate search finds too little of what exact search finds; the index before is served on.
    """
    from assets.stages.vector_index.build import VectorIndexPlan, build_index
    from models.personalization.tables import made_items

    names = [name or id for name, id in zip(known.offers.name.tolist(), known.offers.ids.tolist(), strict=True)]
    items = made_items(known, config, embedder.embed(names))
    plan = VectorIndexPlan(COLLECTION, _spec(config, items.vectors.shape[1], known.day), embedder.embed)
    return build_index(store, _rows(items, names), plan)


def _rows(items: Items, names: list[str]) -> pa.Table:
    size = items.vectors.shape[1]
    columns: dict[str, Any] = {
        "id": pa.array(items.ids, pa.string()),
        "text": pa.array(names, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(items.vectors.ravel()), size),
        "neighbours": pa.array(items.documents(), pa.string()),
    }
    return pa.table(columns)


def _spec(config: GeneratorsConfig, size: int, day: date) -> IndexSpec:
    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()
    space = VectorSpace(embedder="als", digest=digest, dimension=size, metric="dot")
    return IndexSpec(space=space, payload={"neighbours": "document"}, tokenizer="", day=day)


@dataclass(frozen=True, eq=False)
class IndexedItems:
    """The index as of the day that is asked about, read once (`models.personalization.tables.ItemTables`).

    Attributes:
        store: keeps the index.
        or_served: where only indexes of later days are left, the served one stands in: for requests, which ask about
            the day that was published last.
    """

    store: Vectors
    or_served: bool = False

    def over(self, known: Known) -> Tables:
        """Return the tables by the product codes of `known`.

        Raises:
            TesseraError: there is no index of its day or before, or none at all.
        """
        return self._tables(known)

    @cached_property
    def _tables(self) -> Any:
        return lru_cache(maxsize=2)(self._over)

    def _over(self, known: Known) -> Tables:
        from models.personalization.tables import items_of
        from models.vectors.rows import vectors_of

        rows = self.store.rows(COLLECTION, self._number(known.day))
        columns = {name: rows[name].to_pylist() for name in ("id", "neighbours")}
        return items_of(columns, vectors_of(rows)).over(known)

    def _number(self, day: date) -> int | None:
        versions = self.store.versions(COLLECTION) if self.or_served else ()
        if versions and all(one.spec.day is not None and one.spec.day > day for one in versions):
            return None
        return self.store.version_of(COLLECTION, day).number
