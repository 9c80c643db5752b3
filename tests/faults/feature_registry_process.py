"""What the processes of `test_feature_registry_crash` do: register feature views one after another."""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, String

from resources.feature_store.feast.store import FeastStoreConfig

names: list[str] = []


def definitions(tables: Path | str) -> Sequence[Entity | FeatureView | FeatureService]:
    """What `FeastStore.apply` registers: views of the names that stand in `names` now, each with its service."""
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    views = [
        FeatureView(
            name=name,
            entities=[customer],
            schema=[Field(name="customer_id", dtype=String), Field(name="x", dtype=Float64)],
            source=FileSource(name=f"{name}_rows", path=f"{tables}/{name}", timestamp_field="event_timestamp"),
        )
        for name in names
    ]
    return [customer, *views, *(FeatureService(name=f"of_{view.name}", features=[view]) for view in views)]


def register_forever(config: FeastStoreConfig, prefix: str, said: Path) -> None:
    """Says the name of each view in the file when it stands in the registry, and of the next one before it does."""
    store = config.open()
    for number in count():
        names[:] = [f"{prefix}_{number}"]
        with said.open("a") as file:
            file.write(f"{names[0]}\n")
        store.apply()
