"""Columns against Feast's own conversions: the same bytes in, the same values out."""

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from feast import types
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.types import FeastType, from_feast_to_pyarrow_type
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.feature_store.online import encoding
from resources.feature_store.online.cells import read_doubles, reader
from resources.feature_store.online.encoding import decoded, encoded, entity_keys

FIRST, LAST = dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)
DAYS = st.dates(FIRST.date(), LAST.date())
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-200, 200)
DOUBLES = st.floats() | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1e308])
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.integers(125, 130).map("é".__mul__)
#: name -> Feast type, Arrow type, values
COLUMNS: dict[str, tuple[FeastType, pa.DataType, st.SearchStrategy[Any]]] = {
    "Float64": (types.Float64, pa.float64(), DOUBLES),
    "Float64 from integers": (types.Float64, pa.int64(), st.integers(-(2**53), 2**53)),
    "Float32": (types.Float32, pa.float32(), st.floats(width=32)),
    "Float32 from doubles": (types.Float32, pa.float64(), DOUBLES),
    "Int64": (types.Int64, pa.int64(), INT64),
    "Int64 from int8": (types.Int64, pa.int8(), st.integers(-128, 127)),
    "Int64 from uint64": (types.Int64, pa.uint64(), st.integers(0, 2**63 - 1)),
    "Int32": (types.Int32, pa.int32(), INT32),
    "Int32 from int64": (types.Int32, pa.int64(), INT32),
    "Bool": (types.Bool, pa.bool_(), st.booleans()),
    "String": (types.String, pa.string(), TEXTS),
    "String from large_string": (types.String, pa.large_string(), TEXTS),
    "String from dictionary": (types.String, pa.dictionary(pa.int32(), pa.string()), TEXTS),
    "String from integers": (types.String, pa.int64(), INT64),
    "Bytes": (types.Bytes, pa.binary(), st.binary(max_size=300)),
    "PdfBytes": (types.PdfBytes, pa.large_binary(), st.binary(max_size=300)),
    "UnixTimestamp": (types.UnixTimestamp, pa.timestamp("us", "UTC"), st.datetimes(FIRST, LAST)),
    "UnixTimestamp, naive ns": (types.UnixTimestamp, pa.timestamp("ns"), st.datetimes(FIRST, LAST)),
    "UnixTimestamp from days": (types.UnixTimestamp, pa.date32(), DAYS),
    "Uuid": (types.Uuid, pa.string(), st.uuids().map(str)),
    "TimeUuid": (types.TimeUuid, pa.string(), st.uuids().map(str)),
    "Decimal": (types.Decimal, pa.string(), st.decimals(allow_nan=False).map(str)),
    "Decimal from decimal128": (types.Decimal, pa.decimal128(9, 4), st.decimals(-9, 9, places=4)),
    "Json": (types.Json, pa.string(), st.sampled_from(['{"a": [1, null]}', "3", '"ü"'])),
    "Array(Float64)": (types.Array(types.Float64), pa.list_(pa.float64()), st.lists(st.floats(-9, 9), min_size=1)),
    "Array(String)": (types.Array(types.String), pa.list_(pa.string()), st.lists(TEXTS, min_size=1)),
    "Map from JSON": (types.Map, pa.string(), st.just('{"a": "b"}')),
    "Map": (types.Map, pa.map_(pa.string(), pa.string()), st.just([("a", "b")])),
    "Struct": (
        types.Struct({"a": types.Int64}),
        pa.struct([("a", pa.int64())]),
        st.fixed_dictionaries({"a": st.integers(-9, 9)}),
    ),
}

READ_AS_COLUMNS = [
    pa.float64(),
    pa.float32(),
    pa.int32(),
    pa.int64(),
    pa.bool_(),
    pa.string(),
    pa.binary(),
    pa.timestamp("us", "UTC"),
]


def feasts(column: pa.Array, dtype: FeastType) -> list[bytes]:
    """What Feast's engine writes for this column."""
    values = column.to_numpy(zero_copy_only=False)
    if pa.types.is_map(column.type):  # Feast takes dictionaries, and refuses what Arrow makes of a map
        values = [pairs and dict(pairs) for pairs in values]
    values = python_values_to_proto_values(values, dtype.to_value_type())
    return [value.SerializeToString() for value in values]


