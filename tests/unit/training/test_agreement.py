"""Spearman's correlation with ties, and what is said of two models that rank otherwise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from models.tasks.binary import BINARY
from models.training.agreement import Agreement, RefitConfig, agreement

LIMITS = RefitConfig()


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=3, max_size=60))
def test_it_is_spearmans_correlation_with_ties_at_their_mean_rank(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(side, dtype=np.float64) / 10 for side in zip(*pairs, strict=True))
    found = agreement(one, other, BINARY.shift)
    if np.ptp(one) and np.ptp(other):
        assert found.rank_correlation == pytest.approx(spearmanr(one, other).statistic, abs=1e-12)
    assert found.mean_shift == pytest.approx(other.mean() - one.mean())


def test_the_same_ranks_and_nearly_the_same_mean_agree() -> None:
    scores = np.linspace(0.1, 0.9, 50)
    assert agreement(scores, scores + 0.0199, BINARY.shift).problems(LIMITS) == []
    assert len(agreement(scores, scores + 0.021, BINARY.shift).problems(LIMITS)) == 1
    assert len(agreement(scores, scores[::-1], BINARY.shift).problems(LIMITS)) == 1


@pytest.mark.parametrize("other", [np.full(50, 0.5), np.full(50, np.nan)])
def test_what_cannot_be_compared_never_agrees(other: np.ndarray) -> None:
    scores = np.linspace(0.1, 0.9, 50)
    with np.errstate(invalid="ignore"):
        assert agreement(scores, other, BINARY.shift).problems(LIMITS)


def test_no_rows_never_agree_and_two_constants_do() -> None:
    assert agreement(np.empty(0), np.empty(0), BINARY.shift).problems(LIMITS)
    assert agreement(np.full(5, 0.3), np.full(5, 0.31), BINARY.shift).problems(LIMITS) == []
    assert math.isnan(Agreement(0, math.nan, math.nan).rank_correlation)
