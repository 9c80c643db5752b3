"""The imputer is scikit-learn's own, fitted in another way: the same to the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.impute import SimpleImputer

from models.training.imputation import median_imputer

# scikit-learn has no static types.
# pyright: basic

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=7)
NUMBERS = st.floats(-1e6, 1e6, width=32) | st.just(float("nan")) | st.sampled_from([0.0, 1.0])


@pytest.mark.parametrize("add_indicator", [False, True])
@given(rows=arrays(np.float32, SHAPES, elements=NUMBERS))
@example(rows=np.array([[1, np.nan, 3], [2, np.nan, 3]], np.float32))
@example(rows=np.random.default_rng(1).normal(size=(1001, 2)))
def test_it_is_as_if_scikit_learn_had_fitted_it_to_all_rows(rows: Any, add_indicator: bool) -> None:
    ours: Any = median_imputer(rows, add_indicator=add_indicator)
    theirs: Any = SimpleImputer(strategy="median", add_indicator=add_indicator, keep_empty_features=True).fit(rows)
    assert ours.statistics_.dtype == theirs.statistics_.dtype
    np.testing.assert_array_equal(ours.statistics_, theirs.statistics_)
    assert ours.transform(rows).tobytes() == theirs.transform(rows).tobytes()
    nothing = np.full_like(rows, np.nan)
    np.testing.assert_array_equal(ours.transform(nothing), theirs.transform(nothing))