def has_feasts_quirk(column: pa.Array, dtype: FeastType) -> bool:
    """Whether Feast's conversion loses something here that ours keeps; see `encoding`."""
    rounded = dtype in (types.Int64, types.Int32) and column.null_count > 0
    only_empty = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    return rounded or (only_empty and not any(column.to_pylist()))


@pytest.mark.parametrize("name", COLUMNS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_bytes_are_feasts(name: str, data: st.DataObject) -> None:
    dtype, type, values = COLUMNS[name]
    column = pa.array(data.draw(st.lists(values | st.none(), max_size=70)), type)
    if not has_feasts_quirk(column, dtype):
        assert encoded(column, dtype) == feasts(column, dtype)
        halves = pa.chunked_array([column[:3], column[3:]], type)
        assert encoded(halves, dtype) == feasts(column, dtype)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("worth_a_column", [1, 10**9], ids=["columns", "cell by cell"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_decoded_values_are_those_that_feast_reads(name: str, worth_a_column: int, data: st.DataObject) -> None:
    dtype, type, values = COLUMNS[name]
    target = type if isinstance(dtype, types.Struct) else from_feast_type(dtype)
    cells = encoded(pa.array(data.draw(st.lists(values | st.none(), max_size=70)), type), dtype)
    stored = [None if not cell and data.draw(st.booleans()) else cell for cell in cells]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_WORTH_A_COLUMN", worth_a_column)
        array = decoded(stored, target)
    assert array.type == target
    assert repr([*map(reader(target), stored)]) == repr(array.to_pylist())
    assert repr([as_feast(value, dtype) for value in array.to_pylist()]) == repr([read(cell) for cell in cells])


def from_feast_type(dtype: FeastType) -> pa.DataType:
    return pa.binary() if dtype in (types.Bytes, types.PdfBytes) else from_feast_to_pyarrow_type(dtype)


def read(cell: bytes) -> Any:
    """As Feast's client gives it."""
    return feast_value_type_to_python_type(Value.FromString(cell))


def as_feast(value: Any, dtype: FeastType) -> Any:
    """Arrow's Python value as Feast's client gives it."""
    if value is None or isinstance(dtype, types.Struct):
        return value
    if dtype is types.UnixTimestamp:
        return value.astimezone(dt.UTC)
    if dtype is types.Map:
        return dict(value)
    if isinstance(dtype, types.Array):
        return value
    field = {
        types.Uuid: "uuid_val",
        types.TimeUuid: "time_uuid_val",
        types.Decimal: "decimal_val",
        types.Json: "json_val",
    }
    return read(Value(**{field[dtype]: value}).SerializeToString()) if dtype in field else value


def test_integers_beside_nulls_are_exact_where_feasts_are_rounded() -> None:
    column = pa.array([2**53 + 1, None])
    assert decoded(encoded(column, types.Int64), pa.int64()) == column
    assert Value.FromString(feasts(column, types.Int64)[0]).int64_val == 2**53


def test_defaults_are_stored_and_null_and_nan_are_not() -> None:
    assert encoded(pa.array([0.0, math.nan, None]), types.Float64) == [
        Value(double_val=0.0).SerializeToString(),
        b"",
        b"",
    ]
    assert encoded(pa.array(["", None]), types.String) == [Value(string_val="").SerializeToString(), b""]
    assert encoded(pa.array([False, None]), types.Bool) == [Value(bool_val=False).SerializeToString(), b""]
    assert encoded(pa.array([b"", None], pa.binary()), types.Bytes) == [Value(bytes_val=b"").SerializeToString(), b""]


def test_an_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TesseraError, match="2147483648"):
        encoded(pa.array([2**31]), types.Int32)


_EDGES: list[tuple[FeastType, list[Any]]] = [
    (types.Float64, [0.0, -0.0, math.inf, 5e-324, 1e308]),
    (types.Float32, [0.0, 1.5, -math.inf]),
    (types.Int64, [0, 1, 127, 128, 300, 2**63 - 1, -1, -(2**63)]),
    (types.String, ["", "a", "x" * 125, "x" * 126, "x" * 200, "é", "é" * 70]),
    (types.Bool, [True, False]),
]


@pytest.mark.parametrize("type", [pa.float64(), pa.float32(), pa.int64(), pa.string(), pa.bool_()], ids=str)
def test_a_single_cell_is_read_as_in_a_column(type: pa.DataType) -> None:
    """Also one that is damaged, or of another type, which both refuse or both convert."""
    whole = [cell for of, values in _EDGES for cell in encoded(pa.array(values, from_feast_type(of)), of)]
    cut = [cell[:-1] for cell in whole if cell]
    for cell in [
        None,
        b"",
        *whole,
        *cut,
        *(cell + b"\0" for cell in whole),
        *(cell[:1] + b"\x80\x00" for cell in whole),
    ]:
        assert _outcome(lambda cell=cell: reader(type)(cell)) == _outcome(
            lambda cell=cell: decoded([cell], type)[0].as_py()
        )


def _outcome(read_cell: Callable[[], Any]) -> str:
    try:
        return repr(read_cell())
    except TesseraError as error:
        return error.what


@pytest.mark.parametrize("count", [1, 60])
def test_what_was_stored_as_another_type_is_converted_or_refused(count: int) -> None:
    """The definition of a feature changed, and its view is not materialized yet."""
    integers = encoded(pa.array([7] * count), types.Int64)
    assert decoded(integers, pa.float64()) == pa.array([7.0] * count)
    assert decoded(encoded(pa.array([1.5] * count), types.Float32), pa.float64()) == pa.array([1.5] * count)
    with pytest.raises(TesseraError, match="cannot be read"):
        decoded(integers, pa.string())
    with pytest.raises(TesseraError, match="cannot be read"):
        decoded([b"\xff\xff"] * count, pa.int64())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=14), min_size=60, max_size=60), st.sampled_from(READ_AS_COLUMNS))
