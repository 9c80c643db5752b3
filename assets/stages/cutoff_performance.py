"""The asset `<app>/performance` of applications that learn at past cut-offs."""

from collections.abc import Callable

import dagster as dg

from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.cutoff_training import CutoffPlan
from assets.stages.realized_performance import performance_checks
from models.gates.config import GateConfig
from models.settings import CutoffSettings, Settings
from resources.stack.ports import EngineResource, LakeResource, RegistryResource, SettingsResource, SinkResource


def performance_asset(
    app: str,
    plan: Callable[[Settings], CutoffPlan],
    chosen: Callable[[Settings], tuple[CutoffSettings, GateConfig]],
) -> dg.AssetsDefinition:
    """The asset `<app>/performance`: the predictions whose horizon ended with the partition's day, by their outcomes.

    Args:
        app: the application; its predictions come from the asset `<app>/publication`.
        plan: makes its training plan, which says how outcomes are counted.
        chosen: its settings and gate limits.
    """

    @checked_asset(
        [app, "performance"],
        deps=[["shop", "orders"], [app, "publication"]],
        kinds={"engine", "lake"},
        checks=performance_checks(app),
        description="Predictions whose horizon ended with the day, by what was ordered since: the realized quality "
        f"beside the one that the gate accepted. A row per day and metric in the lake table {app}_quality.",
    )
    def performance(
        context: dg.AssetExecutionContext,
        config: CheckedDay,
        lake: LakeResource,
        engine: EngineResource,
        registry: RegistryResource,
        sink: SinkResource,
        settings: SettingsResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        from assets.stages.cutoff_quality import PerformanceRun

        stores = (lake.open(), engine.open(), registry.open(), sink.open())
        run = PerformanceRun(*stores, plan(settings.open()), *chosen(settings.open()))
        day = day_of(context, config, lambda: run.sink.published_days(app))
        found = run.measure(day)
        result = dg.MaterializeResult(metadata=found.metadata(), check_results=found.checks())
        yield from of_selection(context, [result])

    return performance
