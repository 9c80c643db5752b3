"""Personal data in texts: found by form and check digits, masked, and restored."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text.pii import find_pii, passes_luhn, passes_mod_97, redact


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Mail ann.o'hara+x@mail.example.co.uk now", ["EMAIL"]),
        ("müller@bücher.example", ["EMAIL"]),
        ("card 4111 1111 1111 1111, exp 12/27", ["CARD"]),
        ("4111-1111-1111-1111", ["CARD"]),
        ("378282246310005", ["CARD"]),
        ("card 4111 1111 1111 1112", []),
        ("IBAN DE89 3704 0044 0532 0130 00 please", ["IBAN"]),
        ("GB29NWBK60161331926819", ["IBAN"]),
        ("from 192.168.0.17.", ["IP"]),
        ("2001:db8::ff00:42:8329 is down", ["IP"]),
        ("version 1.2.3, at 10:30:45", []),
        ("999.1.1.1", []),
        ("call +49 30 901820 or (415) 555-2671", ["PHONE", "PHONE"]),
        ("order 1002 of 2026-11-28 for 49.90 EUR", []),
        ("write to a@b.example from 10.0.0.1", ["EMAIL", "IP"]),
        ("", []),
        ("AB12 DE89 3704 0044 0532 0130 00", ["IBAN"]),
    ],
)
def test_what_is_found(text: str, kinds: list[str]) -> None:
    assert [found.kind for found in find_pii(text)] == kinds


@given(st.integers(0, 10**14 - 1), st.sampled_from(["", " ", "-"]))
def test_every_card_with_a_right_check_digit_is_masked_and_no_other(number: int, sign: str) -> None:
    body = f"4{number:014d}"
    right = next(digit for digit in "0123456789" if passes_luhn(body + digit))
    for digit in "0123456789":
        card = sign.join((body + digit)[place : place + 4] for place in (0, 4, 8, 12))
        found = "CARD" in [finding.kind for finding in find_pii(f"pay {card} now")]
        assert found or digit != right
        assert not found or digit == right or sign  # of groups of digits, some may be a card by themselves


@given(st.text("0123456789", min_size=18, max_size=18))
def test_every_account_number_with_right_check_digits_is_masked(account: str) -> None:
    check = next(n for n in range(100) if passes_mod_97(f"DE{n:02d}{account}"))
    iban = f"DE{check:02d}{account}"
    grouped = " ".join(iban[place : place + 4] for place in range(0, len(iban), 4))
    for written in (iban, grouped, iban.lower()):
        # a word behind it that passes the check, too, goes with it
        assert redact(f"to {written} today").text in ("to [IBAN_1] today", "to [IBAN_1]")


@given(st.text(max_size=80), st.randoms())
def test_restoring_gives_the_text_back(text: str, draw: random.Random) -> None:
    added = ["a@b.example", "4111111111111111", "DE89370400440532013000", "10.0.0.1", "+49 30 901820"]
    draw.shuffle(added)
    whole = " ".join([text, *added[:3], added[0]])
    masked = redact(whole)
    assert not [found for found in find_pii(masked.text) if found.kind in ("EMAIL", "CARD", "IBAN")]
    if "[" not in text:
        assert masked.restore(masked.text) == whole


def test_equal_data_has_one_placeholder_over_the_texts_of_a_request() -> None:
    first = redact("a@b.example and c@d.example and a@b.example")
    assert first.text == "[EMAIL_1] and [EMAIL_2] and [EMAIL_1]"
    second = redact("c@d.example, 10.0.0.1", known=first.originals)
    assert second.text == "[EMAIL_2], [IP_3]"
    assert second.restore("Hello [EMAIL_1]") == "Hello a@b.example"
