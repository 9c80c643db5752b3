"""A share that a composition was calibrated for, beside the realised one: no alarm by chance or for what is small."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.compose.share_drift import Share, share_drift


def test_a_share_drifts_when_the_whole_interval_lies_beyond_the_tolerance() -> None:
    promised = Share(150, 500)
    as_promised, more, a_little, few = (
        share_drift("escalated", promised, realised, tolerance=0.05)
        for realised in (Share(120, 390), Share(250, 390), Share(150, 390), Share(8, 10))
    )
    assert [one.drifted for one in (as_promised, more, a_little, few)] == [False, True, False, False]
    assert share_drift("escalated", Share(250, 390), promised, tolerance=0.05).drifted, "less is a drift, too"
    assert str(more).startswith("escalated: 64.1% of 390, 30.0% of 500 were promised (difference +2")


def test_the_interval_is_newcombes() -> None:
    found = share_drift("x", Share(48, 80), Share(56, 70), tolerance=0, confidence=0.95)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


@given(count=st.integers(0, 300), n=st.integers(1, 300), k=st.integers(0, 50), m=st.integers(0, 50))
def test_equal_shares_never_drift_and_the_interval_holds_the_difference(count: int, n: int, k: int, m: int) -> None:
    same = Share(min(count, n), n)
    assert not share_drift("x", same, same, tolerance=0).drifted
    found = share_drift("x", same, Share(min(k, m), m), tolerance=0)
    assert -1 <= found.low <= found.high <= 1
    if m:
        assert found.low <= found.realised.value - found.promised.value <= found.high
    else:
        assert not found.drifted, "nothing was published"


def test_one_night_in_a_thousand_at_most_is_wrong() -> None:
    draw = np.random.default_rng(0)
    promised, realised = draw.binomial(500, 0.3, 4000), draw.binomial(390, 0.3, 4000)
    alarms = sum(
        share_drift("x", Share(int(a), 500), Share(int(b), 390), tolerance=0.0).drifted
        for a, b in zip(promised, realised, strict=True)
    )
    assert alarms <= 12, "0.1 % of 4,000 nights, and three standard errors"
