"""The asset `<app>/replacement`, for every application that has replacements."""

from collections.abc import Callable

import dagster as dg

from assets.stages import metadata_keys as keys
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.replacement.comparing import CHECK, Compared, compared
from assets.stages.replacement.plan import ReplacementPlan
from assets.stages.replacement.scoring import DAY, answered_days, answers_table
from models.settings import Settings
from resources.stack.ports import EngineResource, LakeResource, RegistryResource, SettingsResource


def replacement_asset(app: str, plan: Callable[[Settings], ReplacementPlan]) -> dg.AssetsDefinition:
    """Return the asset `<app>/replacement`: both versions of the replacement that runs, compared."""

    @checked_asset(
        [app, "replacement"],
        deps=[["shop", "orders"], [app, "scores"]],
        kinds={"lake"},
        checks=[
            dg.AssetCheckSpec(
                CHECK,
                asset=[app, "replacement"],
                description="Ranks, distribution, decisions and their cost: what a higher share needs.",
            )
        ],
        description="The champion and the version that is to replace it, compared on the same rows; nothing without a "
        f"replacement. Both answers are in the lake table {answers_table(app)}, a partition per {DAY}.",
    )
    def replacement(
        context: dg.AssetExecutionContext,
        config: CheckedDay,
        lake: LakeResource,
        engine: EngineResource,
        registry: RegistryResource,
        settings: SettingsResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        stores = (lake.open(), engine.open(), registry.open())
        day = day_of(context, config, lambda: answered_days(stores[0], app))
        found = compared(*stores, app, plan(settings.open()), day)
        yield from of_selection(context, [_result(found)])

    return replacement


def _result(found: Compared | None) -> dg.MaterializeResult:
    if found is None:
        none = dg.AssetCheckResult(check_name=CHECK, passed=True, description="no replacement runs")
        return dg.MaterializeResult(metadata={keys.NOTE: "no replacement runs"}, check_results=[none])
    return dg.MaterializeResult(metadata=found.metadata(), check_results=[found.check()])
