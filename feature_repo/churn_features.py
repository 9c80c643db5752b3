"""The churn model's features, as training and serving see them."""

from datetime import timedelta
from pathlib import Path

from feast import FeatureService, FeatureView, Field
from feast.types import Float64, String

from feature_repo import entities
from feature_repo.sources import lake_table
from models.features.churn_definitions import CATEGORIES, DEFINITIONS

#: A missed night or a weekend is bridged by older features; after this they count as unknown.
MAX_AGE = timedelta(days=8)


def churn_customer(tables: Path | str) -> FeatureView:
    """One row per customer and day: the lake's table `churn_features`."""
    return FeatureView(
        name="churn_customer",
        description="What is known about a customer's buying at the end of a day (UTC).",
        entities=[entities.customer],
        ttl=MAX_AGE,
        schema=[
            Field(name="customer_id", dtype=String),
            *(
                Field(name=feature.name, dtype=Float64, description=f"{feature.meaning} [{feature.unit}]")
                for feature in DEFINITIONS
            ),
            *(Field(name=name, dtype=String) for name in CATEGORIES),
        ],
        source=lake_table("churn_features", tables),
        owner="churn",
        tags={"pii": "pseudonymous"},
    )


def churn_v1(view: FeatureView) -> FeatureService:
    """Build the feature service of churn model version 1. Another set of features is another service: `churn_v2`."""
    return FeatureService(name="churn_v1", features=[view], description="All features of the churn model, version 1.")


def definitions(tables: Path | str) -> list[FeatureView | FeatureService]:
    """Return the view over the lake at `tables`, and its service."""
    view = churn_customer(tables)
    return [view, churn_v1(view)]
