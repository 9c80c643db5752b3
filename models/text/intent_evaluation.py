"""Evaluation of an intent composition beside its children, on test rows that no choice has seen."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval
from models.text.embedder import Embedder, RememberingEmbedder
from models.text.intent_steps import margin
from models.text.intent_training import EMBEDDED, FUSED, LINEAR, Choice, TrainedIntents, train_intents
from models.text.intents import Scores, predicted
from models.text.out_of_scope import OUT_OF_SCOPE, confidence
from models.text.paired import paired_difference, share_interval

Flags = NDArray[np.bool_]
NAMES = (LINEAR, EMBEDDED, FUSED)
#: The router from the linear model to the fusion.
ROUTED = "routed"
#: Texts that CPU time is measured on, spread evenly over the test rows.
_TIMED = 300


@dataclass(frozen=True)
class ModelResult:
    """Results of one model on the test rows.

    Attributes:
        choice: threshold and retention, chosen on validation rows; None for the router, which keeps those of both.
        accuracy: on test rows in scope, nothing refused.
        in_scope_accuracy: share of them that are answered, at the threshold, and right.
        out_of_scope_recall: share of the out-of-scope test rows that are refused; None without any.
        overall_accuracy: share of all test rows that are right at the threshold; refusing is right out of scope.
        lead: accuracy of the composition minus that of this model, paired; None for the composition itself.
        cpu_ms_per_text: CPU time of one text among many, embedding included.
        eur_per_1000: EUR for the CPU of 1,000 texts.
    """

    choice: Choice | None
    accuracy: Interval
    in_scope_accuracy: Interval
    out_of_scope_recall: Interval | None
    overall_accuracy: Interval
    lead: Interval | None
    cpu_ms_per_text: float
    eur_per_1000: float


@dataclass(frozen=True)
class IntentEvaluation:
    """Results by name of the model, and the rows they come from.

    Attributes:
        results: `linear`, `embedded`, `fused`, `routed`.
        asked: share of the test rows that the router asks the fusion for.
        trained: the models and what was chosen.
        train_rows: in scope and out of scope.
        test_rows: in scope and out of scope.
        labels: number of labels in scope.
        unknown_labels: labels of test rows that no training row has: every model is wrong there.
        shared_texts: test texts that are training texts, too.
        look_alikes: labels that are `oos` but for the case of their letters; they count as in scope.
    """

    results: Mapping[str, ModelResult]
    asked: float
    trained: TrainedIntents
    train_rows: tuple[int, int]
    test_rows: tuple[int, int]
    labels: int
    unknown_labels: tuple[str, ...]
    shared_texts: int
    look_alikes: tuple[str, ...]


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their labels; `oos` is out of scope."""

    texts: Sequence[str]
    labels: Sequence[str]

    def counted(self) -> tuple[int, int]:
        """Return the number of rows in scope and out of scope."""
        outside = sum(label == OUT_OF_SCOPE for label in self.labels)
        return len(self.labels) - outside, outside


