"""The tests of the embedder port."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from models.compose.budget import Budget
from resources.calls.failure import CallRefused
from resources.conformance.suite import Conformance
from resources.embedder.port import GuardedEmbedder

TEXTS = ("My parcel has not arrived.", "my parcel has not arrived", "Reset the password, please!", "Größe 你好 🙂", "")


class EmbedderConformance(Conformance):
    """The tests that every embedder must pass. A harness overrides the fixture `opened`."""

    port: ClassVar = "embedder"

    @pytest.fixture
    def opened(self) -> Callable[[], GuardedEmbedder]:
        """A function that opens the embedder under test, as another process would."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    @pytest.fixture
    def embedder(self, opened: Callable[[], GuardedEmbedder]) -> GuardedEmbedder:
        """The embedder under test."""
        return opened()

    def test_every_text_has_a_vector_of_the_told_dimension(self, embedder: GuardedEmbedder) -> None:
        vectors = embedder.embed(TEXTS)
        assert (vectors.shape, vectors.dtype) == ((len(TEXTS), embedder.identity.dimension), np.float32)
        assert np.isfinite(vectors).all()
        assert embedder.embed([]).shape == (0, embedder.identity.dimension)
        if embedder.identity.is_normalised:
            assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-4)

    def test_a_text_has_the_same_vector_alone_in_any_order_and_in_another_process(
        self, embedder: GuardedEmbedder, opened: Callable[[], GuardedEmbedder]
    ) -> None:
        vectors, turned = embedder.embed(TEXTS), opened().embed(TEXTS[::-1])
        assert turned[::-1] == pytest.approx(vectors, abs=1e-5)
        assert opened().embed([TEXTS[2]])[0] == pytest.approx(vectors[2], abs=1e-5)

    def test_rows_of_layers_end_with_the_vector(self, embedder: GuardedEmbedder) -> None:
        layers = embedder.layers(TEXTS)
        assert layers.dtype == np.float32
        assert layers[:, -embedder.identity.dimension :] == pytest.approx(embedder.embed(TEXTS), abs=1e-5)
        calls = embedder.usage.calls
        assert np.array_equal(embedder.layers(TEXTS), layers)
        assert embedder.usage.calls == calls

    def test_like_texts_have_like_vectors(self, embedder: GuardedEmbedder) -> None:
        vectors = embedder.embed(TEXTS)
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]

    def test_the_identity_is_the_same_each_time(
        self, embedder: GuardedEmbedder, opened: Callable[[], GuardedEmbedder]
    ) -> None:
        assert embedder.identity == opened().identity
        assert embedder.identity.name
        assert embedder.check().ok

    def test_what_is_known_costs_no_call_and_no_budget_is_gone_over(self, embedder: GuardedEmbedder) -> None:
        embedder.embed(TEXTS)
        calls = embedder.usage.calls
        nothing = Budget(calls=0)
        embedder.embed(TEXTS, nothing.start())
        assert embedder.usage.calls == calls
        with pytest.raises(CallRefused, match="0 calls"):
            embedder.embed(["something new"], nothing.start())
        assert embedder.usage.calls == calls
