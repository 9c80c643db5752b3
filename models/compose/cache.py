"""Values of steps by content and version."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from models.compose.batch import Batch
from models.compose.call import Cache
from models.compose.fields import Column, Fields


class MemoryCache:
    """The values that were used last, in memory; safe to use from several threads."""

    def __init__(self, max_entries: int = 100_000) -> None:
        self._max_entries = max_entries
        self._values: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Return the values of the keys that it holds."""
        with self._lock:
            found = {key: self._values[key] for key in keys if key in self._values}
            for key in found:
                self._values.move_to_end(key)
        return found

    def put(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep values; the ones that were not used for longest go."""
        with self._lock:
            self._values.update(values)
            while len(self._values) > self._max_entries:
                self._values.popitem(last=False)


def keys_of(step: str, batch: Batch, takes: Fields) -> list[str]:
    """Return a key of each record: of the step, its version, and the content of the fields that it takes."""
    parts = [_bytes(batch[name]) for name in sorted(takes.types)]
    start = hashlib.blake2b(step.encode(), digest_size=20)
    keys: list[str] = []
    for row in range(batch.n):
        digest = start.copy()
        for part in parts:
            content = part[row]
            # With its length in front, so that no two records run together to the same bytes.
            digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)
        keys.append(digest.hexdigest())
    return keys


def read(cache: Cache, keys: Sequence[str], gives: Fields) -> dict[str, Mapping[str, Any]]:
    """Return values that hold every field of `gives`; others are of an older contract."""
    found = cache.get(list(dict.fromkeys(keys)))
    return {key: values for key, values in found.items() if values.keys() >= gives.types.keys()}


def write(cache: Cache, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep values, if there are any."""
    if values:
        cache.put(values)


def _bytes(column: Column) -> list[bytes]:
    if column.dtype == object:
        return [f"{type(one).__name__}:{one!r}".encode("utf-8", "surrogatepass") for one in column]
    return [row.tobytes() for row in column]
