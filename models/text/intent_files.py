"""Intent models as files that run no code when they are read: terms, weights and coefficients in Parquet and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import TesseraError
from models.text.embedder import Embedder, EmbedderIdentity
from models.text.intents import EmbeddingIntents, LinearIntents, tfidf_features

# scikit-learn and pyarrow have no static types.
# pyright: basic

_TERMS, _COEFFICIENTS, _HEAD = "terms.parquet", "coefficients.parquet", "head.json"


def write_linear(model: LinearIntents, folder: Path) -> None:
    """Write a TF-IDF model to a folder that exists; equal models give equal bytes."""
    found = dict(model.features.transformer_list)
    rows = [(name, term, weight) for name, one in found.items() for term, weight in _weights(one)]
    columns = dict(zip(("part", "term", "idf"), map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), folder / _TERMS, compression="zstd")
    _write_coefficients(model.classifier, folder)


def read_linear(folder: Path) -> LinearIntents:
    """Return the model that `write_linear` wrote."""
    from sklearn.svm import LinearSVC

    terms = pq.read_table(folder / _TERMS)
    part, names, idf = terms["part"].to_numpy(), terms["term"].to_numpy(), terms["idf"].to_numpy()
    kinds = ("words", "characters")
    features = tfidf_features({kind: names[part == kind].tolist() for kind in kinds})
    for kind, vectorizer in features.transformer_list:
        vectorizer.idf_ = idf[part == kind]
    return LinearIntents(features, _read_coefficients(LinearSVC(C=0.5, random_state=0), folder))


def write_embedding(model: EmbeddingIntents, folder: Path) -> Mapping[str, Any]:
    """Write the head of a model to a folder that exists; return the identity of the embedder that it needs."""
    _write_coefficients(model.classifier, folder)
    return vars(model.embedder.identity)


def read_embedding(folder: Path, identity: Mapping[str, Any], embedder: Embedder) -> EmbeddingIntents:
    """Return the model that `write_embedding` wrote.

    Raises:
        TesseraError: its vectors are of another embedder.
    """
    from sklearn.linear_model import LogisticRegression

    needed = EmbedderIdentity(**identity)
    if not needed.is_same(embedder.identity):
        raise TesseraError(
            f"The intent model was trained on vectors of {needed.name!r} ({needed.dimension} numbers, digest "
            f"{needed.digest[:12]!r}), and the profile's embedder is {embedder.identity.name!r} "
            f"({embedder.identity.dimension} numbers, digest {embedder.identity.digest[:12]!r}).",
            expected="the embedder that it was trained with",
            todo="Train again, or name that embedder in stack.yaml.",
        )
    return EmbeddingIntents(embedder, _read_coefficients(LogisticRegression(C=20.0, max_iter=1000), folder))


def _weights(vectorizer: Any) -> list[tuple[str, float]]:
    terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
    return list(zip(terms, vectorizer.idf_.tolist(), strict=True))


def _write_coefficients(classifier: Any, folder: Path) -> None:
    columns = {str(place): column for place, column in enumerate(classifier.coef_)}
    pq.write_table(pa.table(columns), folder / _COEFFICIENTS, compression="zstd")
    head = {"labels": classifier.classes_.tolist(), "intercepts": np.ravel(classifier.intercept_).tolist()}
    (folder / _HEAD).write_text(json.dumps(head))


def _read_coefficients(classifier: Any, folder: Path) -> Any:
    table, head = pq.read_table(folder / _COEFFICIENTS), json.loads((folder / _HEAD).read_text())
    classifier.coef_ = np.stack([column.to_numpy() for column in table.columns])
    classifier.intercept_ = np.array(head["intercepts"])
    classifier.classes_ = np.array(head["labels"])
    return classifier
