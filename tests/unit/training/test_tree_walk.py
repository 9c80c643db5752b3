"""A walk down the trees gives XGBoost's margins to the bit, for any booster it accepts."""

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st

from models.training.calibration import Platt
from models.training.tree_walk import TreeWalk
from models.training.xgboost_model import XGBoostModel


def booster(seed: int, **parameters: object) -> tuple[xgb.Booster, np.ndarray]:
    """Return a booster on noise with ties and gaps, and other such rows."""
    draws = np.random.default_rng(seed)
    rows = draws.normal(size=(400, 6)).astype(np.float32).round(1)
    rows[draws.random(rows.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(rows[:200]).sum(axis=1) + draws.normal(size=200) > 0.5).astype(np.float32)
    chosen = {"objective": "binary:logistic", "nthread": 1, "seed": seed} | parameters
    return xgb.train(chosen, xgb.DMatrix(rows[:200], labels), int(draws.integers(1, 20))), rows[200:]


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    depth=st.integers(1, 7),
    base=st.sampled_from([None, 0.001, 0.3, 0.5, 0.97]),
    policy=st.sampled_from(["depthwise", "lossguide"]),
    objective=st.sampled_from(["binary:logistic", "reg:squarederror"]),
)
def test_margins_are_those_of_xgboost(seed: int, depth: int, base: float | None, policy: str, objective: str) -> None:
    chosen = {"base_score": base} if base is not None else {}
    trees, rows = booster(seed, max_depth=depth, grow_policy=policy, objective=objective, **chosen)
    walk = TreeWalk.of(trees)
    assert walk is not None
    expected = trees.inplace_predict(rows, predict_type="margin")
    assert np.array_equal(walk.margins(rows), expected)
    assert np.array_equal(np.concatenate([walk.margins(rows[place : place + 1]) for place in range(20)]), expected[:20])


def test_a_row_scores_the_same_alone_and_among_others() -> None:
    trees, rows = booster(3, max_depth=4)
    model = XGBoostModel(trees, Platt(1.1, -0.2))
    assert [model.predict(row[None, :])[0] for row in rows] == model.predict(rows).tolist()
    assert model.predict(rows[:0]).tolist() == []


@pytest.mark.parametrize(
    "parameters", [{"booster": "dart"}, {"booster": "gblinear"}, {"objective": "multi:softprob", "num_class": 2}]
)
def test_other_boosters_are_left_to_xgboost(parameters: dict[str, object]) -> None:
    trees, _ = booster(1, **parameters)
    assert TreeWalk.of(trees) is None


def test_categories_are_left_to_xgboost() -> None:
    draws = np.random.default_rng(0)
    rows = draws.integers(0, 5, (200, 2)).astype(np.float32)
    kinds = xgb.DMatrix(rows, rows[:, 0] == 2, feature_types=["c", "q"], enable_categorical=True)
    trees = xgb.train({"objective": "binary:logistic", "max_cat_to_onehot": 1, "nthread": 1}, kinds, 2)
    assert TreeWalk.of(trees) is None


def test_a_walk_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, _ = booster(2)
    monkeypatch.setattr("models.training.tree_walk._base", lambda _: np.float32(0.1))
    assert TreeWalk.of(trees) is None