def evaluate_intents(
    train: LabelledTexts,
    test: LabelledTexts,
    embedder: Embedder,
    *,
    retention: float,
    price_per_cpu_hour: float,
    seed: int = 0,
    remembered: RememberingEmbedder | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> IntentEvaluation:
    """Return results of the composition and its children, which are trained here.

    Args:
        train: training rows; all choices are made on a part of them.
        test: test rows.
        embedder: its weights stay as they are.
        retention: share of validation texts in scope that thresholds keep, unless `oos` training rows choose it.
        price_per_cpu_hour: EUR.
        seed: of the split.
        remembered: the embedder with the vectors that it has computed before; None: none.
        progress: called with what is being done.

    Raises:
        TesseraError: the training rows have too few labels.
    """
    remembered = remembered or RememberingEmbedder(embedder)
    progress(f"embed {len(train.texts):,} training texts")
    remembered.layers(train.texts)
    trained = train_intents(train.texts, train.labels, remembered, retention=retention, seed=seed, progress=progress)
    progress(f"score {len(test.texts):,} test texts")
    cpu = _cpu_seconds(trained, embedder, test.texts)
    scores = {name: trained.models[name].scores(test.texts) for name in NAMES}
    marked = {name: _mark(trained, name, scores[name], test.labels) for name in NAMES}
    asked = margin(scores[LINEAR]) < trained.router.threshold
    marked[ROUTED] = _either(asked, marked[FUSED], marked[LINEAR])
    cpu[ROUTED] = cpu[LINEAR] + float(asked.mean()) * (cpu[FUSED] - cpu[LINEAR])
    results = {
        name: ModelResult(
            trained.choices.get(name),
            *_shares(one),
            None if name == FUSED else paired_difference(_inside(marked[FUSED]), _inside(one)),
            cpu[name] * 1000,
            cpu[name] * 1000 / 3600 * price_per_cpu_hour,
        )
        for name, one in marked.items()
    }
    known = set(trained.models[FUSED].labels.tolist())
    return IntentEvaluation(
        results,
        float(asked.mean()),
        trained,
        train.counted(),
        test.counted(),
        len(known),
        tuple(sorted(set(test.labels) - known - {OUT_OF_SCOPE})),
        len(set(train.texts) & set(test.texts)),
        tuple(sorted(one for one in {*train.labels, *test.labels} - {OUT_OF_SCOPE} if one.lower() == OUT_OF_SCOPE)),
    )


@dataclass(frozen=True)
class _Marked:
    """Marks of one model, one per test row.

    Attributes:
        is_inside: the row is in scope.
        is_right: the highest score is that of the row's label.
        is_refused: the confidence is below the threshold.
    """

    is_inside: Flags
    is_right: Flags
    is_refused: Flags


def _mark(trained: TrainedIntents, name: str, scores: Scores, labels: Sequence[str]) -> _Marked:
    right = np.array(labels)
    refused = confidence(scores) < trained.choices[name].threshold
    return _Marked(right != OUT_OF_SCOPE, predicted(trained.models[name], scores) == right, refused)


def _either(chosen: Flags, first: _Marked, second: _Marked) -> _Marked:
    """Return the marks of the first model where `chosen` is true, of the second elsewhere."""
    right, refused = (
        np.where(chosen, one, other)
        for one, other in ((first.is_right, second.is_right), (first.is_refused, second.is_refused))
    )
    return _Marked(first.is_inside, right, refused)


def _inside(rows: _Marked) -> Flags:
    return rows.is_right[rows.is_inside]


def _shares(rows: _Marked) -> tuple[Interval, Interval, Interval | None, Interval]:
    """Return accuracy, in-scope accuracy, out-of-scope recall and overall accuracy."""
    answered = rows.is_right & ~rows.is_refused
    outside = rows.is_refused[~rows.is_inside]
    return (
        share_interval(_inside(rows)),
        share_interval(answered[rows.is_inside]),
        share_interval(outside) if outside.size else None,
        share_interval(np.where(rows.is_inside, answered, rows.is_refused)),
    )


def _cpu_seconds(trained: TrainedIntents, embedder: Embedder, texts: Sequence[str]) -> dict[str, float]:
    """Return CPU seconds per text of each model, of some texts that come together; the fusion runs both children."""
    places: list[int] = np.unique(np.linspace(0, len(texts) - 1, _TIMED).astype(int)).tolist()
    timed = [texts[place] for place in places]
    embedding = _timed(lambda: embedder.layers(timed)) / len(timed)
    trained.models[EMBEDDED].scores(timed)  # remembers the vectors, so that only the head is timed below
    linear, head = (_timed(lambda name=name: trained.models[name].scores(timed)) / len(timed) for name in NAMES[:2])
    return {LINEAR: linear, EMBEDDED: embedding + head, FUSED: linear + embedding + head}


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
