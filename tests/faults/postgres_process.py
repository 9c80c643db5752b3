"""What the processes of `test_postgres_races` do: write whole rows whose every feature says which write it was."""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Sequence
from typing import Any

from feast import RepoConfig
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64

from resources.feature_store.online.bulk_store import EncodedRows
from resources.feature_store.online.postgres import MonotonicPostgresOnlineStore
from tests.unit.feature_store.postgres_views import key, view

FEATURES = [f"f{number}" for number in range(30)]
WIDE = view("wide", **dict.fromkeys(FEATURES, Int64))
#: More than one transaction of the store.
KEYS = [key(f"customer {number:04}") for number in range(1000)]


def rows(number: int) -> EncodedRows:
    cells = [Value(int64_val=number).SerializeToString()] * len(KEYS)
    return EncodedRows(KEYS, [number] * len(KEYS), [None] * len(KEYS), dict.fromkeys(FEATURES, cells))


def write(place: RepoConfig, numbers: Sequence[int], start: Any) -> None:
    start.wait(60)
    store = MonotonicPostgresOnlineStore()
    for number in numbers:
        store.write_rows(place, WIDE, rows(number))
