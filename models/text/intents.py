"""Intent models: a TF-IDF model, a head on an embedder, and their fusion."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.text.embedder import Embedder, Embeddings
from models.text.label_names import label_text

# scikit-learn has no static types.
# pyright: basic

#: Words, and signs that are none of a word: a text without words keeps something that distinguishes it.
_WORDS_AND_SIGNS = r"(?u)\b\w+\b|[^\w\s]"
#: Of so many texts, pieces of words that occur in one of them only are left out: most pieces do.
_MANY = 1000
#: A label's name counts as so many training texts for a head on an embedder; for a TF-IDF model it is one.
_NAME_WEIGHT = 3.0
#: One column per label; the higher, the surer. Margins of one model and logits of another do not compare.
Scores = NDArray[np.float64]
TextLabels = NDArray[np.str_]


class IntentModel(Protocol):
    """Gives each text a score per label."""

    @property
    def labels(self) -> TextLabels:
        """The labels it knows, ascending: the columns of its scores."""
        ...

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return one score per text and label, shape `(n_texts, n_labels)`."""
        ...


def predicted(model: IntentModel, scores: Scores) -> TextLabels:
    """Return the label of the highest score of each row."""
    return model.labels[scores.argmax(axis=1)]


class LinearIntents:
    """TF-IDF of words 1-2 and characters 2-5, and one linear support vector machine per label: no weights needed."""

    def __init__(self, features: Any, classifier: Any) -> None:
        self.features, self.classifier = features, classifier

    @property
    def labels(self) -> TextLabels:
        """The labels of the training rows, ascending."""
        return self.classifier.classes_

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return margins, shape `(n_texts, n_labels)`."""
        return _scores_of(self.classifier, self.features.transform(texts))


class EmbeddingIntents:
    """Multinomial logistic regression on the layers of an embedder; one of fewer columns reads the last ones."""

    def __init__(self, embedder: Embedder, classifier: Any) -> None:
        self.embedder, self.classifier = embedder, classifier

    @property
    def labels(self) -> TextLabels:
        """The labels of the training rows, ascending."""
        return self.classifier.classes_

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return logits, shape `(n_texts, n_labels)`."""
        return self.scores_of(self.embedder.layers(texts))

    def scores_of(self, layers: Embeddings) -> Scores:
        """Return logits of texts whose layers are known, shape `(n_texts, n_labels)`."""
        return _scores_of(self.classifier, layers[:, -self.classifier.coef_.shape[1] :])


class FusedIntents:
    """Weighted sum of the margins of a TF-IDF model and the logits of a head on an embedder.

    Spelling and meaning fail on different texts. The sum keeps the size of both: its maximum says how sure the model
    is, also of a text that belongs to no label.
    """

    def __init__(self, linear: IntentModel, embedded: IntentModel, weight: float) -> None:
        self.linear, self.embedded, self.weight = linear, embedded, weight

    @property
    def labels(self) -> TextLabels:
        """The labels of the training rows, ascending."""
        return self.linear.labels

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return weighted sums, shape `(n_texts, n_labels)`."""
        return fused(self.linear.scores(texts), self.embedded.scores(texts), self.weight)


def fused(margins: Scores, logits: Scores, weight: float) -> Scores:
    """Return `weight` times the margins plus the logits, centred on the mean of each row."""
    return weight * margins + logits - logits.mean(axis=1, keepdims=True)


def fit_linear_intents(texts: Sequence[str], labels: Sequence[str], *, by_name: bool = False) -> LinearIntents:
    """Return a TF-IDF model of at least two labels; `by_name`: the name of each label is a training text of it, too."""
    from sklearn.svm import LinearSVC

    features = tfidf_features({}, rarest=2 if len(texts) >= _MANY else 1)
    names = sorted(set(labels)) if by_name else []
    rows = features.fit_transform([*texts, *map(label_text, names)])
    return LinearIntents(features, LinearSVC(C=0.5, random_state=0).fit(rows, np.array([*labels, *names])))


def tfidf_features(vocabulary: Mapping[str, Sequence[str]], *, rarest: int = 1) -> Any:
    """Return the two TF-IDF vectorizers side by side, `words` and `characters`, each with its vocabulary if it has one.

    `rarest`: texts that a piece of a word must occur in, at least.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    shared: dict[str, Any] = {"sublinear_tf": True}
    known = {name: {**shared, "vocabulary": list(terms)} for name, terms in vocabulary.items()}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=_WORDS_AND_SIGNS, **known.get("words", shared))
    settings: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": rarest}
    characters = TfidfVectorizer(**settings, **known.get("characters", shared))
    return FeatureUnion([("words", words), ("characters", characters)])


def fit_embedding_intents(
    embedder: Embedder,
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    inverse_penalty: float = 20.0,
    by_name: bool = False,
) -> EmbeddingIntents:
    """Return a head of at least two labels on the layers of an embedder, whose weights stay as they are.

    `by_name`: the name of each label is a training text of it, too.
    """
    from sklearn.linear_model import LogisticRegression

    names = sorted(set(labels)) if by_name else []
    rows = embedder.layers([*texts, *map(label_text, names)])
    weights = np.repeat([1.0, _NAME_WEIGHT], [len(texts), len(names)])
    head = LogisticRegression(C=inverse_penalty, max_iter=1000)
    head.fit(rows, np.array([*labels, *names]), sample_weight=weights)
    # As it is read from files: another order in memory, or float32, would round otherwise.
    head.coef_, head.intercept_ = (np.ascontiguousarray(one, np.float64) for one in (head.coef_, head.intercept_))
    return EmbeddingIntents(embedder, head)


def _scores_of(classifier: Any, rows: Any) -> Scores:
    """Return decision values with a column per label, also of two labels, for which scikit-learn gives one column."""
    values = np.asarray(classifier.decision_function(rows), np.float64)
    return np.column_stack([-values, values]) if values.ndim == 1 else values
