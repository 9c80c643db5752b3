"""What the ingestion of a table knows of the applications that use it."""

from datetime import date, timedelta

import pytest

from assets.apps import APPS
from assets.stages.dependants import Dependants
from models.personalization.config import StepsConfig
from models.settings import FraudSettings, PersonalizationSettings, Settings

SETTINGS = Settings()


def test_tables_made_from_a_table_go_with_it() -> None:
    every = Dependants(APPS)
    assert every.tables("products") == ("orders", "personalization_features")
    assert set(every.tables("orders")) == {"churn_features", "demand_features", "personalization_features"}
    assert every.tables("payments") == every.tables("payment_labels") == ("fraud_features",)
    assert every.tables("tickets") == every.tables("articles") == ("support_features",)
    assert every.tables("customers") == ()


def test_the_history_is_what_the_applications_need() -> None:
    every, long = Dependants(APPS), Settings(fraud=FraudSettings(train_days=300))
    assert every.history_days("orders", long) == SETTINGS.ingestion.history_days
    assert every.history_days("payments", long) == long.fraud.history_days != SETTINGS.fraud.history_days
    assert Dependants().history_days("payments", long) == SETTINGS.ingestion.history_days


@pytest.mark.parametrize(("cutoffs", "horizon", "visits"), [(3, 28, 365), (12, 28, 7), (1, 90, 120)])
def test_the_oldest_cutoff_of_lists_has_all_days_of_visits_and_the_stock_of_its_day(
    cutoffs: int, horizon: int, visits: int
) -> None:
    own = PersonalizationSettings(horizon_days=horizon, session_days=visits, steps=StepsConfig(cutoffs=cutoffs))
    every, today, settings = Dependants(APPS), date(2026, 3, 1), Settings(personalization=own)
    first = {table: today - timedelta(days=every.history_days(table, settings)) for table in ("sessions", "stock")}
    oldest = today - timedelta(days=horizon * (cutoffs + 1))  # that of the gate is one more
    assert first["sessions"] <= oldest - timedelta(days=visits - 1)
    assert first["stock"] <= oldest
