"""Training of the shipped intent composition: every choice is made on validation rows split from the training rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.compose.threshold import Choice as Threshold
from models.compose.threshold import cheapest_near_dear
from models.errors import TesseraError
from models.text.embedder import Embedder
from models.text.intent_steps import intent_replay
from models.text.intents import (
    FusedIntents,
    IntentModel,
    Scores,
    TextLabels,
    fit_embedding_intents,
    fit_linear_intents,
    fused,
)
from models.text.label_names import names_may_help
from models.text.out_of_scope import OUT_OF_SCOPE, chosen_retention, confidence, threshold_by_retention
from models.text.paired import paired_difference
from models.text.splitting import text_folds

#: Weights of the margins that are tried; of equally good ones the first is taken.
WEIGHTS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 0.25, 0.125)
#: Each fold holds one of so many parts of the rows; folds are used until so many rows are validated.
FOLDS, ENOUGH_ROWS = 5, 2000
LINEAR, EMBEDDED, FUSED = "linear", "embedded", "fused"
#: Accuracy that a router from the linear model to the fusion may lose to the fusion.
ROUTER_MARGIN = 0.005


@dataclass(frozen=True)
class Choice:
    """Settings of one model, chosen on validation rows, and what they reach there.

    Attributes:
        model: `linear`, `embedded` or `fused`.
        threshold: texts of a lower confidence are out of scope.
        retention: share of the validation texts in scope that reach the threshold.
        accuracy: on validation rows in scope, nothing refused.
        in_scope_accuracy: share of them that are answered and right.
        out_of_scope_recall: share of the training file's out-of-scope texts that are refused; None without any.
    """

    model: str
    threshold: float
    retention: float
    accuracy: float
    in_scope_accuracy: float
    out_of_scope_recall: float | None


@dataclass(frozen=True)
class TrainedIntents:
    """The composition and its two children, trained on all rows in scope, with what was chosen for each.

    Attributes:
        models: name -> model.
        choices: name -> what was chosen.
        weight: of the margins in the fusion.
        weight_accuracy: weight -> accuracy on validation rows.
        by_name: the names of labels were training texts, too.
        router: texts whose lead by the linear model is below its threshold are asked of the fusion; on validation rows
            it loses at most `ROUTER_MARGIN` of accuracy to asking the fusion always, with a confidence of 95 %.
        validation_rows: number of rows that choices were made on.
    """

    models: Mapping[str, IntentModel]
    choices: Mapping[str, Choice]
    weight: float
    weight_accuracy: Mapping[float, float]
    by_name: bool
    router: Threshold
    validation_rows: int


@dataclass(frozen=True)
class _Validation:
    """Scores of rows by models that were not trained on them; of out-of-scope rows, by those of the first fold."""

    labels: TextLabels
    right: NDArray[np.int64]
    scores: Mapping[str, Scores]
    out_of_scope: Mapping[str, Scores]
    by_name: bool

    @cached_property
    def weight_accuracy(self) -> Mapping[float, float]:
        """Accuracy of the fusion by weight of the margins."""
        return {weight: float(self.is_right(weight).mean()) for weight in WEIGHTS}

    @property
    def weight(self) -> float:
        """The best one; of equally good ones, the first."""
        return max(WEIGHTS, key=self.weight_accuracy.__getitem__)

    def is_right(self, weight: float) -> NDArray[np.bool_]:
        """Return which rows the fusion has right."""
        return fused(self.scores[LINEAR], self.scores[EMBEDDED], weight).argmax(axis=1) == self.right


def train_intents(
    texts: Sequence[str],
    labels: Sequence[str],
    embedder: Embedder,
    *,
    retention: float = 0.95,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> TrainedIntents:
    """Return the composition of a TF-IDF model and a head on `embedder`, and both children.

    Rows labelled `oos` train no model; they choose the retention, if there are enough of them.

    Args:
        texts: one per row; none empty.
        labels: one per row.
        embedder: its weights stay as they are.
        retention: share of validation texts in scope that thresholds keep, unless `oos` rows choose it.
        seed: of the split.
        progress: called with what is being done.

    Raises:
        TesseraError: fewer than two labels that have two different texts each.
    """
    inside = [row for row, label in enumerate(labels) if label != OUT_OF_SCOPE]
    outside = [text for text, label in zip(texts, labels, strict=True) if label == OUT_OF_SCOPE]
    known, intents = [texts[row] for row in inside], [labels[row] for row in inside]
    _check_labels(known, intents)
    seen = _validated(known, intents, outside, embedder, seed, progress)
    if names_may_help(intents):
        progress("validate with the names of labels as texts")
        named = _validated(known, intents, outside, embedder, seed, progress, by_name=True)
        seen = seen if _is_harmed(seen, named) else named
    weight = seen.weight
    progress("train on all rows")
    linear = fit_linear_intents(known, intents, by_name=seen.by_name)
    embedded = fit_embedding_intents(embedder, known, intents, by_name=seen.by_name)
    models: dict[str, IntentModel] = {LINEAR: linear, EMBEDDED: embedded, FUSED: FusedIntents(linear, embedded, weight)}
    choices = {name: _choice(name, seen, weight, retention) for name in models}
    router = _router(seen, weight)
    return TrainedIntents(models, choices, weight, seen.weight_accuracy, seen.by_name, router, seen.right.size)


def _is_harmed(plain: _Validation, named: _Validation) -> bool:
    """Return True if the fusion is worse with the names of labels, with a confidence of 95 %.

    Few texts of a label are often much alike: folds then hold what was trained on, and show less of a gain than new
    texts do. So names are used unless they are shown to harm.
    """
    return paired_difference(named.is_right(named.weight), plain.is_right(plain.weight)).high < 0


def _router(seen: _Validation, weight: float) -> Threshold:
    dear = _of(FUSED, seen.scores, weight)
    if seen.right.size == 1:
        return Threshold(np.inf, 1.0, _accuracy(seen, dear), 1.0)
    replay = intent_replay(seen.scores[LINEAR], dear, seen.right, cheap_cost=0.0, dear_cost=1.0)
    return cheapest_near_dear(replay, margin=ROUTER_MARGIN)


def _check_labels(texts: Sequence[str], labels: Sequence[str]) -> None:
    different: dict[str, set[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        different.setdefault(label, set()).add(text)
    if sum(len(found) > 1 for found in different.values()) < 2:
        raise _too_few(len(different), len(texts))


def _validated(
    texts: Sequence[str],
    labels: Sequence[str],
    outside: Sequence[str],
    embedder: Embedder,
    seed: int,
    progress: Callable[[str], None],
    *,
    by_name: bool = False,
) -> _Validation:
    """Return scores of the rows of some folds by children that were trained on the other folds."""
    folds, right = text_folds(texts, labels, k=FOLDS, seed=seed), np.array(labels)
    used = min(FOLDS, max(1, -(-ENOUGH_ROWS * FOLDS // len(texts))))
    known = np.unique(right)
    parts: list[dict[str, Scores]] = []
    outer: dict[str, Scores] = {}
    kept = _usable(folds, labels, used)
    for number, fold in enumerate(kept):
        progress(f"validate, fold {number + 1} of {len(kept)}")
        rows, held = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        fitted = [texts[row] for row in rows], [labels[row] for row in rows]
        children = {
            LINEAR: fit_linear_intents(*fitted, by_name=by_name),
            EMBEDDED: fit_embedding_intents(embedder, *fitted, by_name=by_name),
        }
        parts.append({name: _aligned(one, [texts[row] for row in held], known) for name, one in children.items()})
        if not outer:
            outer = {name: _aligned(one, outside, known) for name, one in children.items()} if outside else {}
    scores = {name: np.concatenate([part[name] for part in parts]) for name in (LINEAR, EMBEDDED)}
    order = np.concatenate([np.flatnonzero(folds == fold) for fold in kept])
    return _Validation(known, np.searchsorted(known, right[order]), scores, outer, by_name)


def _usable(folds: NDArray[np.int64], labels: Sequence[str], used: int) -> list[int]:
    """Return the first `used` folds that hold rows while two labels remain to train on; few texts fill few folds.

    Raises:
        TesseraError: there is none.
    """
    names = np.array(labels)
    found = [fold for fold in range(FOLDS) if (folds == fold).any() and np.unique(names[folds != fold]).size > 1]
    if not found:
        raise _too_few(len(set(labels)), len(labels))
    return found[:used]


def _too_few(labels: int, texts: int) -> TesseraError:
    return TesseraError(
        f"Labels in scope: {labels}, texts: {texts}. That is too little to train and to validate on.",
        expected="two labels or more that have two different texts each; `oos` is the label of texts out of scope",
        todo="Add labelled texts to the training file.",
    )


def _aligned(model: IntentModel, texts: Sequence[str], labels: TextLabels) -> Scores:
    """Return scores with a column for each of `labels`; one that the model does not know is the lowest of its row."""
    scores = model.scores(texts)
    columns = np.repeat(scores.min(axis=1, keepdims=True), labels.size, axis=1)
    columns[:, np.searchsorted(labels, model.labels)] = scores
    return columns


def _accuracy(seen: _Validation, scores: Scores) -> float:
    return float((scores.argmax(axis=1) == seen.right).mean())


def _choice(name: str, seen: _Validation, weight: float, retention: float) -> Choice:
    scores, outside = _of(name, seen.scores, weight), _of(name, seen.out_of_scope, weight)
    held, is_right = confidence(scores), scores.argmax(axis=1) == seen.right
    beyond = confidence(outside) if outside.size else np.empty(0)
    kept = chosen_retention(held, is_right, beyond, retention)
    threshold = threshold_by_retention(held, kept)
    return Choice(
        name,
        threshold,
        kept,
        float(is_right.mean()),
        float((is_right & (held >= threshold)).mean()),
        float((beyond < threshold).mean()) if beyond.size else None,
    )


def _of(name: str, scores: Mapping[str, Scores], weight: float) -> Scores:
    if not scores:
        return np.empty((0, 0))
    return fused(scores[LINEAR], scores[EMBEDDED], weight) if name == FUSED else scores[name]
