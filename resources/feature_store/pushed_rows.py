"""The rows that Feast pushes one by one, as the columns that a bulk online store takes."""

# Feast's protobufs are only partly typed.
# pyright: basic

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.utils import make_tzaware

from resources.feature_store.online_rows import EncodedRows

#: What Feast gives to `online_write_batch`: key, features, event time, created time (naive times are UTC).
PushedRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Older than any created time.
_NEVER = datetime.min.replace(tzinfo=UTC)


def pushed_columns(data: Iterable[PushedRow]) -> Iterator[EncodedRows]:
    """The rows of `data`, for each set of features that occurs; of several rows of one key the newest."""
    by_features: dict[tuple[str, ...], dict[bytes, PushedRow]] = {}
    for row in data:
        newest = by_features.setdefault(tuple(sorted(row[1])), {})
        key = serialize_entity_key(row[0], 3)
        if key not in newest or _age(row) >= _age(newest[key]):
            newest[key] = row
    for features, rows in by_features.items():
        yield EncodedRows(
            entity_keys=list(rows),
            event_timestamps=[microseconds(event) for _, _, event, _ in rows.values()],
            created_timestamps=[created and microseconds(created) for _, _, _, created in rows.values()],
            features={name: [row[1][name].SerializeToString() for row in rows.values()] for name in features},
        )


def microseconds(moment: datetime) -> int:
    """µs since 1970, UTC; a moment without a time zone is UTC, as everywhere in Feast."""
    return (make_tzaware(moment) - _EPOCH) // timedelta(microseconds=1)


def _age(row: PushedRow) -> tuple[datetime, datetime]:
    return make_tzaware(row[2]), _NEVER if row[3] is None else make_tzaware(row[3])
