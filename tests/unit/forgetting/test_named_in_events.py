"""Whom a text names that was an event, or was meant as one."""

import pytest

from models.erasure.tombstones import is_named_in


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
