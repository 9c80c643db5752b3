"""The assets `<app>/scores` and `<app>/publication`, for every application that publishes scores of a day."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from assets.partitions import daily
from assets.stages.attempt_info import ESTIMATE, UNUSUAL
from assets.stages.blocking import or_stop
from assets.stages.champion_result import verdict_metadata
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection, selected
from assets.stages.scoring_task import WORST_OF_A_NIGHT, ScoringTask
from models.publishing import Degradation
from models.settings import Settings
from resources.embedder.port import GuardedEmbedder
from resources.lake.port import Lake
from resources.language_model.port import GuardedLanguageModel
from resources.stack.ports import (
    EmbedderResource,
    LakeResource,
    LanguageModelResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
    VectorsResource,
)
from resources.vectors.port import Vectors

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

    @_scores_of(app, kinds=kinds, description=description)
    def scores(
        context: dg.AssetExecutionContext,
        config: ScoresConfig,
        lake: LakeResource,
        registry: RegistryResource,
        sink: SinkResource,
        notifier: NotifierResource,
        settings: SettingsResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        yield from _scored(context, config, task(settings.open()), lake, registry, sink, notifier)

    return scores


@dataclass(frozen=True)
class RunPorts:
    """Ports of the profile of a run that the parts of a composition may need."""

    lake: Lake
    vectors: Vectors
    embedder: GuardedEmbedder
    language_model: GuardedLanguageModel


def composed_scores_asset(
    app: str,
    task: Callable[[Settings, RunPorts], ScoringTask],
    *,
    description: str,
    deps: Sequence[Sequence[str]] = (),
    kinds: Sequence[str] = ("sink", "language_model"),
) -> dg.AssetsDefinition:
    """The same of an application whose champion is a composition, with the ports that its parts may need.

    Args:
        app: the application; its features and champion come from the assets `<app>/features` and `<app>/champion`.
        task: makes the application's scoring task from the settings and the ports of the run.
        description: of the asset.
        deps: further assets that it reads, e.g. a vector index.
        kinds: shown in Dagster.
    """

    @_scores_of(app, kinds=kinds, description=description, deps=deps)
    def scores(
        context: dg.AssetExecutionContext,
        config: ScoresConfig,
        lake: LakeResource,
        registry: RegistryResource,
        sink: SinkResource,
        notifier: NotifierResource,
        settings: SettingsResource,
        vectors: VectorsResource,
        embedder: EmbedderResource,
        language_model: LanguageModelResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        ports = RunPorts(lake.open(), vectors.open(), embedder.open(), language_model.open())
        made = task(settings.open(), ports)
        yield from _scored(context, config, made, lake, registry, sink, notifier)

    return scores


def _scores_of(
    app: str, *, kinds: Sequence[str], description: str, deps: Sequence[Sequence[str]] = ()
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Decorate the step of `<app>/scores`, with its checks."""
    key = [app, "scores"]
    checks = [
        dg.AssetCheckSpec(
            "audit",
            asset=key,
            blocking=True,
            description="The rows read back: every entity once, in order, in range, like the last published ones.",
        ),
        dg.AssetCheckSpec(
            UNUSUAL,
            asset=key,
            description="Population, order of the entities, scores, decisions, missing values: as on earlier nights.",
        ),
        dg.AssetCheckSpec(
            "drift",
            asset=key,
            description="Population stability index of each feature against the newest rows of the model's hold-out, "
            "weighted by its importance; two of three nights, a step at once.",
        ),
        dg.AssetCheckSpec(
            ESTIMATE,
            asset=key,
            description="Quality that calibrated probabilities promise, without labels, beside the one that the gate "
            "accepted.",
        ),
    ]
    all_deps = [[app, "features"], [app, "champion"], *deps]
    return checked_asset(key, deps=all_deps, checks=checks, kinds=kinds, description=description)


def _scored(
    context: dg.AssetExecutionContext,
    config: ScoresConfig,
    task: ScoringTask,
    lake: LakeResource,
    registry: RegistryResource,
    sink: SinkResource,
    notifier: NotifierResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Score the day of the run, or check alone what was scored.

    Raises:
        TesseraError: no source of scores is left, or the audit stopped the rows.
    """
    from assets.stages.batch_scoring import Night, recheck, score

    app = task.app.name
    stores = (lake.open(), registry.open(), sink.open(), notifier.open())
    day = day_of(context, config, lambda: stores[2].published_days(app))
    night = Night(task, *stores, day, context.run.run_id)
    if context.selected_asset_keys:
        made = score(night, config.worst)
        result = dg.MaterializeResult(metadata=made.metadata(), check_results=made.checks())
        todo = _way_out(night.task, day)
    else:
        result = dg.MaterializeResult(check_results=selected(context, recheck(night)))
        todo = f"Nothing was changed; `tessera unpublish {app} --date {day}` withdraws what was published."
    expected = "rows that pass every check of the audit"
    yield from of_selection(context, or_stop(result, f"{app}/scores", "audit", expected=expected, todo=todo))


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
