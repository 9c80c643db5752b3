"""Fraud: which card payments were not made by the card's owner. Read top to bottom = the lineage.

payments, labels, feedback of analysts -> window features -> training set with mature labels -> candidate -> gate ->
champion -> scores -> publication -> missing alerts -> quality, once labels are known. The stream scores the same
payments as they come; what its model was given is compared with the features. The modules beside this one hold the
steps' bodies.
"""

from datetime import date
from functools import partial

import dagster as dg
from pydantic import Field

from assets.fraud import features as fraud_features
from assets.fraud import feedback as alert_feedback
from assets.fraud import performance as fraud_performance
from assets.fraud import scoring as fraud_scoring
from assets.fraud import skew as fraud_skew
from assets.fraud import training as fraud_training
from assets.fraud.model import computed_features
from assets.fraud.notifications import notify_alert, notify_refused
from assets.fraud.stream import catch_up as fraud_catch_up
from assets.fraud.stream.champion import FraudChampion
from assets.fraud.stream.lake_context import fraud_processor
from assets.fraud.stream.state import FraudState
from assets.partitions import daily
from assets.stages import metadata_keys as keys
from assets.stages import skew as served_skew
from assets.stages.builders import LearningConfig, champion_of
from assets.stages.checked_asset import CheckedDay, checked_asset, day_of, of_selection
from assets.stages.publishing_assets import publication_asset, scores_asset
from assets.stages.realized_performance import performance_checks
from assets.stages.training import ChampionRun
from resources.home import only_one
from resources.stack.ports import (
    AlertStoreResource,
    EngineResource,
    EventsResource,
    HomeResource,
    LakeResource,
    NotifierResource,
    RegistryResource,
    SettingsResource,
    SinkResource,
    StateStoreResource,
)

_OWNERS = ["team:data-science"]


@dg.asset(
    key=["fraud", "feedback"],
    partitions_def=daily,
    group_name="fraud",
    kinds={"lake"},
    owners=["team:payments"],
)
def feedback(
    context: dg.AssetExecutionContext, lake: LakeResource, alert_store: AlertStoreResource
) -> dg.MaterializeResult:
    """Analysts' labels of alerted payments on the day (`tessera alerts label`): labels beside those of the source."""
    rows = alert_feedback.copied(lake.open(), alert_store.open(), date.fromisoformat(context.partition_key))
    return dg.MaterializeResult(metadata={keys.ROW_COUNT: rows, keys.LABELS: rows})


@dg.asset(
    key=["fraud", "features"],
    deps=[["shop", "payments"], ["shop", "payment_labels"], ["fraud", "feedback"]],
    partitions_def=daily,
    group_name="fraud",
    kinds={"engine", "lake"},
    owners=_OWNERS,
)
def features(context: dg.AssetExecutionContext, lake: LakeResource, engine: EngineResource) -> dg.MaterializeResult:
    """Window features of each payment of the day: one row per payment, one partition per day."""
    rows = fraud_features.write(lake.open(), engine.open(), date.fromisoformat(context.partition_key))
    return dg.MaterializeResult(metadata={keys.ROW_COUNT: rows})


