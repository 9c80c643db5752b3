"""Storage upkeep: remove files that no table uses any more, and old events."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from assets.apps import APPS
from assets.partitions import daily
from assets.stages import metadata_keys as keys
from resources.events.port import RetainedEvents
from resources.lake.port import Lake, RetainedLake
from resources.sink.port import RetainedSink, Sink
from resources.stack.ports import EventsResource, HomeResource, LakeResource, SettingsResource, SinkResource
from resources.traces.port import traces_of_home


@dg.asset(
    key=["storage", "vacuum"],
    partitions_def=daily,
    group_name="storage",
    kinds={"lake", "sink"},
    owners=["team:platform"],
)
def vacuum(lake: LakeResource, sink: SinkResource, settings: SettingsResource) -> dg.MaterializeResult:
    """Remove files of tables and scores that were unused for longer than `storage.keep_hours`; report counts.

    They belonged to older versions of a table, to scores that were never published, or to writers that were killed.
    """
    removed = remove_unused(lake.open(), sink.open(), keep_hours=settings.open().storage.keep_hours)
    return dg.MaterializeResult(metadata={keys.FILES_REMOVED: sum(removed.values()), **removed})


def remove_unused(lake: Lake, sink: Sink, *, keep_hours: int) -> dict[str, int]:
    """Files removed from each table of the lake and from the scores of each application; of stores that can."""
    removed: dict[str, int] = {}
    if isinstance(lake, RetainedLake):
        removed |= {f"lake/{table}": lake.vacuum(table, keep_hours=keep_hours) for table in lake.tables()}
    if isinstance(sink, RetainedSink):
        publishing = (app.name for app in APPS if app.publishes)
        removed |= {f"scores/{name}": sink.vacuum(name, keep_hours=keep_hours) for name in publishing}
    return removed


@dg.asset(
    key=["storage", "events"],
    partitions_def=daily,
    group_name="storage",
    kinds={"events"},
    owners=["team:platform"],
)
def old_events(events: EventsResource, settings: SettingsResource) -> dg.MaterializeResult:
    """Remove events that every group acknowledged and that are older than `storage.keep_event_days`.

    The stream's own state needs no such step: the worker removes what no window can see any more as it goes.
    """
    queue = events.open()
    if not isinstance(queue, RetainedEvents):
        return dg.MaterializeResult(metadata={keys.EVENTS_REMOVED: 0})
    before = datetime.now(UTC) - timedelta(days=settings.open().storage.keep_event_days)
    return dg.MaterializeResult(metadata={keys.EVENTS_REMOVED: queue.prune(before=before)})


@dg.asset(
    key=["storage", "traces"],
    partitions_def=daily,
    group_name="storage",
    kinds={"sqlite"},
    owners=["team:platform"],
)
def old_traces(home: HomeResource, settings: SettingsResource) -> dg.MaterializeResult:
    """Remove the spans of days before the last `traces.keep_days`; a process that records removes them, too."""
    kept = settings.open().traces
    before = datetime.now(UTC).date() - timedelta(days=kept.keep_days)
    return dg.MaterializeResult(metadata={keys.DAYS_REMOVED: traces_of_home(home.home, kept).prune(before)})
