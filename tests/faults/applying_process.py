"""A process of `test_feature_store_lock`: registers feature views one after another, then brings days online."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

VIEWS = 4
DAYS = 3
SHARED = "shared"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
names = [SHARED]


def definitions(tables: Path | str) -> list[Any]:
    """Feature views of the names that stand in `names` now."""
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64, String

    entity = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    views = [
        FeatureView(
            name=name,
            entities=[entity],
            ttl=timedelta(days=1),
            schema=[Field(name="customer_id", dtype=String), Field(name=f"{name}_value", dtype=Float64)],
            source=FileSource(name=name, path=f"{tables}/{name}", timestamp_field="event_timestamp"),
        )
        for name in names
    ]
    return [entity, *views, *(FeatureService(name=view.name, features=[view]) for view in views)]


def main(folder: str, registry: str, worker: str, go: str, file: str) -> None:
    """Waits for `go`, then works as fast as it can."""
    from resources.feature_store.feast.store import FeastStoreConfig

    Path(f"{go}.{worker}").touch()
    while not Path(go).exists():
        time.sleep(0.005)
    store = FeastStoreConfig(path=folder, registry=registry, definitions=__name__).open()
    for number in range(VIEWS):
        names[:] = [SHARED, f"of_{worker}_{number}"]
        store.apply()
    for number in range(DAYS):
        # Days with gaps between them: each stays a window of its own.
        start = FIRST + timedelta(days=2 * (DAYS * int(worker) + number))
        store.materialize(SHARED, start, start + timedelta(days=1), files=[file])
