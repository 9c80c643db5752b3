"""Values of a step's fields as bytes: JSON, with vectors and timestamps spelled out."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

#: A record of one key, which no record of a step has.
_VECTOR, _TIMESTAMP = "\0vector", "\0timestamp"


def to_bytes(values: Mapping[str, Any]) -> bytes | None:
    """Return the values as bytes, of which `from_bytes` makes equal ones; None if they cannot be kept."""
    try:
        content = json.dumps(values, default=_spelled).encode()
        return content if _is_same(from_bytes(content), dict(values)) else None
    except (TypeError, ValueError, KeyError, RecursionError):
        return None


def from_bytes(content: bytes) -> Mapping[str, Any]:
    """Return the values that `to_bytes` was given."""
    return json.loads(content, object_hook=_read)


def _spelled(value: Any) -> Any:
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return {_VECTOR: base64.b64encode(value.tobytes()).decode(), "dtype": value.dtype.str}
    if isinstance(value, datetime):
        return {_TIMESTAMP: value.isoformat()}
    raise TypeError(type(value).__name__)


def _read(record: dict[str, Any]) -> Any:
    if _VECTOR in record:
        return np.frombuffer(base64.b64decode(record[_VECTOR]), record["dtype"])
    return datetime.fromisoformat(record[_TIMESTAMP]) if _TIMESTAMP in record else record


def _is_same(one: Any, other: Any) -> bool:
    """Return True if both are equal, types included: a tuple, or a number as a key, comes back as another type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one == other or (one != one and other != other)
