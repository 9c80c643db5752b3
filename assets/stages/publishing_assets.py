"""The assets `<app>/scores` and `<app>/publication`, for every application that publishes scores of a day."""

from collections.abc import Callable, Sequence
from datetime import date

import dagster as dg

from assets.partitions import daily
from assets.stages.blocking import or_stop
from assets.stages.champion_result import verdict_metadata
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection, selected
from assets.stages.scoring_task import WORST_OF_A_NIGHT, ScoringTask
from models.publishing import Degradation
from models.settings import Settings
from resources.stack.ports import LakeResource, NotifierResource, RegistryResource, SettingsResource, SinkResource

_OWNERS = ["team:data-science"]


class ScoresConfig(CheckedDay):
    """Worst source of scores that a run may take."""

    worst: Degradation = WORST_OF_A_NIGHT


def scores_asset(
    app: str, task: Callable[[Settings], ScoringTask], *, description: str, kinds: Sequence[str] = ("deltalake",)
) -> dg.AssetsDefinition:
    """The asset `<app>/scores`: the day is scored, written as an attempt, read back and audited, not yet published.

    Args:
        app: the application; its features and champion come from the assets `<app>/features` and `<app>/champion`.
        task: makes the application's scoring task from the settings of the run.
        description: of the asset.
        kinds: shown in Dagster.
    """
    key = [app, "scores"]
    checks = [
        dg.AssetCheckSpec(
            "audit",
            asset=key,
            blocking=True,
            description="The rows read back: every entity once, in order, in range, like the last published ones.",
        ),
        dg.AssetCheckSpec(
            "drift",
            asset=key,
            description="Population stability index of each feature against the newest rows of the model's hold-out.",
        ),
    ]

    @checked_asset(
        key, deps=[[app, "features"], [app, "champion"]], checks=checks, kinds=kinds, description=description
    )
    def scores(
        context: dg.AssetExecutionContext,
        config: ScoresConfig,
        lake: LakeResource,
        registry: RegistryResource,
        sink: SinkResource,
        notifier: NotifierResource,
        settings: SettingsResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        from assets.stages.batch_scoring import Night, recheck, score

        stores = (lake.open(), registry.open(), sink.open(), notifier.open())
        day = day_of(context, config, lambda: stores[2].published_days(app))
        night = Night(task(settings.open()), *stores, day, context.run.run_id)
        if context.selected_asset_keys:
            made = score(night, config.worst)
            result = dg.MaterializeResult(metadata=made.metadata(), check_results=made.checks())
            todo = _way_out(night.task, day)
        else:
            result = dg.MaterializeResult(check_results=selected(context, recheck(night)))
            todo = f"Nothing was changed; `tessera unpublish {app} --date {day}` withdraws what was published."
        expected = "rows that pass every check of the audit"
        yield from of_selection(context, or_stop(result, f"{app}/scores", "audit", expected=expected, todo=todo))

    return scores


def publication_asset(app: str) -> dg.AssetsDefinition:
    """The asset `<app>/publication`: the day's audited scores, published by one pointer."""

    @dg.asset(
        key=[app, "publication"],
        deps=[[app, "scores"]],
        partitions_def=daily,
        group_name=app,
        kinds={"sink"},
        owners=_OWNERS,
        description="The day's scores, published if the audit passed them: one pointer names the audited rows. The "
        "same rows again change nothing; those of another model wait for `tessera publish`.",
    )
    def publication(
        context: dg.AssetExecutionContext, sink: SinkResource, notifier: NotifierResource, registry: RegistryResource
    ) -> dg.MaterializeResult:
        from assets.stages.publication import publish

        published = publish(sink.open(), notifier.open(), app, date.fromisoformat(context.partition_key))
        return dg.MaterializeResult(metadata={**published.metadata(), **verdict_metadata(registry.open(), app)})

    return publication


def _way_out(task: ScoringTask, day: date) -> str:
    shown = f"Nothing is published. `tessera dev` shows the check at the asset {task.app.name}/scores"
    if not task.has_fallback:
        return f"{shown}; correct what failed, then `tessera run {task.app.name}_nightly --date {day}`."
    return f"{shown}; to publish older scores meanwhile, flagged: `tessera run {task.app.name}_fallback --date {day}`."
