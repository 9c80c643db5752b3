"""One query vector takes a shorter way through the checks, with the same outcome."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import RefusedValue
from models.vectors.rows import checked_queries
from models.vectors.spec import Metric

NUMBERS = st.floats(width=32) | st.sampled_from([0.0, 1.0, 1e-30, 3e38, 0.5])


def outcome(vectors: Any, metric: Metric) -> np.ndarray | str:
    try:
        return np.array(checked_queries(vectors, 4, metric)[0], np.float32)
    except RefusedValue as refused:
        return refused.what


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["cosine", "dot", "euclid"])
@given(vector=arrays(np.float32, 4, elements=NUMBERS))
def test_one_vector_is_checked_as_among_others(metric: Metric, vector: np.ndarray) -> None:
    alone, among = outcome(vector[None, :], metric), outcome(np.stack([vector, np.ones(4, np.float32)]), metric)
    if isinstance(alone, str) or isinstance(among, str):
        assert alone == among
    else:
        assert np.allclose(alone, among, rtol=1e-6)
