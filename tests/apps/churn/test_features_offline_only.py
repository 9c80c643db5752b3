"""Churn's nights on a feature store that joins features and neither serves nor logs them."""

from datetime import date
from typing import Any

import pytest

from assets.churn import features, skew
from models.errors import TesseraError
from models.evaluation.config import SkewConfig
from resources.feature_store.port import FeatureStore, online_part

DAY = date(2026, 1, 6)


class OfflineOnly(FeatureStore):
    """Joins are not needed here."""

    apply = historical = check = None  # pyright: ignore


def test_nothing_is_materialized_and_nothing_compared() -> None:
    no_lake: Any = None
    assert features.materialize(no_lake, OfflineOnly(), DAY) is None
    compared = skew.compare(no_lake, OfflineOnly(), SkewConfig(), DAY)
    check = compared.check()
    assert (check.passed, compared.metadata()["rows_compared"]) == (True, 0)
    assert "nothing was compared" in (check.description or "")


def test_whoever_asks_for_served_features_is_told_which_adapter_has_them() -> None:
    with pytest.raises(TesseraError, match=r"feature store \(OfflineOnly\) serves no features online") as refused:
        online_part(OfflineOnly())
    assert "`online`" in refused.value.expected