@champion_of(
    "fraud",
    rows="Payments of past days whose labels are known, with the features of their moment.",
    judged_on="payments of later days, cards that were blocked by then left out",
)
def champion(
    context: dg.AssetExecutionContext,
    config: LearningConfig,
    lake: LakeResource,
    engine: EngineResource,
    registry: RegistryResource,
    settings: SettingsResource,
    notifier: NotifierResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Train, evaluate and promote; with a champion and `train: if_no_champion`, only reports it."""
    fraud, computed = settings.open().fraud, computed_features
    run = ChampionRun(context, "fraud", config.train, registry, notifier, fraud.candidates, computed)
    yield from run.results(
        lambda: fraud_training.training_set(lake.open(), engine.open(), fraud, run.day),
        lambda rows: fraud_training.training_task(rows, fraud),
    )


scores = scores_asset(
    "fraud",
    lambda settings: fraud_scoring.scoring_task(settings.fraud),
    description="Fraud probability of every payment of the day, from the offline features: what the stream gives, bit "
    "for bit. Written, read back and audited, not yet published.",
    kinds=("trainer", "sink"),
)

publication = publication_asset("fraud")


@dg.asset(
    key=["fraud", "alerts"],
    deps=[["fraud", "publication"]],
    partitions_def=daily,
    group_name="fraud",
    kinds={"alert_store"},
    owners=_OWNERS,
)
def alerts(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    sink: SinkResource,
    registry: RegistryResource,
    alert_store: AlertStoreResource,
    settings: SettingsResource,
) -> dg.MaterializeResult:
    """The day's alerts, one per card: those that the stream raised, and those that it would have raised."""
    day, budget = date.fromisoformat(context.partition_key), settings.open().fraud.alerts_per_day
    stores = (lake.open(), sink.open(), registry.open(), alert_store.open())
    found = fraud_scoring.add_missing_alerts(*stores, day, budget=budget)
    return dg.MaterializeResult(metadata=found.metadata())


class Offsets(dg.Config):
    """Offsets of the events that a run processes."""

    first: int = Field(ge=1, description="Offset of the first event; those of the stream's past come again.")
    last: int = Field(ge=1, description="Offset of the last event.")


@dg.asset(
    key=["fraud", "stream_catch_up"],
    deps=[["fraud", "champion"]],
    group_name="fraud",
    kinds={"state_store"},
    owners=_OWNERS,
    pool="fraud_stream",
)
def stream_catch_up(
    context: dg.AssetExecutionContext,
    config: Offsets,
    events: EventsResource,
    state_store: StateStoreResource,
    alert_store: AlertStoreResource,
    lake: LakeResource,
    engine: EngineResource,
    registry: RegistryResource,
    notifier: NotifierResource,
    settings: SettingsResource,
    home: HomeResource,
) -> dg.MaterializeResult:
    """Score events that no worker has processed, exactly as `tessera stream fraud` does. Idempotent."""
    queue, state = events.open(), FraudState(state_store.open(), alert_store.open())
    doing = f"run {context.run.run_id} of {context.run.job_name}"
    with only_one(home, fraud_catch_up.LOCK, doing):
        champion = FraudChampion(registry.open())
        if champion.refused:
            context.log.warning(champion.note)
            notify_refused(notifier.open(), champion)
        begin = partial(fraud_processor, queue, state, lake.open(), engine.open(), settings.open().fraud)
        caught = fraud_catch_up.catch_up(begin, queue, state, champion, first=config.first, last=config.last)
    unheard = [why for alert in caught.alerts if (why := notify_alert(notifier.open(), alert))]
    return dg.MaterializeResult(metadata=caught.metadata() | {keys.NOTICES_FAILED: len(unheard)})


@checked_asset(
    ["fraud", "online_skew"],
    deps=[["fraud", "features"], ["fraud", "publication"], ["fraud", "stream_catch_up"]],
    kinds={"state_store", "lake"},
    checks=[
        dg.AssetCheckSpec(
            served_skew.CHECK,
            asset=["fraud", "online_skew"],
            description="Features that the stream's model was given, compared with the offline features: other values, "
            "payments that only one side has, other scores.",
        )
    ],
)
def online_skew(
    context: dg.AssetExecutionContext,
    config: CheckedDay,
    lake: LakeResource,
    sink: SinkResource,
    state_store: StateStoreResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Every payment that the stream scored on the day, compared with the features that training would have seen."""
    day = day_of(context, config, lambda: sink.open().published_days("fraud"))
    limits = settings.open().fraud.skew
    compared = fraud_skew.compare(lake.open(), sink.open(), FraudState(state_store.open()), limits, day)
    found = dg.MaterializeResult(metadata=compared.metadata(), check_results=[compared.check()])
    yield from of_selection(context, [found])


@checked_asset(
    ["fraud", "performance"],
    deps=[["shop", "payments"], ["shop", "payment_labels"], ["fraud", "feedback"], ["fraud", "alerts"]],
    kinds={"engine", "lake"},
    checks=performance_checks("fraud"),
)
def performance(
    context: dg.AssetExecutionContext,
    config: CheckedDay,
    lake: LakeResource,
    engine: EngineResource,
    registry: RegistryResource,
    sink: SinkResource,
    alert_store: AlertStoreResource,
    settings: SettingsResource,
):  # no return type: Dagster refuses any but a tuple where a step may leave out results
    """Performance of the scores and alerts of seven days ago, by the labels known at the end of the partition's day."""
    day = day_of(context, config, lambda: sink.open().published_days("fraud"))
    stores = (lake.open(), engine.open(), registry.open(), sink.open(), alert_store.open())
    found = fraud_performance.measure(*stores, settings.open().fraud, as_of=day)
    result = dg.MaterializeResult(metadata=found.metadata(), check_results=found.checks())
    yield from of_selection(context, [result])