@pytest.mark.slow
def test_bytes_of_any_shape_are_read_as_protobuf_reads_them(cells: list[bytes], type: pa.DataType) -> None:
    outcomes = []
    for worth_a_column in (1, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(encoding, "_WORTH_A_COLUMN", worth_a_column)
            try:
                outcomes.append(repr(decoded(cells, type).to_pylist()))
            except TesseraError:
                outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


def test_numbers_are_read_at_once_where_each_cell_is_one() -> None:
    one, two = encoded(pa.array([1.5, -2.5]), types.Float64)
    assert read_doubles([one, two]) == (1.5, -2.5)
    for other in (None, b"", one[:-1], one + b"\0", b"\x21" + one[1:]):
        assert read_doubles([one, other]) is None
    assert read_doubles([one[:-1], b"\0" + two]) is None


KEYS: dict[str, tuple[FeastType, pa.DataType, st.SearchStrategy[Any]]] = {
    "Int64": (types.Int64, pa.int64(), INT64),
    "Int32 from int64": (types.Int32, pa.int64(), INT32),
    "String": (types.String, pa.string(), TEXTS),
    "String from integers": (types.String, pa.int64(), INT64),
    "Bytes": (types.Bytes, pa.binary(), st.binary(min_size=1)),
    "UnixTimestamp": (types.UnixTimestamp, pa.timestamp("us", "UTC"), st.datetimes(FIRST, LAST)),
}


@settings(max_examples=30, deadline=None)
@given(data=st.data(), names=st.lists(st.sampled_from(["b", "a", "ä", "customer"]), unique=True, max_size=3))
@pytest.mark.slow
def test_entity_keys_are_feasts(data: st.DataObject, names: list[str]) -> None:
    kinds = [KEYS[data.draw(st.sampled_from(sorted(KEYS)))] for _ in names]
    rows = data.draw(st.lists(st.tuples(*(values for _, _, values in kinds)), min_size=1, max_size=5))
    columns = [pa.array([row[at] for row in rows], type) for at, (_, type, _) in enumerate(kinds)]
    table = pa.table({"other": range(len(rows)), **dict(zip(names, columns, strict=True))})
    dtypes = [dtype for dtype, _, _ in kinds]
    protos = [
        python_values_to_proto_values(column.to_numpy(zero_copy_only=False), dtype.to_value_type())
        for column, dtype in zip(columns, dtypes, strict=True)
    ]
    wanted = [
        serialize_entity_key(EntityKey(join_keys=names, entity_values=[proto[row] for proto in protos]), 3)
        for row in range(len(rows))
    ]
    assert entity_keys(names, table, dtypes) == wanted


def test_a_missing_key_is_refused() -> None:
    with pytest.raises(TesseraError, match="1 of 2 rows have no 'customer'"):
        entity_keys(["customer"], pa.table({"customer": ["a", None]}), [types.String])
