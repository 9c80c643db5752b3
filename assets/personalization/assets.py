"""Personalization. Read top to bottom = the lineage.

orders -> profiles; orders, visits, stock -> index of products; past cut-offs -> training set -> candidate -> gate ->
champion; profiles, index -> lists -> publication -> realized performance.
"""

from datetime import date
from functools import partial

import dagster as dg

from assets.partitions import daily
from assets.personalization.app import PERSONALIZATION
from assets.stages.builders import LearningConfig, champion_of
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.composition_training import ComposedCandidate, ComposedChampionRun
from assets.stages.publishing_assets import RunPorts, composed_scores_asset, publication_asset
from assets.stages.realized_performance import performance_checks
from assets.stages.scoring_task import ScoringTask
from models.settings import Settings
from resources.registry.port import Registry
from resources.stack.ports import (
    EmbedderResource,
    EngineResource,
    FeatureStoreResource,
    LakeResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
    VectorsResource,
)

_TABLES = [["shop", table] for table in PERSONALIZATION.tables]


def scoring_task(settings: Settings, ports: RunPorts) -> ScoringTask:
    """Return the making of a day's lists under these settings."""
    from assets.personalization import lists

    return lists.scoring_task(settings, ports.lake, ports.vectors)


@dg.asset(
    key=["personalization", "features"],
    deps=[["shop", "orders"]],
    partitions_def=daily,
    group_name="personalization",
    kinds={"engine", "lake"},
    owners=["team:data-science"],
    description="Profiles: what is known of each customer's buying at the end of the day; whom lists are made for.",
)
def features(
    context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """Compute and store the day's profiles."""
    from assets.personalization.profiles import write_profiles

    day = date.fromisoformat(context.partition_key)
    written = write_profiles(lake.open(), engine.open(), settings.open().personalization, [day])
    return dg.MaterializeResult(metadata=written.metadata())


@dg.asset(
    key=["personalization", "item_index"],
    deps=_TABLES,
    partitions_def=daily,
    group_name="personalization",
    kinds={"vectors", "embedder"},
    owners=["team:data-science"],
    description="Vectors of products for dot products and, under the same version, their neighbours: a new version "
    "where one changed, served only if approximate search finds what exact search finds.",
)
def item_index(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    vectors: VectorsResource,
    embedder: EmbedderResource,
    settings: SettingsResource,
) -> dg.MaterializeResult:
    """Compute and index the tables of products."""
    from assets.personalization.item_index import index_products
    from assets.personalization.known import known_at

    own, day = settings.open().personalization, date.fromisoformat(context.partition_key)
    built = index_products(vectors.open(), known_at(lake.open(), day, own), own.tables, embedder.open())
    return dg.MaterializeResult(metadata=built.metadata())


@champion_of(
    "personalization",
    rows="What customers ordered or put into the cart after past cut-offs.",
    judged_on="what known customers wanted after a later cut-off",
    candidate="The ranker that an older cut-off chose, or own frequency where it does not lead it",
    beside=_TABLES,
)
def champion(
    context: dg.AssetExecutionContext,
    config: LearningConfig,
    lake: LakeResource,
    engine: EngineResource,
    feature_store: FeatureStoreResource,
    registry: RegistryResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Train, evaluate and promote where that is due."""
    from assets.personalization import learning
    from assets.personalization.profiles import profiles_for_training
    from models.personalization.composition import rehearsed

    own = settings.open().personalization
    run = ComposedChampionRun(context, "personalization", config.train, registry, partial(rehearsed, {}))

    def candidate(found: learning.WantedRows, models: Registry) -> ComposedCandidate:
        stores = (lake.open(), engine.open(), feature_store.open())
        profiles = profiles_for_training(*stores, own, found.cutoffs)
        return learning.candidate(found, lake.open(), models, own, profiles, context.log.info)

    yield from run.results(lambda: learning.wanted_rows(lake.open(), own, run.day), candidate)


scores = composed_scores_asset(
    "personalization",
    scoring_task,
    kinds=("sink", "lake"),
    deps=[*_TABLES, ["personalization", "item_index"]],
    description="The list of each customer of the day's profiles: products, scores, sources, reasons. Audited, not yet "
    "published. Beside it: candidates that each rule removed, and numbers of the share of each list that its customer "
    "chose before (`score_...`), as the nights are compared by.",
)
publication = publication_asset("personalization")


@checked_asset(
    ["personalization", "performance"],
    deps=[*_TABLES, ["personalization", "publication"]],
    kinds={"lake", "sink"},
    checks=performance_checks("personalization"),
    description="Lists whose horizon ended with the day, by what their customers ordered or put into the cart since: "
    "realized NDCG@20 and recall@20 beside those that the gate accepted, and the NDCG of popular lists. A row per day "
    "and metric in the lake table personalization_quality.",
)
def performance(
    context: dg.AssetExecutionContext,
    config: CheckedDay,
    lake: LakeResource,
    registry: RegistryResource,
    sink: SinkResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Measure the lists of a day whose horizon has ended."""
    from assets.personalization.performance import PerformanceRun

    own = settings.open().personalization
    run = PerformanceRun(lake.open(), registry.open(), sink.open(), own)
    found = run.measure(day_of(context, config, lambda: run.sink.published_days("personalization")))
    yield from of_selection(context, [dg.MaterializeResult(metadata=found.metadata(), check_results=found.checks())])
