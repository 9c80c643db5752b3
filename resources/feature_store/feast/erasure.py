"""Removes an entity from every feature view of an online store."""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Mapping

import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.types import from_feast_to_pyarrow_type

from models.errors import TesseraError, choose_from
from resources.feature_store.online.bulk_store import BulkOnlineStore
from resources.feature_store.online.encoding import entity_keys


def forget_online(feast: FeatureStore, store: OnlineStore, entity: str, id: str) -> tuple[str, Mapping[str, int]]:
    """Return the entity's join key, and the rows removed per feature view; a tombstone is left in each.

    Raises:
        TesseraError: unknown entity, an id that does not fit its type, a view that is keyed by other entities too, or
            a store that cannot delete rows. Then nothing was removed.
    """
    key = _join_key(feast, entity)
    views = [view for view in feast.list_batch_feature_views() if key in view.join_keys]
    for view in views:
        if view.join_keys != [key]:
            raise TesseraError(
                f"The feature view {view.name!r} is keyed by {', '.join(view.join_keys)}, not by {key} alone.",
                expected=f"feature views of {entity!r} alone",
                todo="Remove its rows in its database, or define the view without the other keys.",
            )
    if not isinstance(store, BulkOnlineStore):
        raise TesseraError(
            f"The online store {type(store).__name__} cannot delete single entities.",
            expected="an online store of type sqlite, redis or postgres",
            todo="Change `online_store` of the feature store in stack.yaml, or delete the entity in its database.",
        )
    return key, {view.name: store.forget_rows(feast.config, [view], [_key(view, id)]) for view in views}


def _join_key(feast: FeatureStore, name: str) -> str:
    known = {entity.name: entity for entity in feast.list_entities()}
    if name not in known:
        raise TesseraError(
            f"There is no entity {name!r}.",
            expected=choose_from(name, known),
            todo="Correct the name; feature_repo/entities.py defines them.",
        )
    return known[name].join_key


def _key(view: FeatureView, id: str) -> bytes:
    (column,) = view.entity_columns
    type = from_feast_to_pyarrow_type(column.dtype)
    try:
        value = pa.array([id], pa.string()).cast(type)
    except pa.ArrowInvalid:
        raise TesseraError(
            f"{id!r} cannot be a {column.name}.", expected=f"a value of type {type}", todo="Correct the id."
        ) from None
    return entity_keys([column.name], pa.table({column.name: value}), [column.dtype])[0]
