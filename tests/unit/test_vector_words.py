"""Words and BM25 weights of texts in any script."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from models.vectors.bm25 import TERMS, Bm25, fitted
from models.vectors.tokens import grams, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The router's light: blinking_red 3x!", ["the", "router", "s", "light", "blinking", "red", "3x"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("Café naïve Ünal", ["cafe", "naive", "unal"]),
        ("東京都のWi-Fi", ["東京", "京都", "都の", "wi", "fi"]),
        ("नदी की", ["नदी", "की"]),
        ("", []),
    ],
)
def test_words_of_any_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_grams_join_inflected_and_misspelt_words() -> None:
    assert grams("cat at") == ["cat", "_cat", "cat_", "at"]
    bm25 = fitted(["my router disconnects", "an invoice twice"])
    shared = {*bm25.document("my router disconnects").terms.tolist()} & {
        *bm25.query("ruter disconected").terms.tolist()
    }
    assert shared
    assert not len(fitted(["my router"], "words-1").query("routers"))


@given(st.lists(st.text(max_size=30), max_size=8), st.text(max_size=30))
def test_statistics_survive_storing_and_weights_are_above_zero(texts: list[str], query: str) -> None:
    bm25 = fitted(texts)
    again = Bm25.from_bytes(bm25.to_bytes())
    for text in [*texts, query]:
        for one, other in ((bm25.document(text), again.document(text)), (bm25.query(text), again.query(text))):
            assert np.array_equal(one.terms, other.terms)
            assert np.array_equal(one.weights, other.weights)
            assert (one.weights > 0).all()
            assert (one.terms < TERMS).all()
            assert (np.diff(one.terms.astype(np.int64)) > 0).all()


def test_statistics_of_another_tokenizer_are_refused() -> None:
    other = fitted(["x"]).to_bytes().replace(b"grams-1", b"grams-9")
    with pytest.raises(TesseraError, match="'grams-9', unknown here"):
        Bm25.from_bytes(other)


def test_terms_that_nobody_uses_leave_and_no_score_changes() -> None:
    bm25 = fitted(["red fox", "blue fox"])
    left = bm25.only(bm25.document("red fox").terms)
    assert not len(left.query("blue"))
    assert np.array_equal(left.query("red fox").weights, bm25.query("red fox").weights)
