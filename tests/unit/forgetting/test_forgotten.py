"""Tombstones recognise exactly those they were made for, in any column, and name no one."""

import hmac
import json
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.erasure.tombstones import Forgotten, Tombstone, json_naming, new_key

IDS = st.text(min_size=1, max_size=300).filter(lambda text: text.isprintable())
KEY = new_key()


def test_the_digest_is_a_plain_hmac() -> None:
    stone = Forgotten("customer", KEY).tombstone("C0001234")
    assert stone.digest == hmac.new(KEY, b"customer\0C0001234", "sha256").hexdigest()


def test_key_and_entity_change_the_digest() -> None:
    digests = {Forgotten(entity, key).tombstone("x") for entity in ("customer", "seller") for key in (KEY, new_key())}
    assert len({stone.digest for stone in digests}) == 4


@given(ids=st.lists(st.none() | st.just("") | IDS, max_size=30), gone=st.sets(IDS, max_size=4), cut=st.integers(0, 30))
@pytest.mark.slow
def test_exactly_the_forgotten_are_found(ids: list[str | None], gone: set[str], cut: int) -> None:
    everybody = [*ids, *sorted(gone), *ids]
    forgotten = Forgotten("customer", KEY, [Forgotten("customer", KEY).tombstone(id) for id in gone])
    found = [id for id in everybody if id in gone]
    column = pa.chunked_array([pa.array(everybody[:cut], pa.string()), pa.array(everybody, pa.string())[cut:]])
    for ids_ in (column, column.cast(pa.large_string()), column.dictionary_encode(), column.combine_chunks()):
        assert forgotten.among(ids_) == sorted(set(found))
    rows = pa.table({"id": column, "place": range(len(everybody))})
    assert forgotten.others(rows, "id").to_pylist() == [row for row in rows.to_pylist() if row["id"] not in gone]


def test_an_equal_fingerprint_alone_forgets_nobody() -> None:
    mine = Forgotten("customer", KEY).tombstone("a")
    other = Tombstone(digest="0" * 64, fingerprint=mine.fingerprint)
    assert Forgotten("customer", KEY, [other]).among(pa.array(["a"])) == []


def test_nobody_forgotten_costs_no_copy() -> None:
    rows = pa.table({"id": ["a", "b"]})
    assert Forgotten("customer", b"").others(rows, "id") is rows
    assert Forgotten("customer", KEY, [Forgotten("customer", KEY).tombstone("c")]).others(rows, "id") is rows


BLANKS_AROUND = ["c1", " c1", "c1\u00a0", "\ufeffc1\u200b", "\tc1\n"]


@pytest.mark.parametrize("text", BLANKS_AROUND)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_id_with_blanks_around_it_is_found_in_json(text: str, ascii_only: bool) -> None:
    original = json.dumps({"customer_id": text, "note": "x"}, ensure_ascii=ascii_only)
    assert re.search(json_naming("c1", "customer_id"), original)
    assert pc.match_substring_regex(pa.array([original]), pattern=json_naming("c1", "customer_id")).to_pylist() == [
        True
    ]


@pytest.mark.parametrize("text", ["\u00fcc1", "c10", "xc1", "c1\u00fc"])
def test_another_id_is_not_found_in_json(text: str) -> None:
    original = json.dumps({"customer_id": text})
    assert not re.search(json_naming("c1", "customer_id"), original)
