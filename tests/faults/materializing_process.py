"""What the processes of `test_materialization` do: materialize windows of one view, again and again."""

from datetime import timedelta
from pathlib import Path

from feast import FeatureStore

from tests.unit.feature_store.materialized import ENGINE, FIRST, materialize, store

WINDOW = timedelta(days=1)


def opened(folder: Path) -> FeatureStore:
    """The store in `folder`, which writes many small transactions."""
    return store(folder, batch_engine={"type": ENGINE, "batch_rows": 100})


def materialize_days(folder: Path, days: list[int], *, new_file: bool = False) -> None:
    """One window after the other; `new_file`: the online store may not have its file yet."""
    feast = opened(folder)
    activity = feast.get_feature_view("activity")
    if new_file:
        feast.provider.online_store.update(feast.config, [], [activity], [], [], True)
    for day in days:
        materialize(feast, activity, FIRST + day * WINDOW, FIRST + (day + 1) * WINDOW)
