"""Our metrics against scikit-learn's, and against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sk_log_loss

from models.errors import TesseraError
from models.evaluation.metrics import (
    auc,
    average_precision,
    brier,
    calibration_line,
    entity_precision_at,
    log_loss,
    measure,
    precision_at,
    reliability,
)
from models.training.calibration import fit_platt, log_odds, sigmoid
from models.training.model import Labels, Vector


@st.composite
def judged(draw: st.DrawFn) -> tuple[Labels, Vector]:
    """Labels of both classes, and scores with many ties."""
    n = draw(st.integers(2, 60))
    labels = draw(arrays(np.int8, n, elements=st.integers(0, 1)))
    labels[0], labels[1] = 0, 1
    scores = draw(arrays(np.float64, n, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 0.71, 1.0])))
    return labels, scores


@given(judged())
@settings(max_examples=60, deadline=None)
@pytest.mark.slow
def test_equal_to_scikit_learn_ties_included(pair: tuple[Labels, Vector]) -> None:
    labels, scores = pair
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert brier(labels, scores) == pytest.approx(brier_score_loss(labels, scores), abs=1e-12)
    assert log_loss(labels, scores) == pytest.approx(sk_log_loss(labels, np.clip(scores, 1e-15, 1 - 1e-15)), rel=1e-9)


@given(judged())
@settings(max_examples=25, deadline=None)
def test_ranking_does_not_depend_on_scale(pair: tuple[Labels, Vector]) -> None:
    labels, scores = pair
    assert auc(labels, scores) == pytest.approx(auc(labels, 3 * scores - 7), abs=1e-12)
    assert auc(labels, scores) == pytest.approx(1 - auc(labels, -scores), abs=1e-12)


def test_one_class_has_no_ranking() -> None:
    for metric in (auc, average_precision):
        with pytest.raises(TesseraError, match="3 rows hold 0 positive"):
            metric(np.zeros(3, np.int8), np.arange(3.0))


def test_precision_at_counts_the_highest() -> None:
    labels = np.array([1, 0, 1, 0, 1], np.int8)
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    assert precision_at(labels, scores, 3) == pytest.approx(2 / 3)
    assert precision_at(labels, scores, 50) == pytest.approx(3 / 5)


def test_calibration_error_of_two_bins_by_hand() -> None:
    labels = np.array([0, 1, 1, 1], np.int8)
    bins = reliability(labels, np.array([0.1, 0.1, 0.8, 0.8]), bins=2)
    assert bins.predicted == pytest.approx([0.1, 0.8])
    assert bins.observed == pytest.approx([0.5, 1.0])
    assert bins.ece == pytest.approx((0.4 + 0.2) / 2)


def test_chance_is_the_error_that_honest_probabilities_show() -> None:
    rng = np.random.default_rng(3)
    shown, stated = [], []
    for _ in range(200):
        p = rng.beta(2, 3, 500)
        bins = reliability((rng.random(500) < p).astype(np.int8), p)
        shown.append(bins.ece)
        stated.append(bins.chance)
    assert np.mean(shown) == pytest.approx(np.mean(stated), rel=0.05)


def test_calibration_line_finds_what_was_done_to_honest_probabilities() -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(2, 3, 40_000)
    labels = (rng.random(p.size) < p).astype(np.int8)
    assert calibration_line(labels, p) == pytest.approx((1, 0), abs=0.06)
    overconfident = sigmoid(2 * log_odds(p) + 1)
    assert calibration_line(labels, overconfident) == pytest.approx((0.5, -0.5), abs=0.06)


def test_platt_equals_an_unpenalised_logistic_regression_on_smoothed_targets() -> None:
    rng = np.random.default_rng(5)
    raw = rng.normal(size=400) * 3 + 1
    labels = (rng.random(400) < sigmoid(0.4 * raw - 1)).astype(np.int8)
    up, down = (labels.sum() + 1) / (labels.sum() + 2), 1 / (400 - labels.sum() + 2)
    target = np.where(labels == 1, up, down)
    twice, weights = np.tile(raw, 2)[:, None], np.concatenate([target, 1 - target])
    other = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky")
    other.fit(twice, np.repeat([1, 0], 400), sample_weight=weights)
    platt = fit_platt(raw, labels)
    assert platt.slope == pytest.approx(other.coef_[0, 0], abs=1e-6)
    assert platt.intercept == pytest.approx(other.intercept_[0], abs=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_platt_rises_whatever_it_is_given(sign: int) -> None:
    raw = sign * np.linspace(-3, 3, 50)
    labels = (np.arange(50) >= 25).astype(np.int8)
    platt = fit_platt(raw, labels)
    assert platt.slope > 0
    assert platt(raw).mean() == pytest.approx(0.5, abs=0.02)


@given(arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)))
@settings(max_examples=25, deadline=None)
def test_sigmoid_stays_within_bounds_and_is_undone_by_log_odds(x: Vector) -> None:
    p = sigmoid(x)
    assert ((p >= 0) & (p <= 1)).all()
    inside = np.abs(x) < 15
    assert log_odds(p)[inside] == pytest.approx(x[inside], abs=1e-6)


def test_measure_names_everything() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0], np.int8)
    values = measure(labels, np.array([0.1, 0.9, 0.4, 0.5, 0.6, 0.3]), top=2)
    assert values["auc"] == 1.0
    assert values["precision_at_top"] == 1.0
    assert values["positive_share"] == 0.5


def test_entities_found_on_a_day_are_not_looked_for_again() -> None:
    """Two days, one card looked at per day. Card 1 is found on the first day, so on the second card 2 is looked at."""
    days = np.array(["2018-08-08"] * 3 + ["2018-08-09"] * 3, dtype="datetime64[D]")
    cards = np.array([1, 1, 2, 1, 2, 3])
    labels = np.array([0, 1, 0, 1, 0, 1], dtype=np.int8)
    scores = np.array([0.9, 0.1, 0.5, 0.99, 0.4, 0.3])
    assert entity_precision_at(labels, scores, cards, days, 1) == 0.5
    assert entity_precision_at(labels, scores, cards, days, 2) == (0.5 + 0.5) / 2
    assert entity_precision_at(labels, -scores, cards, days, 1) == 1.0
