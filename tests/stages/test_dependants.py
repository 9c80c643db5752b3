"""What the ingestion of a table knows of the applications that use it."""

from assets.apps import APPS
from assets.stages.dependants import Dependants
from models.settings import FraudSettings, Settings

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
