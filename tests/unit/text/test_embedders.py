"""Embedders: MiniLM on its real weights against vectors of the published model, and the embedder without weights."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.text.embedder import Embeddings, RememberingEmbedder
from models.text.hashed import HashedEmbedder
from models.text.minilm import FILES, MiniLM, load_minilm

#: First values of the vectors that sentence-transformers 2.2 gives these sentences, as published.
PUBLISHED = {
    "This is an example sentence": (0.0676569, 0.0634959, 0.0487131, 0.0793049, 0.0374480, 0.0026528),
}


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return load_minilm()


class TestMiniLM:
    def test_vectors_are_those_of_the_published_model(self, minilm: MiniLM) -> None:
        vectors = minilm.embed(list(PUBLISHED))
        assert vectors[:, :6] == pytest.approx(np.array(list(PUBLISHED.values())), abs=1e-6)

    def test_layers_end_with_the_vector(self, minilm: MiniLM) -> None:
        texts = ["where is my card", "", "A longer text than the first one is."]
        layers = minilm.layers(texts)
        assert layers.shape == (3, 3 * 384)
        assert layers[:, -384:] == pytest.approx(minilm.embed(texts), abs=1e-6)
        assert np.linalg.norm(layers[:, :384], axis=1) == pytest.approx(1.0, abs=1e-5)
        assert not np.allclose(layers[:, :384], layers[:, 384:768], atol=0.01)

    @pytest.mark.real
    def test_vectors_are_those_that_others_stored(self, minilm: MiniLM, shared_data: Path) -> None:
        file = shared_data / "city_embeddings" / "city_wikipedia_summaries_with_embeddings.parquet"
        rows = pq.read_table(file, columns=["sentence_chunks", "vector"]).slice(0, 20)
        stored = np.array(rows["vector"].to_pylist(), np.float32)
        cosines = (minilm.embed(rows["sentence_chunks"].to_pylist()) * stored).sum(1) / np.linalg.norm(stored, axis=1)
        assert cosines.min() > 0.99999

    @pytest.mark.real
    def test_a_text_has_one_vector_whatever_comes_with_it(self, minilm: MiniLM, shared_data: Path) -> None:
        with gzip.open(shared_data / "banking77" / "test.csv.gz", "rt", encoding="utf-8") as file:
            texts = [row["text"] for row in csv.DictReader(file)][:260]
        together = minilm.embed(texts)
        alone = np.vstack([minilm.embed([text]) for text in texts[:20]])
        assert together[:20] == pytest.approx(alone, abs=1e-6)
        assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)
        assert together.dtype == np.float32

    def test_any_text_has_a_vector(self, minilm: MiniLM) -> None:
        strange = ["", " \n", "🙂" * 50, "word " * 600, "\x00\u202e", "\ud800", "Straße 你好 مرحبا"]
        vectors = minilm.embed(strange)
        assert vectors.shape == (len(strange), minilm.identity.dimension)
        assert np.isfinite(vectors).all()
        assert minilm.embed([]).shape == (0, 384)

    def test_weights_that_are_not_the_published_ones_are_refused(self, tmp_path: Path) -> None:
        for name in FILES:
            (tmp_path / name).write_bytes(b"{}")
        with pytest.raises(TesseraError, match=r"44136fa3.*Expected 53aa5117.*make setup-text"):
            load_minilm(tmp_path)

    def test_missing_weights_are_told_with_the_command_that_installs_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(TesseraError, match=r"There is no file .*model\.safetensors.*make setup-text"):
            load_minilm(tmp_path)
        monkeypatch.setattr("models.text.minilm._PACKAGE", "no_such_package")
        with pytest.raises(TesseraError, match=r"not installed.*make setup-text.*`hashed`"):
            load_minilm()


def cosine(vectors: Embeddings, one: int, other: int) -> float:
    return float(vectors[one] @ vectors[other])


class TestHashedEmbedder:
    def test_texts_are_alike_by_spelling_only_and_its_name_says_so(self) -> None:
        embedder = HashedEmbedder()
        vectors = embedder.embed(["my card has not arrived", "My card hasn't arrived yet", "I want a refund"])
        assert cosine(vectors, 0, 1) > 0.5 > 0.3 > abs(cosine(vectors, 0, 2))
        assert "no weights" in embedder.identity.name

    @settings(max_examples=25)
    @given(st.lists(st.text(st.characters(), max_size=30), max_size=5))
    def test_every_text_has_a_vector_of_unit_length_that_does_not_depend_on_others(self, texts: list[str]) -> None:
        embedder = HashedEmbedder(64)
        vectors = embedder.embed(texts)
        assert vectors.shape == (len(texts), 64)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
        for text, vector in zip(texts, vectors, strict=True):
            assert np.array_equal(embedder.embed([text])[0], vector)

    def test_the_dimension_is_part_of_the_identity(self) -> None:
        assert HashedEmbedder(64).identity != HashedEmbedder(128).identity == HashedEmbedder(128).identity


class Counting:
    """Counts the texts it embeds."""

    def __init__(self) -> None:
        self.identity, self.texts = HashedEmbedder(8).identity, list[str]()

    def layers(self, texts: Sequence[str]) -> Embeddings:
        self.texts.extend(texts)
        return np.hstack([np.zeros((len(texts), 3), np.float32), HashedEmbedder(8).embed(texts)])

    def embed(self, texts: Sequence[str]) -> Embeddings:
        return self.layers(texts)[:, 3:]


def test_a_remembering_embedder_embeds_each_text_once() -> None:
    counting = Counting()
    remembering = RememberingEmbedder(counting)
    first = remembering.embed(["a b", "c d", "a b"])
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(remembering.embed(["c d", "e f"])[0], first[1])
    assert counting.texts == ["a b", "c d", "e f"]
    assert remembering.embed([]).shape == (0, 8)
    assert remembering.layers(["c d"]).shape == (1, 11)
