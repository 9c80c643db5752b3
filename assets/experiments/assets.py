"""Experiments. Read top to bottom = the lineage.

exposures, outcomes -> labelled impressions, by day; -> the report of each experiment, one partition per experiment.
"""

from datetime import date

import dagster as dg

from assets.partitions import daily
from assets.stages.experiments.report import POPULARITY_BIAS, experiment_report
from resources.stack.ports import LakeResource, SettingsResource


@dg.asset(
    key=["experiments", "impressions"],
    deps=[["shop", "exposures"], ["shop", "outcomes"], ["shop", "orders"], ["shop", "products"]],
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
