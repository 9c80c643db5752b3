"""The index of products: vectors for dot products and, under the same version, neighbour tables. Plain functions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
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
    """Return the index that is served from now on: vectors and neighbours of every product as of the end of a day.

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
    plan = VectorIndexPlan(COLLECTION, _spec(config, items.vectors.shape[1]), embedder.embed)
    return build_index(store, _rows(items, names, known.day), plan)


def _rows(items: Items, names: list[str], day: date) -> pa.Table:
    size = items.vectors.shape[1]
    moment = datetime.combine(day, time(), UTC)
    columns: dict[str, Any] = {
        "id": pa.array(items.ids, pa.string()),
        "text": pa.array(names, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(items.vectors.ravel()), size),
        "neighbours": pa.array(items.documents(), pa.string()),
        "as_of": pa.array([moment] * len(items.ids), pa.timestamp("us", "UTC")),
    }
    return pa.table(columns)


def _spec(config: GeneratorsConfig, size: int) -> IndexSpec:
    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()
    space = VectorSpace(embedder="als", digest=digest, dimension=size, metric="dot")
    return IndexSpec(space=space, payload={"neighbours": "document", "as_of": "timestamp"}, tokenizer="")


@dataclass(frozen=True, eq=False)
class ServedItems:
    """The version of the index that is served when it is first asked for, read once: `ItemTables`."""

    store: Vectors

    @property
    def version(self) -> str:
        """Number of the version that is served now.

        Raises:
            TesseraError: none is.
        """
        return str(self._number)

    def over(self, known: Known) -> Tables:
        """Return the tables by the product codes of `known`."""
        return self._tables(known)

    @cached_property
    def _number(self) -> int:
        return self.store.version(COLLECTION).number

    @cached_property
    def _tables(self) -> Any:
        return lru_cache(maxsize=2)(self._over)

    def _over(self, known: Known) -> Tables:
        return self._items.over(known)

    @cached_property
    def _items(self) -> Items:
        from models.personalization.tables import items_of
        from models.vectors.rows import vectors_of

        rows = self.store.rows(COLLECTION, self._number)
        columns = {name: rows[name].to_pylist() for name in ("id", "neighbours")}
        return items_of(columns, vectors_of(rows))
