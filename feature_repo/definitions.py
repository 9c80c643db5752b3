"""Everything there is to register."""

from pathlib import Path

from feast import Entity, FeatureService, FeatureView

from feature_repo import churn_features, entities


def definitions(tables: Path | str) -> list[Entity | FeatureView | FeatureService]:
    """Entities, views over the tables of the lake at `tables`, and services."""
    churn_customer = churn_features.churn_customer(tables)
    return [entities.customer, churn_customer, churn_features.churn_v1(churn_customer)]
