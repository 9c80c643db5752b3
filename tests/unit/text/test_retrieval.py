"""Retrieval: terms, BM25, passages, and the fusion of both."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text.hashed import HashedEmbedder
from models.text.retrieval import Bm25Index, HybridRetriever, PassageIndex, fused_scores, passages, ranked

DOCUMENTS = ["The courier lost my parcel.", "A refund takes five days.", "Reset your password by mail."]
EMBEDDER = HashedEmbedder(128)


def test_bm25_is_the_published_formula() -> None:
    index = Bm25Index(["cat cat dog", "dog", "bird bird bird bird"], "words-1")
    found = index.scores(["cat", "dog cat", "fish"])
    idf = math.log1p((3 - 1 + 0.5) / (1 + 0.5))
    length = 1.2 * (1 - 0.75 + 0.75 * 3 / (8 / 3))
    assert found[0, 0] == pytest.approx(idf * 2 * 2.2 / (2 + length))
    assert found[0, 1] == found[0, 2] == 0
    assert found[1, 0] > found[1, 1] > 0
    assert not found[2].any()


@settings(max_examples=25)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_any_texts_can_be_searched_and_every_rank_is_given_once(documents: list[str], queries: list[str]) -> None:
    found = HybridRetriever(documents, EMBEDDER).search(queries, 10)
    assert len(found) == len(queries)
    for hits in found:
        assert [hit.rank for hit in hits] == list(range(1, min(10, len(documents)) + 1))
        assert len({hit.document for hit in hits}) == len(hits)


def test_a_document_is_found_by_its_own_words() -> None:
    found = HybridRetriever(DOCUMENTS, EMBEDDER).search(["lost parcels", "passwords", "refund days"], 2)
    assert [hits[0].document for hits in found] == [0, 2, 1]


def test_bm25_decides_as_in_a_vector_index_if_it_has_all_the_weight() -> None:
    queries = ["lost parcel", "pasword mails", "refunds"]
    scores = Bm25Index(DOCUMENTS).scores(queries)
    found = HybridRetriever(DOCUMENTS, EMBEDDER, weight=1e9).search(queries, 1)
    assert [hits[0].document for hits in found] == scores.argmax(axis=1).tolist() == [0, 2, 1]


def test_a_long_document_is_as_near_as_its_nearest_passage() -> None:
    long = " ".join(["Nothing of interest is said in this sentence about weather."] * 30 + ["The parcel was lost."])
    index = PassageIndex([long, "The weather is nice."], EMBEDDER)
    whole = float(EMBEDDER.embed(["The parcel was lost."])[0] @ EMBEDDER.embed([long])[0])
    assert index.scores(["The parcel was lost."])[0, 0] > whole + 0.1
    assert len(passages(long)) > 3
    assert passages("Short. Text.") == ["Short. Text."]


def test_equal_scores_keep_the_order_of_documents() -> None:
    assert [hit.document for hit in ranked(np.zeros((1, 5)), 3)[0]] == [0, 1, 2]
    assert fused_scores(np.zeros((1, 2)), np.array([[0.1, 0.2]]), 5.0).tolist() == [[0.1, 0.2]]
