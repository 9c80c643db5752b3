"""The rows that Feast pushes one by one, as the columns that a bulk online store takes."""

# Feast's protobufs are only partly typed.
# pyright: basic

from collections.abc import Iterable, Iterator
from datetime import datetime

import pandas as pd
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.utils import make_tzaware

from models.errors import TesseraError
from models.timestamps import to_epoch_micros
from resources.feature_store.online.bulk_store import EncodedRows

#: What Feast gives to `online_write_batch`: key, features, event time, created time (naive times are UTC).
PushedRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
#: Older than any created time.
_NEVER_US = -(2**63)


def pushed_columns(data: Iterable[PushedRow]) -> Iterator[EncodedRows]:
    """Yield the rows of `data`, for each set of features that occurs; of several rows of one key the newest.

    Raises:
        TesseraError: a row has no event time.
    """
    by_features: dict[tuple[str, ...], dict[bytes, tuple[tuple[int, int], dict[str, Value]]]] = {}
    for key, features, event, created in data:
        newest = by_features.setdefault(tuple(sorted(features)), {})
        name, age = serialize_entity_key(key, 3), _age(event, created)
        if name not in newest or age >= newest[name][0]:
            newest[name] = age, features
    for names, rows in by_features.items():
        ages = [age for age, _ in rows.values()]
        yield EncodedRows(
            entity_keys=list(rows),
            event_timestamps=[event for event, _ in ages],
            created_timestamps=[None if created == _NEVER_US else created for _, created in ages],
            features={name: [features[name].SerializeToString() for _, features in rows.values()] for name in names},
        )


def microseconds(moment: datetime) -> int:
    """µs since 1970, UTC; a moment without a time zone is UTC, as everywhere in Feast."""
    return to_epoch_micros(make_tzaware(moment))


def _age(event: datetime, created: datetime | None) -> tuple[int, int]:
    """Rows that come from a pandas frame say NaT where they mean nothing."""
    if event is pd.NaT:
        raise TesseraError(
            "A row that is written to the online store has no event timestamp.",
            expected="the moment that its values are of",
            todo="Leave the row out, or give it its time.",
        )
    return microseconds(event), _NEVER_US if created is None or created is pd.NaT else microseconds(created)
