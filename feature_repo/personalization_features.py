"""The profiles of personalization, as training and serving see them."""

from datetime import timedelta
from pathlib import Path

from feast import FeatureService, FeatureView, Field
from feast.types import Float64, String

from feature_repo import entities
from feature_repo.sources import lake_table
from models.features.personalization_definitions import DEFINITIONS, MAX_AGE_DAYS


def personalization_customer(tables: Path | str) -> FeatureView:
    """One row per customer and day: the lake's table `personalization_features`."""
    return FeatureView(
        name="personalization_customer",
        description="A customer's profile at the end of a day (UTC).",
        entities=[entities.customer],
        ttl=timedelta(days=MAX_AGE_DAYS),
        schema=[
            Field(name="customer_id", dtype=String),
            *(
                Field(name=feature.name, dtype=Float64, description=f"{feature.meaning} [{feature.unit}]")
                for feature in DEFINITIONS
            ),
            Field(name="country", dtype=String),
        ],
        source=lake_table("personalization_features", tables),
        owner="personalization",
        tags={"pii": "pseudonymous"},
    )


def definitions(tables: Path | str) -> list[FeatureView | FeatureService]:
    """Return the view over the lake at `tables`, and its service."""
    view = personalization_customer(tables)
    says = "Profiles of customers, version 1."
    return [view, FeatureService(name="personalization_v1", features=[view], description=says)]
