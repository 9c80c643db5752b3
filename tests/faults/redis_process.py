"""What the processes of `test_redis_crash` do: write whole rows whose every feature says which write it was."""

# Feast is only partly typed.
# pyright: basic

from typing import Any

from feast.protos.feast.types.Value_pb2 import Value

from resources.feature_store.online import redis as monotonic_redis
from resources.feature_store.online.bulk_store import EncodedRows
from resources.feature_store.online.redis import MonotonicRedisOnlineStore
from tests.unit.feature_store.redis_views import config, key, view

FEATURES = [f"f{number}" for number in range(10)]
WIDE = view("wide", *FEATURES)
NAMES = [f"customer-{number}" for number in range(5_000)]
KEYS = [key(name) for name in NAMES]


def rows(number: int, keys: list[bytes] = KEYS) -> EncodedRows:
    """Rows of the event time `number`, with that number in every feature."""
    cells = [Value(int64_val=number).SerializeToString()] * len(keys)
    return EncodedRows(keys, [number] * len(keys), [number] * len(keys), dict.fromkeys(FEATURES, cells))


def write(url: str, numbers: list[int], start: Any) -> None:
    """One write of all keys for each of the numbers, in their order."""
    store, settings = MonotonicRedisOnlineStore(), config(url)
    assert start.wait(60)
    for number in numbers:
        store.write_rows(settings, WIDE, rows(number))


def write_forever(url: str, first: int) -> None:
    """Ever newer rows, until somebody ends the process; few at a time, so that it ends between two of them."""
    monotonic_redis._CALLS_PER_TRIP = 1
    store, settings, number = MonotonicRedisOnlineStore(), config(url), first
    while True:
        store.write_rows(settings, WIDE, rows(number))
        number += 1
