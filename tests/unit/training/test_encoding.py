"""From feature columns to matrix columns."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.training.encoding import Encoder

TABLE = pa.table(
    {
        "orders": pa.array([1, None, 3, 4], pa.int64()),
        "spend": pa.array([1.5, 2.5, None, 4.5], pa.float64()),
        "loyal": pa.array([True, None, False, True]),
        "country": pa.array(["DE", "FR", "DE", None]),
    }
)
FEATURES = ["country", "orders", "spend", "loyal"]


def test_numbers_first_then_one_column_per_country_by_frequency() -> None:
    encoder = Encoder.fit(TABLE, FEATURES)
    assert encoder.feature_names == ("orders", "spend", "loyal", "country=DE", "country=FR")
    nan = np.nan
    expected = [[1, 1.5, 1, 1, 0], [nan, 2.5, nan, 0, 1], [3, nan, 0, 1, 0], [4, 4.5, 1, 0, 0]]
    matrix = encoder.matrix(TABLE)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert np.array_equal(matrix, np.array(expected, np.float32), equal_nan=True)


def test_at_most_twelve_countries_ties_by_name() -> None:
    names = [f"C{i:02d}" for i in range(20)]
    table = pa.table({"country": [*reversed(names), "C19", "C19", "C18"]})
    chosen = Encoder.fit(table, ["country"]).categories["country"]
    assert chosen == ("C19", "C18", *names[:10])


def test_a_reused_buffer_keeps_nothing_of_the_batch_before() -> None:
    encoder = Encoder.fit(TABLE, FEATURES)
    buffer = np.full((10, 5), 99, np.float32)
    assert encoder.transform(TABLE, buffer) == 4
    second = TABLE.slice(1, 2).to_batches()[0]
    assert encoder.transform(second, buffer) == 2
    assert np.array_equal(buffer[:2], encoder.matrix(TABLE.slice(1, 2)), equal_nan=True)
    assert (buffer[4:] == 99).all()


def test_rare_and_new_countries_are_zeros_and_counted_null_is_not() -> None:
    encoder = Encoder.fit(TABLE, FEATURES, max_categories=1)
    rows = TABLE.set_column(3, "country", pa.array(["XX", "FR", "DE", None]))
    assert encoder.matrix(rows)[:, 3].tolist() == [0, 0, 1, 0]
    assert encoder.unseen(rows) == {"country": 2}
    assert encoder.unseen(rows.to_batches()[0]) == {"country": 2}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_any_arrow_type_is_the_same(kind: pa.DataType) -> None:
    other = TABLE.set_column(3, "country", TABLE["country"].cast(kind))
    encoder = Encoder.fit(other, FEATURES)
    assert encoder == Encoder.fit(TABLE, FEATURES)
    assert np.array_equal(encoder.matrix(other), encoder.matrix(TABLE), equal_nan=True)


def test_survives_json() -> None:
    encoder = Encoder.fit(TABLE, FEATURES)
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["spend"]), "no column 'spend'"),
        (lambda t: t.drop_columns(["country"]), "no column 'country'"),
        (lambda t: t.set_column(1, "spend", pa.array(["a"] * 4)), "'spend' is text"),
    ],
)
def test_rows_unlike_the_training_rows_are_refused(change: object, message: str) -> None:
    encoder = Encoder.fit(TABLE, FEATURES)
    with pytest.raises(TesseraError, match=message):
        encoder.matrix(change(TABLE))  # pyright: ignore[reportCallIssue]


def test_a_feature_that_is_neither_number_nor_text_is_refused() -> None:
    with pytest.raises(TesseraError, match="timestamp"):
        Encoder.fit(pa.table({"t": pa.array([0], pa.timestamp("us"))}), ["t"])


def test_a_buffer_that_is_too_small_is_refused() -> None:
    with pytest.raises(TesseraError, match="buffer"):
        Encoder.fit(TABLE, FEATURES).transform(TABLE, np.empty((3, 5), np.float32))


@given(st.lists(st.one_of(st.none(), st.floats(-1e30, 1e30))), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_chunks_and_slices_do_not_matter(values: list[float | None], size: int) -> None:
    table = pa.table({"x": pa.array(values, pa.float64())})
    encoder = Encoder(("x",), {})
    whole = encoder.matrix(table)
    pieces = pa.concat_tables([table.slice(i, size) for i in range(0, len(values), size)] or [table])
    assert np.array_equal(whole, encoder.matrix(pieces), equal_nan=True)
    assert np.isnan(whole[:, 0]).sum() == sum(value is None for value in values)


@given(rows=st.integers(1, 8), seed=st.integers(0, 1_000), as_batch=st.booleans(), has_texts=st.booleans())
def test_few_rows_are_encoded_as_many_are(rows: int, seed: int, as_batch: bool, has_texts: bool) -> None:
    draws = np.random.default_rng(seed)

    def column(values: list[object], kind: pa.DataType) -> pa.Array:
        return pa.array([None if draws.random() < 0.2 else value for value in values], kind)

    table = pa.table(
        {
            "orders": column(draws.integers(-(2**52), 2**52, 40).tolist(), pa.int64()),
            "spend": column((draws.normal(size=40) * 10.0 ** draws.integers(-30, 30, 40)).tolist(), pa.float64()),
            "share": column(draws.normal(size=40).tolist(), pa.float32()),
            "loyal": column((draws.random(40) < 0.5).tolist(), pa.bool_()),
            "country": column(draws.choice(["DE", "FR", "é", ""], 40).tolist(), pa.string()),
            "plan": column(draws.choice(["a", "b"], 40).tolist(), pa.string()).dictionary_encode(),
        }
    )
    features = table.column_names if has_texts else table.column_names[:4]
    encoder = Encoder.fit(table.slice(0, 20), features, max_categories=3)
    expected = encoder.matrix(table)
    few = table.slice(7, rows)
    found = encoder.matrix(few.combine_chunks().to_batches()[0] if as_batch else few)
    assert found.flags.c_contiguous
    assert np.array_equal(found, expected[7 : 7 + rows], equal_nan=True)
    assert np.array_equal(encoder.few(few.to_pylist()), found, equal_nan=True)


@pytest.mark.parametrize(("row", "says"), [({"y": 1.0}, "no column 'x'"), ({"x": "1.5"}, "'x' is text")])
def test_few_rows_that_do_not_fit_are_refused_as_tables_are(row: dict[str, object], says: str) -> None:
    with pytest.raises(TesseraError, match=says):
        Encoder(("x",), {}).few([row])
