"""Ids are the same text whatever type they come in, and a placeholder is no id."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import ORDERS
from models.contracts.checking import check_rows
from models.contracts.identifiers import MISSING_IDS, NotAnIdError, id_text, id_texts, trim_ids
from models.ingestion import IngestionConfig
from resources.source.fake import raw_rows

LINE = {
    "order_line_id": "l1",
    "order_id": "o1",
    "customer_id": "c1",
    "product_id": "p1",
    "ordered_at": datetime(2024, 5, 2, 12, tzinfo=UTC),
    "quantity": 2,
    "unit_price": 9.5,
    "currency": "EUR",
    "country": "Spain",
    "is_return": False,
    "delivered_on": date(2024, 5, 2),
}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (103, "103"),
        (103.0, "103"),
        (-0.0, "0"),
        (np.float32(103), "103"),
        (np.int64(2**62 + 1), str(2**62 + 1)),
        (2**70, str(2**70)),
        (Decimal("103.00"), "103"),
        (Decimal("1E+3"), "1000"),
        ("0103", "0103"),
        ("103.0", "103.0"),
        ("1e3", "1e3"),
        ("\u00a0\ufeff c 1\u200b\t", "c 1"),
        (b"c1", "c1"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (True, "true"),
        ("0", "0"),
        (None, None),
        (float("nan"), None),
        (np.float64("nan"), None),
        (Decimal("NaN"), None),
        *((text.upper(), None) for text in MISSING_IDS),
    ],
)
def test_the_text_of_an_id(value: Any, text: str | None) -> None:
    assert id_text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("inf"),
        2.0**53,
        -(2.0**53),
        np.float32(2**24),
        np.float16(2048),
        Decimal("1.5"),
        b"\xff",
        "8.5012E+11",
    ],
)
def test_a_value_that_is_no_id_is_refused(value: Any) -> None:
    with pytest.raises(NotAnIdError):
        id_text(value)


SMALL = st.integers(-(2**15), 2**15 - 1)
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int16": (pa.int16(), SMALL),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float32": (pa.float32(), SMALL.map(float)),
    "float64": (pa.float64(), st.one_of(st.just(float("nan")), st.integers(-(2**53) + 1, 2**53 - 1).map(float))),
    "decimal": (pa.decimal128(20, 2), st.integers(-(10**17), 10**17).map(Decimal)),
    "string": (pa.string(), st.one_of(st.sampled_from([" a\u00a0", "NaN", "007", ""]), st.text(max_size=4))),
    "large_string": (pa.large_string(), st.text(max_size=4)),
    "binary": (pa.binary(), st.text(max_size=4).map(str.encode)),
    "bool": (pa.bool_(), st.booleans()),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b ", "null"])),
}


@pytest.mark.parametrize("kind", COLUMNS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
@pytest.mark.slow
def test_a_column_gives_the_texts_of_its_values(kind: str, data: st.DataObject) -> None:
    arrow, values = COLUMNS[kind]
    given_values = data.draw(st.lists(st.one_of(st.none(), values), max_size=6))
    column = pa.array(given_values, arrow)
    assert id_texts(column).to_pylist() == [id_text(value) for value in given_values]
    assert id_texts(pa.chunked_array([column, column])).to_pylist() == 2 * [id_text(value) for value in given_values]


@pytest.mark.parametrize(
    "column",
    [pa.array([1.0, 2.0**53]), pa.array([0.5]), pa.array([2.0**24], pa.float32()), pa.array([Decimal("0.5")])],
)
def test_a_column_with_a_value_that_is_no_id_is_refused(column: pa.Array) -> None:
    with pytest.raises(NotAnIdError):
        id_texts(column)


@pytest.mark.slow
@pytest.mark.parametrize("placeholder", ["nan", "NULL", "None", r"\N", "#N/A", "-", "undefined", "\u200b", " NaN "])
def test_a_placeholder_is_quarantined_as_a_missing_id(placeholder: str) -> None:
    checked = check_rows(ORDERS, raw_rows("orders", [{**LINE, "customer_id": placeholder}]))
    assert checked.quarantined["reasons"].to_pylist() == [["customer_id is missing"]]
    assert checked.reasons == {"customer_id is missing": 1}


def test_zero_is_an_id_unless_the_settings_say_otherwise() -> None:
    raw = raw_rows("orders", [{**LINE, "customer_id": "0"}])
    assert check_rows(ORDERS, raw).kept.num_rows == 1
    config = IngestionConfig.model_validate({"more_missing_ids": [0, "Guest"]})
    assert {"0", "guest", "nan"} <= config.texts_of_no_id()
    assert check_rows(ORDERS, raw, missing_ids=config.texts_of_no_id()).kept.num_rows == 0


def test_an_id_that_a_spreadsheet_shortened_is_quarantined() -> None:
    checked = check_rows(ORDERS, raw_rows("orders", [{**LINE, "customer_id": "8.50123E+11"}]))
    assert checked.quarantined["reasons"].to_pylist() == [["customer_id '9.99999A+99' cannot be read as an id"]]


def test_blanks_around_ids_are_trimmed_and_counted() -> None:
    spelt = ["c1", " c1", "c1 ", "c1\u00a0", "\ufeffc1"]
    rows = [{**LINE, "order_line_id": f"l{n}", "customer_id": text} for n, text in enumerate(spelt)]
    raw = raw_rows("orders", rows)
    checked = check_rows(ORDERS, raw)
    assert checked.kept["customer_id"].to_pylist() == ["c1"] * 5
    assert checked.ids_trimmed == 4
    trimmed, count = trim_ids(ORDERS, raw)
    assert (count, trim_ids(ORDERS, trimmed)[1]) == (4, 0)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["BST", "CST", "IST", "CEST", "EST", "(CEST)", "GMT+0200", "UTC+2"])
def test_an_ambiguous_time_zone_is_told_with_what_to_write(zone: str) -> None:
    checked = check_rows(ORDERS, raw_rows("orders", [{**LINE, "ordered_at": f"2026-07-07 12:30:00 {zone}"}]))
    ((reason,),) = checked.quarantined["reasons"].to_pylist()
    assert f"time zone {zone.strip('()')} is ambiguous" in reason
    assert "write the offset" in reason


@pytest.mark.parametrize("text", ["07/07/2026 12:30 PM", "7 o'clock X", "2026-07-07 32:30:00 UTC"])
def test_another_unreadable_time_is_no_ambiguous_zone(text: str) -> None:
    checked = check_rows(ORDERS, raw_rows("orders", [{**LINE, "ordered_at": text}]))
    assert checked.quarantined["reasons"].to_pylist() == [[f"ordered_at '{text}' cannot be read as timestamp"]]


def test_what_the_source_says_of_a_line_is_the_only_reason() -> None:
    original = '{"_unreadable": "line 6 of a.csv: too few fields", "line": "l1,o1"}'
    raw = raw_rows("orders", [dict.fromkeys(LINE) | {"delivered_on": LINE["delivered_on"]}, LINE])
    raw = raw.set_column(raw.num_columns - 1, "_original", pa.array([original, raw["_original"][1].as_py()]))
    checked = check_rows(ORDERS, raw)
    assert checked.kept.num_rows == 1
    assert checked.quarantined["reasons"].to_pylist() == [["line 6 of a.csv: too few fields"]]
    assert checked.quarantined["original"].to_pylist() == [original]
    assert checked.reasons == {"the line cannot be read": 1}
