"""Everything there is to register."""

from pathlib import Path

from feast import Entity, FeatureService, FeatureView

from feature_repo import churn_features, entities


def definitions(folder: Path) -> list[Entity | FeatureView | FeatureService]:
    """Entities, views over the Parquet files in `folder/<view>`, and services."""
    churn_customer = churn_features.churn_customer(folder)
    return [entities.customer, churn_customer, churn_features.churn_v1(churn_customer)]
