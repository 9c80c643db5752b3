"""Whom a text names that was an event, or was meant as one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.erasure.tombstones import FIELD_NAMES, is_named_in, undeclared_fields


@pytest.mark.parametrize(
    ("text", "id", "is_named"),
    [
        ('{"subject": "c1", "data": {}}', "c1", True),
        ('{"subject": "c2", "data": {"customer_id": "c1"}}', "c1", True),
        ('{"subject": "c2", "data": {"paid": [{"customer_id": ["c1"]}]}}', "c1", True),
        ('{"subject": "c2", "data": {"terminal_id": "c1", "note": "c1"}}', "c1", False),
        ('{"subject": "c12", "data": {"customer_id": "C1"}}', "c1", False),
        ('{"subject": "c1", "subject": "c2"}', "c1", True),
        ('{"customer_id": "\\u00fc\\u0063"}', "üc", True),
        ('{"data": {"customer_id": 596}}', "596", True),
        ('{"data": {"customer_id": 596.0}}', "596", True),
        ('{"data": {"customer_id": "596.0"}}', "596", False),
        ('{"data": {"customer_id": 1, "transaction_id": 596}}', "596", False),
        ('{"data": {"customer_id": true}}', "True", False),
        ('{"who": "c1", "amount": 3}', "c1", True),
        ('["c2", ["c1"]]', "c1", True),
        ('"c1"', "c1", True),
        ("596", "596", True),
        ("1596", "596", False),
        ('{"customer_id": "c1", "amo', "c1", True),
        ('{"customer_id": "c12", "amo', "c1", False),
        ('{"customer_id": "\\u00fc", "amo', "ü", True),
        ("a line of c1.", "c1", True),
        ("[" * 60_000 + '"c1"', "c1", True),
        ("9" * 60_000, "9", False),
        ("", "c1", False),
        ("{}", "c1", False),
        ("null", "None", False),
    ],
)
def test_a_name_is_found_where_it_names_somebody(text: str, id: str, is_named: bool) -> None:
    assert is_named_in(text, id) is is_named


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"holder": "c1"}, {"holder"}),
        ({"holder": " c1\u00a0"}, {"holder"}),
        ({"card": {"owners": [{"ref": "c1"}], "id": "c1"}}, {"ref", "id"}),
        ({"payload": json.dumps({"ref": ["c1"]})}, {"ref"}),
        ({"c1": {"amount": 3}}, {FIELD_NAMES}),
        ({"c1": {}}, {FIELD_NAMES}),
        ({"terminal_id": "c1", "transaction_id": "c1", "amount": 3}, set()),
        ({"holder": "c12", "c12": 1, "note": "c1 called"}, set()),
        ({"customer_id": "c1", "holder": "c1"}, set()),
    ],
)
def test_an_id_in_a_field_that_nothing_declares_is_found(data: dict[str, Any], fields: set[str]) -> None:
    text = json.dumps({"id": "c1", "type": "c1", "subject": "c2", "data": data})
    assert undeclared_fields(text, "c1") == fields
    for field in fields:
        assert is_named_in(text, "c1", [field])
        assert not is_named_in(text, "c1")


_OTHER = st.none() | st.booleans() | st.sampled_from([3, 0.5, 1e9]) | st.sampled_from(["c2", "x", "", "17"])
_NAMES = st.sampled_from(["holder", "ref", "list", "note"])


@given(
    st.recursive(_OTHER, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3)),
    st.lists(st.sampled_from(["object", "list", "text"]), max_size=4),
    st.sampled_from(["596", 596, 596.0, " 596 "]),
)
def test_however_deep_it_is_a_text_or_a_number(beside: Any, nesting: list[str], value: Any) -> None:
    found: Any = {"ref": value, "beside": beside}
    for one in nesting:
        found = {"object": {"note": found}, "list": [beside, found], "text": found}[one]
        found = json.dumps(found) if one == "text" else found
    text = json.dumps({"subject": "c2", "data": {"found": found}})
    assert "ref" in undeclared_fields(text, "596")
    assert is_named_in(text, "596", ["ref"])
    assert not undeclared_fields(text, "597")
