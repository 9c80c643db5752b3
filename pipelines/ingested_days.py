"""Days that a run ingested beside its own, recorded in Dagster as materialized partitions, and checks shown after that.

One run ingests every day that is missing (a first run more than a year), and Dagster records one partition for it.
Recording all of them in that run would take it 20 ms of CPU and several writes to disk for each day and table: it is
done under the daemon instead, a few at a time.
"""

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import TypeAlias

import dagster as dg

from assets.stages import metadata_keys as keys
from assets.stages.builders import QUARANTINED_SHARE
from assets.stages.ingestion.completeness_log import DayCounts, complete_days
from assets.stages.watch.checks import ANOMALIES, FRESHNESS
from models.contracts import CONTRACTS
from resources.lake.port import Lake
from resources.stack.ports import LakeResource

Event: TypeAlias = dg.AssetMaterialization | dg.AssetCheckEvaluation

#: Events of one evaluation; the daemon stores them before it turns to another sensor.
_AT_ONCE = 50


def ingested_days(first: date) -> dg.SensorDefinition:
    """The sensor of a profile whose first day is `first`."""

    @dg.sensor(
        name="ingested_days",
        minimum_interval_seconds=30,
        description="Records the days that one run ingested beside its own as materialized partitions of the shop's "
        "tables, with the rows of each day; then the last results of their checks once more, which Dagster shows as "
        "not evaluated after that.",
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def report(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        days = islice(unrecorded(context.instance, lake.open(), first), _AT_ONCE)
        events: list[Event] = [*overtaken(context.instance), *days]
        if not events:
            return dg.SkipReason("Every ingested day is a materialized partition.")
        return dg.SensorResult(asset_events=events)

    return report


def unrecorded(instance: dg.DagsterInstance, lake: Lake, first: date) -> Iterator[dg.AssetMaterialization]:
    """Ingested days, from `first` on, that are no materialized partition yet; of each table the oldest first."""
    for table in CONTRACTS:
        key = dg.AssetKey(["shop", table])
        complete = {day: counts for day, counts in complete_days(lake, table).items() if day >= first}
        known = instance.get_materialized_partitions(key) if complete else set[str]()
        for day in sorted(complete):
            if day.isoformat() not in known:
                yield _materialization(key, day, complete[day])


def overtaken(instance: dg.DagsterInstance) -> Iterator[dg.AssetCheckEvaluation]:
    """Last results of the checks of tables of which a day was recorded since.

    Dagster shows a check as not evaluated once its asset has a newer materialization, of whatever day. Given here, it
    stays shown when more days are recorded.
    """
    for table in CONTRACTS:
        key = dg.AssetKey(["shop", table])
        newest = instance.get_latest_materialization_event(key)
        if newest is None or newest.run_id:  # recorded by a run, with its checks
            continue
        checks = [dg.AssetCheckKey(key, name) for name in (QUARANTINED_SHARE, ANOMALIES, FRESHNESS)]
        for record in instance.event_log_storage.get_latest_asset_check_execution_by_key(checks).values():
            found, is_older = record.evaluation, record.create_timestamp < newest.timestamp
            if record.run_id and is_older and isinstance(found, dg.AssetCheckEvaluation):  # not given here before
                yield dg.AssetCheckEvaluation(
                    asset_key=key,
                    check_name=found.check_name,
                    passed=found.passed,
                    metadata=found.metadata,
                    severity=found.severity,
                    description=found.description,
                    blocking=found.blocking,
                    partition=found.partition,
                )


def _materialization(key: dg.AssetKey, day: date, counts: DayCounts) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        key,
        description="Ingested by the run of a later day.",
        partition=day.isoformat(),
        metadata={keys.ROWS_KEPT: counts.kept, keys.ROWS_QUARANTINED: counts.quarantined},
    )
