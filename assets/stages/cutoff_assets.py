"""The assets `<app>/features` and `<app>/champion` of applications that learn at past cut-offs of a feature table."""

from collections.abc import Callable
from datetime import date
from functools import partial

import dagster as dg

from assets.partitions import daily
from assets.stages.builders import LearningConfig, champion_of
from assets.stages.cutoff_training import CutoffPlan, computed_features, cutoff_rows, cutoff_task
from assets.stages.feature_days import write_features
from assets.stages.training import ChampionRun
from models.gates.config import GateConfig
from models.settings import CutoffSettings, Settings
from resources.stack.ports import (
    EngineResource,
    LakeResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
)

_OWNERS = ["team:data-science"]
#: An application's settings, and the limits of its gate among them.
Chosen = Callable[[Settings], tuple[CutoffSettings, GateConfig]]


def features_asset(app: str, plan: Callable[[Settings], CutoffPlan], *, description: str) -> dg.AssetsDefinition:
    """The asset `<app>/features`: the feature table's rows of the day, computed from `shop/orders`."""

    @dg.asset(
        key=[app, "features"],
        deps=[["shop", "orders"]],
        partitions_def=daily,
        group_name=app,
        kinds={"engine", "lake"},
        owners=_OWNERS,
        description=description,
    )
    def features(
        context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource, settings: SettingsResource
    ) -> dg.MaterializeResult:
        made, day = plan(settings.open()), date.fromisoformat(context.partition_key)
        written = write_features(lake.open(), engine.open(), made.table, [day], len(made.features))
        return dg.MaterializeResult(metadata=written.metadata())

    return features


def champion_asset(
    app: str, plan: Callable[[Settings], CutoffPlan], chosen: Chosen, *, rows: str, judged_on: str
) -> dg.AssetsDefinition:
    """The assets `<app>/training_set`, `<app>/candidate` and `<app>/champion`.

    Args:
        app: the application.
        plan: makes its training plan from the settings of the run.
        chosen: its settings and gate limits.
        rows: what the training set holds, in words.
        judged_on: the hold-out of the gate, in words.
    """

    @champion_of(app, rows=rows, judged_on=judged_on)
    def champion(
        context: dg.AssetExecutionContext,
        config: LearningConfig,
        lake: LakeResource,
        engine: EngineResource,
        registry: RegistryResource,
        settings: SettingsResource,
        notifier: NotifierResource,
    ):  # no return type: Dagster refuses any but a tuple where a step may leave out results
        (own, gate), made = chosen(settings.open()), plan(settings.open())
        computed = partial(computed_features, made)
        run = ChampionRun(context, app, config.train, registry, notifier, own.candidates, computed)
        yield from run.results(
            lambda: cutoff_rows(lake.open(), engine.open(), made, own, run.day),
            lambda found: cutoff_task(made, found, own, gate),
        )

    return champion
