"""A service of each shape: several views, two entities, aliases, and features computed on demand."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Bool, Float64, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
product = Entity(name="product", join_keys=["product_number"], value_type=ValueType.INT64)
MAX_AGE = timedelta(days=8)


def _view(
    name: str, entities: list[Entity], ttl: timedelta | None, tables: Path | str, *features: Field
) -> FeatureView:
    types = {"customer": String, "product": Int64}
    keys = [Field(name=entity.join_key, dtype=types[entity.name]) for entity in entities]
    source = FileSource(
        name=name,
        path=f"{tables}/{name}",
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    return FeatureView(name=name, entities=entities, ttl=ttl, schema=[*keys, *features], source=source)


def definitions(tables: Path | str) -> list[Any]:
    """Views `buying` (ttl 8 days) and `stock` (no ttl), `taste` of pairs, and services over them."""
    buying = _view(
        "buying", [customer], MAX_AGE, tables, Field(name="orders", dtype=Int64), Field(name="spend", dtype=Float64)
    )
    stock = _view(
        "stock", [product], None, tables, Field(name="pieces", dtype=Int64), Field(name="shelf", dtype=String)
    )
    taste = _view("taste", [customer, product], MAX_AGE, tables, Field(name="likes", dtype=Bool))
    basket = RequestSource(name="basket", schema=[Field(name="basket_value", dtype=Float64)])

    @on_demand_feature_view(sources=[buying, basket], schema=[Field(name="over_mean", dtype=Float64)], mode="python")
    def against_mean(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = zip(inputs["basket_value"], inputs["spend"], inputs["orders"], strict=True)
        return {"over_mean": [None if spend is None else value - spend / orders for value, spend, orders in rows]}

    @on_demand_feature_view(sources=[stock], schema=[Field(name="dozens", dtype=Float64)], mode="pandas")
    def in_dozens(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"dozens": inputs["pieces"] / 12})

    return [
        customer,
        product,
        buying,
        stock,
        taste,
        against_mean,
        in_dozens,
        FeatureService(name="all", features=[taste, stock, buying[["spend"]]]),
        FeatureService(
            name="gift", features=[buying.with_name("giver").with_join_key_map({"customer_id": "giver_id"})]
        ),
        FeatureService(name="computed", features=[against_mean, in_dozens, stock[["shelf"]]]),
        FeatureService(name="twice", features=[buying, buying.with_name("again")]),
    ]
