"""Tables become DataFrames without a value being changed."""

from datetime import UTC, date, datetime

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.frames import frame, table

COLUMNS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 255),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=5).filter(lambda text: text.isprintable()),
    pa.float64(): st.floats(allow_nan=False),
    pa.date32(): st.dates(date(1970, 1, 1), date(2200, 1, 1)),
    pa.timestamp("us", "UTC"): st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
}


@pytest.mark.slow
@given(st.data(), st.sampled_from(list(COLUMNS)), st.booleans())
def test_every_value_comes_through_with_and_without_gaps(data: st.DataObject, kind: pa.DataType, gaps: bool) -> None:
    values = data.draw(st.lists(COLUMNS[kind] | st.none() if gaps else COLUMNS[kind], max_size=6))
    found = frame(pa.table({"one": pa.array(values, kind), "two": pa.array(range(len(values)))}))
    assert list(found.columns) == ["one", "two"]
    assert pa.array(found["one"], from_pandas=True).cast(kind).to_pylist() == values
    assert table(found)["two"].to_pylist() == list(range(len(values)))


def test_an_index_is_no_column() -> None:
    assert table(pd.DataFrame({"id": ["a"]}, index=["x"])).column_names == ["id"]


def test_an_empty_table_keeps_its_columns() -> None:
    assert list(frame(pa.schema([("a", pa.int64()), ("b", pa.string())]).empty_table()).columns) == ["a", "b"]
