"""Drift is found where it is, not where it is not, and small sets do not cry wolf."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scoring.config import DriftConfig
from models.scoring.drift import DriftMeter, DriftReference, DriftReport, drift_reference
from models.scoring.psi import shift

DEFAULTS = DriftConfig()
FEATURES = ["recency_days", "spend_eur", "country"]


def _night(
    seed: int, count: int = 20_000, *, later: float = 0, nulls: float = 0.02, countries: str = "DFU"
) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "recency_days": pa.array(rng.integers(0, 180, count) + later, pa.float64(), mask=rng.random(count) < nulls),
            "spend_eur": pa.array(rng.gamma(2, 50, count).astype(np.float32)),
            "country": rng.choice(list(countries), count),
        }
    )


def _report(
    reference: DriftReference, night: pa.Table, config: DriftConfig = DEFAULTS, rows: int = 3_000
) -> DriftReport:
    meter = DriftMeter(reference, config)
    passed = pa.Table.from_batches(list(meter.watch(night.to_batches(max_chunksize=rows))))
    assert passed.equals(night)
    return meter.report()


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return drift_reference(_night(1), FEATURES, DriftConfig())


def test_psi_of_a_worked_example() -> None:
    """Shares 0.5/0.5 against 0.2/0.8, by hand: -0.3 ln 0.4 + 0.3 ln 1.6 = 0.41589."""
    assert shift(np.array([5e6, 5e6]), np.array([2e6, 8e6])).psi == pytest.approx(0.3 * math.log(4), rel=1e-5)


@pytest.mark.parametrize(("bins", "quantile"), [(2, 10.828), (10, 27.877), (20, 43.820)])
def test_chance_is_the_chi_square_quantile_of_the_tables(bins: int, quantile: float) -> None:
    moved = shift(np.full(bins, 100.0), np.full(bins, 100.0))
    assert moved.by_chance == pytest.approx((2 / (100 * bins)) * quantile, rel=1e-4)


def test_one_in_a_thousand_equal_pairs_exceeds_chance() -> None:
    rng = np.random.default_rng(4)
    pairs = [shift(*rng.multinomial(500, np.full(10, 0.1), 2).astype(float)) for _ in range(3_000)]
    assert sum(pair.psi > pair.by_chance for pair in pairs) <= 12


def test_the_same_population_has_not_drifted(reference: DriftReference) -> None:
    report = _report(reference, _night(2))
    assert report.max_psi < 0.02
    assert not any(row.drifted for row in report.features)


def test_a_shifted_feature_is_the_first_row(reference: DriftReference) -> None:
    report = _report(reference, _night(2, later=60))
    assert [row.feature for row in report.features if row.drifted] == ["recency_days"]
    assert report.features[0].feature == "recency_days"
    assert report.max_psi == report.features[0].psi > 0.25


def test_a_null_share_that_grows_is_drift(reference: DriftReference) -> None:
    row = _report(reference, _night(2, nulls=0.4)).features[0]
    assert (row.feature, row.drifted) == ("recency_days", True)
    assert row.null_share == pytest.approx(0.4, abs=0.02)
    assert row.null_share_in_training == pytest.approx(0.02, abs=0.005)


def test_values_that_training_did_not_have_are_counted(reference: DriftReference) -> None:
    row = _report(reference, _night(2, countries="DFUX")).features[0]
    assert (row.feature, row.drifted) == ("country", True)
    assert row.unseen_share == pytest.approx(0.25, abs=0.01)


def test_rare_values_of_training_are_not_called_unseen() -> None:
    config = DriftConfig(max_categories=2)
    report = _report(drift_reference(_night(1), ["country"], config), _night(2), config)
    assert report.features[0].unseen_share == 0
    assert not report.features[0].drifted


def test_a_column_of_nothing_but_null_is_compared_too() -> None:
    empty = pa.table({"x": pa.array([None] * 100, pa.float32())})
    same = _report(drift_reference(empty, ["x"], DriftConfig()), empty).features[0]
    assert (same.psi, same.null_share, same.drifted) == (0, 1, False)


def test_a_constant_column_drifts_when_it_starts_to_vary() -> None:
    constant = pa.table({"x": np.zeros(5_000)})
    known = drift_reference(constant, ["x"], DriftConfig())
    assert not _report(known, constant).features[0].drifted
    assert _report(known, pa.table({"x": np.arange(5_000.0)})).features[0].drifted


@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 900), sample=st.integers(1, 900))
@pytest.mark.slow
def test_a_sample_of_each_batch_stands_for_the_whole(rows: int, sample: int) -> None:
    night = _night(3, 6_000)
    known = drift_reference(_night(1), FEATURES, DriftConfig())
    report = _report(known, night, DriftConfig(sampled_rows_per_batch=sample), rows)
    assert not any(row.drifted for row in report.features)
    nulls = {row.feature: row.null_share for row in report.features}
    looked_at = 6_000 / math.ceil(rows / min(sample, rows))
    assert nulls["recency_days"] == pytest.approx(0.02, abs=5 * math.sqrt(0.02 / looked_at))


def test_a_small_batch_counts_no_more_than_its_rows() -> None:
    known = drift_reference(pa.table({"x": np.zeros(1_000), "t": ["a"] * 1_000}), ["x", "t"], DEFAULTS)
    meter = DriftMeter(known, DriftConfig(sampled_rows_per_batch=100))
    large = pa.record_batch({"x": np.zeros(9_900), "t": ["a"] * 9_900})
    small = pa.record_batch({"x": pa.nulls(100, pa.float64()), "t": pa.nulls(100, pa.string())})
    list(meter.watch([large, small]))
    assert [row.null_share for row in meter.report().features] == pytest.approx([0.01, 0.01])


def test_a_small_population_needs_more_to_be_called_drift(reference: DriftReference) -> None:
    assert not any(any(row.drifted for row in _report(reference, _night(seed, 30)).features) for seed in range(60))


def test_the_reference_survives_the_model_card(reference: DriftReference) -> None:
    again = DriftReference.model_validate_json(reference.model_dump_json())
    assert again == reference
    assert len(reference.model_dump_json()) < 4_000
