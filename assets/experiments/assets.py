"""Experiments. Read top to bottom = the lineage.

exposures, outcomes, logged events -> labelled impressions, by day; -> the report, one partition per experiment.
"""

from datetime import date

import dagster as dg

from assets.partitions import daily
from assets.stages import metadata_keys as keys
from assets.stages.experiments.report import POPULARITY_BIAS, experiment_report
from resources.stack.ports import EventsResource, LakeResource, SettingsResource


@dg.asset(
    key=["experiments", "logged_events"],
    partitions_def=daily,
    group_name="experiments",
    kinds={"lake", "events"},
    owners=["team:data-science"],
    description="Exposures and outcomes that services published as events, each once, beside those that the source "
    "delivers; rows that break the contract are quarantined, what is no such event goes to the dead letters.",
)
def logged_events(
    context: dg.AssetExecutionContext, lake: LakeResource, events: EventsResource
) -> dg.MaterializeResult:
    """Store the events that wait."""
    from assets.stages.experiments.logged_events import store_events

    day = date.fromisoformat(context.partition_key)
    found = store_events(events.open(), lake.open(), day, run_id=context.run_id)
    rows = {keys.ROWS_KEPT: sum(found.rows.values()), keys.ROWS_QUARANTINED: found.quarantined}
    counts = {keys.EVENTS: found.events, keys.ROWS_ALREADY_HELD: found.known, keys.REJECTED: found.refused}
    return dg.MaterializeResult(metadata={**counts, **rows})


@dg.asset(
    key=["experiments", "impressions"],
    deps=[
        *(["shop", table] for table in ("exposures", "outcomes", "orders", "products")),
        ["experiments", "logged_events"],
    ],
    partitions_def=daily,
    group_name="experiments",
    kinds={"lake", "polars"},
    owners=["team:data-science"],
    description="Products that were shown, with what came of each: of the day whose labels are mature, and of earlier "
    "days that have none. What rankers are trained on, with the propensity of each slot.",
    check_specs=[
        dg.AssetCheckSpec(
            POPULARITY_BIAS,
            asset=["experiments", "impressions"],
            description="Concentration of what is shown on few and popular products, against the weeks before.",
        )
    ],
)
def impressions(
    context: dg.AssetExecutionContext, lake: LakeResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """Label impressions, and measure their popularity bias."""
    from assets.stages.experiments.impressions import label_impressions

    config = settings.open().experiments
    found = label_impressions(lake.open(), config, date.fromisoformat(context.partition_key))
    return dg.MaterializeResult(metadata=found.metadata(), check_results=[found.check(config)])


report = experiment_report(["experiments", "report"])
