"""How much of the past a run about fraud needs."""

from datetime import date, timedelta

import pytest

from models.features.fraud_definitions import LOOKBACK_DAYS
from models.fraud.training_rows import fraud_days
from models.settings import FraudSettings


@pytest.mark.parametrize(("train", "holdout"), [(1, 1), (7, 7), (35, 14)])
def test_history_begins_where_the_windows_of_the_first_payment_learnt_from_begin(train: int, holdout: int) -> None:
    as_of = date(2026, 1, 31)
    settings = FraudSettings(train_days=train, holdout_days=holdout)
    first = fraud_days(as_of, train_days=train, holdout_days=holdout).train_first
    assert as_of - timedelta(days=settings.history_days) == first - timedelta(days=LOOKBACK_DAYS)
    assert LOOKBACK_DAYS == 30 + 7 + 1
