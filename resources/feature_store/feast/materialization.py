"""Brings a window of a feature view online through Feast's engine, and keeps the registry's account of windows short.

Not through `FeatureStore.materialize`: it prints, draws progress bars, and appends a window to the registry each time.
"""

# Feast is only partly typed.
# pyright: basic

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from feast import FeatureStore, FeatureView
from feast.feature_view import FeatureViewState
from feast.infra.common.materialization_job import MaterializationTask
from tqdm import tqdm

Window = tuple[datetime, datetime]


def materialize(feast: FeatureStore, view: FeatureView, start: datetime, end: datetime) -> None:
    """Write the newest rows of `view` in `[start, end]` to the online store, unless it has newer ones."""
    provider: Any = feast.provider
    task = MaterializationTask(
        feast.project, view, start, end, tqdm_builder=lambda rows: tqdm(total=rows, disable=True)
    )
    for job in provider.batch_engine.materialize(feast.registry, [task]):
        if job.error() is not None:
            raise job.error()


def record(feast: FeatureStore, view: str, start: datetime, end: datetime) -> None:
    """Record in the registry that `view` was materialized from `start` to `end`; adjacent windows are merged.

    The caller holds the lock of the registry: this reads and writes.
    """
    standing = feast.registry.get_feature_view(view, feast.project)
    windows = merged([*standing.materialization_intervals, (start, end)])
    if windows != standing.materialization_intervals:
        standing.materialization_intervals = windows
        standing.state = FeatureViewState.AVAILABLE_ONLINE
        feast.registry.apply_feature_view(standing, feast.project)


def merged(windows: Iterable[Window]) -> list[Window]:
    """Return the same time in as few windows as possible, ascending."""
    found: list[Window] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
