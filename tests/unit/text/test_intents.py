"""Intent models: children, fusion, thresholds and splits; every choice is made on rows of the training file."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from models.text import intent_training
from models.text.hashed import HashedEmbedder
from models.text.intent_evaluation import ROUTED, LabelledTexts, evaluate_intents
from models.text.intent_training import EMBEDDED, FUSED, LINEAR, WEIGHTS, train_intents
from models.text.intents import FusedIntents, fit_embedding_intents, fit_linear_intents, fused, predicted
from models.text.label_names import label_text, names_may_help
from models.text.out_of_scope import RETENTIONS, chosen_retention, threshold_by_retention
from models.text.paired import paired_difference, share_interval
from models.text.splitting import text_folds
from tests.unit.text.tickets import OUT_OF_SCOPE_TEXTS, tickets

TRAIN, TEST = tickets(12, seed=1), tickets(6, seed=2)
EMBEDDER = HashedEmbedder(256)


def test_children_and_their_fusion_learn_what_texts_are_about() -> None:
    linear = fit_linear_intents(TRAIN.texts, TRAIN.labels)
    embedded = fit_embedding_intents(EMBEDDER, TRAIN.texts, TRAIN.labels)
    both = FusedIntents(linear, embedded, 2.0)
    for model in (linear, embedded, both):
        scores = model.scores(TEST.texts)
        assert scores.shape == (len(TEST.texts), 4)
        assert (predicted(model, scores) == np.array(TEST.labels)).mean() > 0.9
    expected = 2.0 * linear.scores(TEST.texts) + embedded.scores(TEST.texts)
    assert both.scores(TEST.texts).argmax(1).tolist() == expected.argmax(1).tolist()


@pytest.mark.parametrize("texts", [["🙂", "🙁"] * 2, ["a", "b"] * 3, ["你好", "再见"] * 2])
def test_two_labels_and_texts_without_words_can_be_learnt(texts: list[str]) -> None:
    labels = ["x", "y"] * (len(texts) // 2)
    for model in (fit_linear_intents(texts, labels), fit_embedding_intents(EMBEDDER, texts, labels)):
        assert model.scores(texts).shape == (len(texts), 2)
        assert predicted(model, model.scores(texts)).tolist() == labels


def test_an_embedding_shift_of_all_logits_changes_neither_label_nor_confidence() -> None:
    margins, logits = np.random.default_rng(0).normal(size=(2, 9, 4))
    assert fused(margins, logits + 7, 2.0) == pytest.approx(fused(margins, logits, 2.0))


@pytest.mark.parametrize(
    ("label", "text"),
    [("card_arrival", "card arrival"), ("cardArrival", "card arrival"), ("top-up by_Card?", "top up by card")],
)
def test_the_name_of_a_label_is_read_as_words(label: str, text: str) -> None:
    assert label_text(label) == text


def test_the_name_of_a_label_teaches_words_that_no_text_of_it_has() -> None:
    texts, labels = ["my parcel is late", "no money came", "parcel", "money"], ["delivery", "refund"] * 2
    for fit in (fit_linear_intents, partial(fit_embedding_intents, EMBEDDER)):
        model = fit(texts, labels, by_name=True)
        assert predicted(model, model.scores(["refund", "delivery"])).tolist() == ["refund", "delivery"]
        assert model.labels.tolist() == ["delivery", "refund"]


@pytest.mark.parametrize(
    ("labels", "may"),
    [
        (["late", "money"], True),
        (["0", "1"], False),
        (["a-b c", "a_b_c"], False),
        (["late", "money"] * 51, False),
        ([*(f"label {letter}" for letter in "abcdefghij"), "no"], True),
    ],
)
def test_names_are_tried_where_they_are_words_and_texts_are_few(labels: list[str], may: bool) -> None:
    assert names_may_help(labels) is may


def test_a_head_that_was_trained_on_vectors_alone_reads_the_last_columns() -> None:
    head = fit_embedding_intents(EMBEDDER, TRAIN.texts, TRAIN.labels)
    vectors = EMBEDDER.embed(TEST.texts)
    wide = np.hstack([np.ones_like(vectors), vectors])
    assert np.array_equal(head.scores_of(wide), head.scores_of(vectors))


class TestSplitting:
    @settings(max_examples=25)
    @given(
        st.lists(st.tuples(st.sampled_from(["ab", "cd", "ef", "gh"]), st.sampled_from("xyz")), min_size=1), st.randoms()
    )
    def test_equal_texts_share_a_fold_in_any_order_of_rows(self, rows: list[tuple[str, str]], random: object) -> None:
        texts, labels = [text for text, _ in rows], [label for _, label in rows]
        folds = text_folds(texts, labels, k=3, seed=0)
        assert set(folds.tolist()) <= {0, 1, 2}
        by_text = {
            text: {int(fold) for other, fold in zip(texts, folds, strict=True) if other == text} for text in texts
        }
        assert all(len(found) == 1 for found in by_text.values())

    def test_labels_are_spread_evenly(self) -> None:
        texts = [f"text {number}" for number in range(50)]
        labels = ["a"] * 30 + ["b"] * 20
        folds = text_folds(texts, labels, k=5, seed=3)
        assert Counter(zip(labels, folds.tolist(), strict=True)) == {
            **{("a", fold): 6 for fold in range(5)},
            **{("b", fold): 4 for fold in range(5)},
        }
        assert folds.tolist() != text_folds(texts, labels, k=5, seed=4).tolist()

    def test_spaces_and_case_do_not_make_another_text(self) -> None:
        folds = text_folds(["Where is it", " where  IS it ", "x", "y", "z"], list("aaabb"), k=2, seed=0)
        assert folds[0] == folds[1]


class TestThresholds:
    @given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(0.5, 1.0))
    def test_a_threshold_keeps_at_least_its_share(self, confidences: list[float], retention: float) -> None:
        held = np.array(confidences)
        assert (held >= threshold_by_retention(held, retention)).mean() >= retention - 1e-9

    def test_few_rows_out_of_scope_choose_nothing(self) -> None:
        held, right = np.linspace(1, 2, 100), np.ones(100, bool)
        assert chosen_retention(held, right, np.full(29, 1.5), 0.95) == 0.95
        assert chosen_retention(held, right, np.full(30, 0.5), 0.95) == RETENTIONS[0]
        assert chosen_retention(held, right, np.full(30, 1.14), 0.95) == 0.855


class TestPairedIntervals:
    def test_a_lead_has_an_interval_that_shrinks_with_agreement(self) -> None:
        first, second = np.arange(1000) < 940, np.arange(1000) < 930
        lead = paired_difference(first, second)
        assert lead.value == pytest.approx(0.01)
        assert 0 < lead.low < 0.01 < lead.high < 0.02
        crossed = paired_difference(first, np.arange(1000) >= 70)
        assert crossed.value == pytest.approx(0.01)
        assert crossed.low < 0 < crossed.high

    def test_equal_models_lead_by_nothing(self) -> None:
        right = np.array([True, False, True])
        assert paired_difference(right, right).low == paired_difference(right, right).high == 0.0
        assert share_interval(np.ones(5, bool)).low == 1.0


class TestTraining:
    @pytest.mark.slow
    def test_the_weight_is_the_best_on_validation_rows(self) -> None:
        found = train_intents(TRAIN.texts, TRAIN.labels, EMBEDDER)
        assert set(found.weight_accuracy) == set(WEIGHTS)
        assert found.weight_accuracy[found.weight] == max(found.weight_accuracy.values())
        assert found.choices[FUSED].accuracy == found.weight_accuracy[found.weight]
        assert found.validation_rows == len(TRAIN.texts)

    @pytest.mark.slow
    def test_names_of_labels_are_left_out_if_they_are_shown_to_harm(self) -> None:
        assert train_intents(TRAIN.texts, TRAIN.labels, EMBEDDER).by_name
        words = [f"{first}{second}" for first in ("red", "blue", "green") for second in ("fox", "dog", "owl")]
        texts = [f"{word} {number}" for word in words for number in range(3)]
        turned = [word for word in words[1:] + words[:1] for _ in range(3)]
        assert not train_intents(texts, turned, EMBEDDER).by_name

    def test_many_rows_need_fewer_folds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(intent_training, "ENOUGH_ROWS", 15)
        steps: list[str] = []
        found = train_intents(TRAIN.texts, TRAIN.labels, EMBEDDER, progress=steps.append)
        assert steps[:2] == ["validate, fold 1 of 2", "validate, fold 2 of 2"]
        assert 15 <= found.validation_rows < len(TRAIN.texts)

    @pytest.mark.slow
    def test_rows_out_of_scope_train_no_label_and_choose_the_threshold(self) -> None:
        outside = OUT_OF_SCOPE_TEXTS
        found = train_intents([*TRAIN.texts, *outside], [*TRAIN.labels, *["oos"] * len(outside)], EMBEDDER)
        assert "oos" not in found.models[FUSED].labels
        assert (found.choices[FUSED].out_of_scope_recall or 0) > 0.8
        assert train_intents(TRAIN.texts, TRAIN.labels, EMBEDDER).choices[FUSED].out_of_scope_recall is None

    @pytest.mark.slow
    def test_a_label_with_one_text_is_learnt_and_counts_as_wrong_in_validation(self) -> None:
        found = train_intents([*TRAIN.texts, "zebra"], [*TRAIN.labels, "animal"], EMBEDDER)
        assert "animal" in found.models[LINEAR].labels

    @pytest.mark.parametrize(
        ("texts", "labels"),
        [([], []), (["a", "b"], ["x", "x"]), (["a", "a", "b", "b"], ["x", "x", "y", "y"]), (["a", "b"], ["oos", "x"])],
    )
    def test_too_little_to_train_on_is_refused(self, texts: list[str], labels: list[str]) -> None:
        with pytest.raises(TesseraError, match=r"too little to train.*two different texts"):
            train_intents(texts, labels, EMBEDDER)


class TestEvaluation:
    @pytest.mark.slow
    def test_results_of_composition_and_children_on_test_rows(self) -> None:
        test = LabelledTexts([*TEST.texts, *OUT_OF_SCOPE_TEXTS], [*TEST.labels, *["oos"] * len(OUT_OF_SCOPE_TEXTS)])
        found = evaluate_intents(TRAIN, test, EMBEDDER, retention=0.95, price_per_cpu_hour=3.6)
        assert list(found.results) == [LINEAR, EMBEDDED, FUSED, ROUTED]
        assert found.asked == 1  # so few texts prove nothing
        for one in found.results.values():
            assert one.in_scope_accuracy.value <= one.accuracy.value
            assert one.out_of_scope_recall is not None
            assert one.cpu_ms_per_text > 0
            assert one.eur_per_1000 == pytest.approx(one.cpu_ms_per_text * 1e-3)
            inside, outside = len(TEST.texts), len(OUT_OF_SCOPE_TEXTS)
            right = one.in_scope_accuracy.value * inside + one.out_of_scope_recall.value * outside
            assert one.overall_accuracy.value == pytest.approx(right / (inside + outside))
        composed, linear = found.results[FUSED], found.results[LINEAR]
        assert composed.lead is None
        assert linear.lead is not None
        assert linear.lead.value == pytest.approx(composed.accuracy.value - linear.accuracy.value)
        assert composed.cpu_ms_per_text > linear.cpu_ms_per_text

    @pytest.mark.slow
    def test_nothing_is_chosen_by_test_rows(self) -> None:
        flipped = LabelledTexts(TEST.texts, TEST.labels[::-1])
        one, other = (
            evaluate_intents(TRAIN, rows, EMBEDDER, retention=0.95, price_per_cpu_hour=1).trained
            for rows in (TEST, flipped)
        )
        assert (one.choices, one.weight, one.weight_accuracy) == (other.choices, other.weight, other.weight_accuracy)

    def test_unknown_labels_and_shared_texts_are_told(self) -> None:
        test = LabelledTexts([*TEST.texts, TRAIN.texts[0]], [*TEST.labels[:-1], "new", TRAIN.labels[0]])
        found = evaluate_intents(TRAIN, test, EMBEDDER, retention=0.95, price_per_cpu_hour=1)
        assert found.unknown_labels == ("new",)
        assert found.shared_texts >= 1
        assert found.results[FUSED].accuracy.value < 1


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hi you", "hello!", "bye", "🙂", "?", "see you", "你好", "7"]), st.sampled_from("abc")
        ),
        min_size=2,
        max_size=12,
    )
)
@example([("hi you", "a"), ("hi you", "b"), ("hello!", "b"), ("hello!", "a")])
def test_few_rows_are_trained_and_validated_or_refused_in_words(rows: list[tuple[str, str]]) -> None:
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    texts_of = {label: {text for text, other in rows if other == label} for label in labels}
    if sum(len(found) > 1 for found in texts_of.values()) < 2:
        with pytest.raises(TesseraError, match="too little to train"):
            train_intents(texts, labels, EMBEDDER)
        return
    trained = train_intents(texts, labels, EMBEDDER)
    assert 0 < trained.validation_rows <= len(texts)
    assert trained.models[FUSED].scores(["hi", ""]).shape == (2, len(set(labels)))
