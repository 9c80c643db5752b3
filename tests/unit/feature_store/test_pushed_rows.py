"""Rows that Feast pushes become columns: the newest of each key, whatever their order, and NaT is no time."""

# Feast's protobufs are only partly typed.
# pyright: basic

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pandas as pd
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from models.errors import TesseraError
from resources.feature_store.online.pushed_rows import microseconds, pushed_columns

T = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
HOUR = timedelta(hours=1)


def row(key: str, event: Any, created: Any, **features: float) -> Any:
    name = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=key)])
    return name, {feature: Value(double_val=value) for feature, value in features.items()}, event, created


def test_of_several_rows_of_a_key_the_newest_stays_in_any_order() -> None:
    rows = [
        row("a", T, pd.NaT, x=1.0), row("a", T, T, x=2.0), row("a", T, T - HOUR, x=3.0), row("a", T - HOUR, T, x=4.0)
    ]  # fmt: skip
    for given in permutations(rows):
        (found,) = pushed_columns(given)
        assert (found.event_timestamps, found.created_timestamps) == ([-1], [-1])
        assert found.features == {"x": [Value(double_val=2.0).SerializeToString()]}
        assert found.entity_keys == [serialize_entity_key(rows[0][0], 3)]


def test_of_equals_the_last_stays() -> None:
    (found,) = pushed_columns([row("a", T, T, x=1.0), row("a", T, T, x=2.0)])
    assert found.features == {"x": [Value(double_val=2.0).SerializeToString()]}


@pytest.mark.parametrize("missing", [None, pd.NaT])
def test_a_missing_created_is_none(missing: Any) -> None:
    (found,) = pushed_columns([row("a", T, missing, x=1.0)])
    assert found.created_timestamps == [None]


def test_a_missing_event_time_is_refused() -> None:
    with pytest.raises(TesseraError, match="no event timestamp"):
        list(pushed_columns([row("a", T, T, x=1.0), row("b", pd.NaT, T, x=1.0)]))


def test_rows_of_other_features_come_apart() -> None:
    found = list(pushed_columns([row("a", T, T, x=1.0, y=1.0), row("b", T, T, y=2.0, x=2.0), row("a", T, T, x=3.0)]))
    assert [(sorted(one.features), len(one.entity_keys)) for one in found] == [(["x", "y"], 2), (["x"], 1)]


def test_naive_times_are_utc_and_pandas_times_are_times() -> None:
    there: Any = pd.Timestamp(T).tz_convert("Asia/Kolkata")
    for moment in (T, T.replace(tzinfo=None), there):
        assert microseconds(moment) == -1
