"""Support triage. Read top to bottom = the lineage.

articles -> knowledge base; tickets -> tickets with history -> training set -> candidate -> gate -> champion -> triaged
tickets -> publication -> performance, once agents' labels have arrived.
"""

from datetime import date
from functools import partial

import dagster as dg

from assets.partitions import daily
from assets.stages.builders import LearningConfig, champion_of
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.composition_training import ComposedChampionRun
from assets.stages.publishing_assets import RunPorts, composed_scores_asset, publication_asset
from assets.stages.realized_performance import performance_checks
from assets.stages.scoring_task import ScoringTask
from assets.support import shares
from models.settings import Settings
from resources.stack.ports import (
    EmbedderResource,
    LakeResource,
    LanguageModelResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
    VectorsResource,
)

_OWNERS = ["team:data-science"]


def scoring_task(settings: Settings, ports: RunPorts) -> ScoringTask:
    """Return the triage of a day's tickets under these settings, with these models."""
    from assets.support import triage
    from assets.support.resources import triage_resources

    return triage.scoring_task(settings.support, triage_resources(ports.vectors, ports.embedder, ports.language_model))


@dg.asset(
    key=["support", "knowledge_base"],
    deps=[["shop", "articles"]],
    partitions_def=daily,
    group_name="support",
    kinds={"vectors", "embedder"},
    owners=_OWNERS,
    description="The index of the newest articles that are not retired: a new version where one changed, served only "
    "if approximate search finds what exact search finds.",
)
def knowledge_base(lake: LakeResource, vectors: VectorsResource, embedder: EmbedderResource) -> dg.MaterializeResult:
    """Index the articles."""
    from assets.support.knowledge_base import index_articles

    built = index_articles(vectors.open(), lake.open(), embedder.open())
    return dg.MaterializeResult(metadata=built.metadata())


@dg.asset(
    key=["support", "features"],
    deps=[["shop", "tickets"], ["shop", "ticket_labels"], ["shop", "orders"]],
    partitions_def=daily,
    group_name="support",
    kinds={"lake"},
    owners=_OWNERS,
    description="The day's tickets with what was known of the customer when each was opened: orders, earlier tickets, "
    "the last published score.",
)
def features(
    context: dg.AssetExecutionContext, lake: LakeResource, sink: SinkResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """Store the day's tickets with their history."""
    from assets.support.history import write_day

    day, of = date.fromisoformat(context.partition_key), settings.open().support.customer_score_of
    return dg.MaterializeResult(metadata=write_day(lake.open(), sink.open(), day, of).metadata())


@champion_of(
    "support",
    rows="Tickets with the newest label that agents gave by then.",
    judged_on="the newest labelled tickets, which no part of it has seen",
    beside=[["support", "knowledge_base"]],
)
def champion(
    context: dg.AssetExecutionContext,
    config: LearningConfig,
    lake: LakeResource,
    registry: RegistryResource,
    settings: SettingsResource,
    vectors: VectorsResource,
    embedder: EmbedderResource,
    language_model: LanguageModelResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Train, evaluate and promote where that is due."""
    from assets.support import learning
    from assets.support.resources import triage_resources
    from models.support.composition import rehearsed

    own, live = settings.open().support, triage_resources(vectors.open(), embedder.open(), language_model.open())
    run = ComposedChampionRun(
        context,
        "support",
        config.train,
        registry,
        partial(rehearsed, live),
        due=lambda models, version: learning.embedder_changed(models, version, live["embedder"]),
    )
    yield from run.results(
        lambda: learning.labelled_rows(lake.open(), own, run.day),
        lambda found, models: learning.candidate(found, models, live, own),
    )


scores = composed_scores_asset(
    "support",
    scoring_task,
    deps=[["support", "knowledge_base"]],
    description="The day's tickets, read: language, intent, articles, sentiment, urgency, answer, hand-off with its "
    "reasons. Audited, not yet published; what each step gave is in the lake table support_steps.",
)
publication = publication_asset("support")


@checked_asset(
    ["support", "performance"],
    deps=[["support", "publication"], ["shop", "ticket_labels"]],
    kinds={"lake"},
    checks=[
        *performance_checks("support"),
        dg.AssetCheckSpec(
            shares.CHECK,
            asset=["support", "performance"],
            description="Shares of tickets that were escalated, out of scope and handed to a person, against those of "
            "the hold-out of the version that triaged the day.",
        ),
    ],
)
def performance(
    context: dg.AssetExecutionContext,
    config: CheckedDay,
    lake: LakeResource,
    sink: SinkResource,
    registry: RegistryResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Accuracy, out-of-scope recall, and right articles of the day whose labels have arrived since.

    By the newest label of each ticket: agents' corrections count. One row per day in the lake table support_quality.
    """
    from assets.support.performance import measure, realized_day

    day, own = day_of(context, config, lambda: sink.open().published_days("support")), settings.open().support
    stores = lake.open(), sink.open(), registry.open()
    found = measure(*stores[:2], own, day)
    realized = realized_day(stores[0], stores[2], own, found)
    checks = [*realized.checks(), shares.checked(shares.drifts(*stores[1:], own, day))]
    metadata = {**realized.metadata(), **found.metadata()}
    yield from of_selection(context, [dg.MaterializeResult(metadata=metadata, check_results=checks)])
