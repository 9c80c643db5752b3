"""The record of the application `personalization`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from assets.stages.app import App, FeatureService
from models.scoring.output import OutputColumn, OutputContract

if TYPE_CHECKING:
    from assets.stages.operation import Operation
    from assets.stages.scoring_task import ScoringTask
    from models.settings import Settings
    from resources.engine.port import Engine
    from resources.lake.port import Lake
    from resources.stack.ports import Ports

#: Version of what lists are made from: profiles, interactions, offers.
FEATURE_VERSION = "personalization_v1"

OUTPUT = OutputContract(
    keys=(OutputColumn("customer_id", "string", "Whom the list is for."),),
    payload=(
        OutputColumn("product_ids", "list<string>", "Products, best first."),
        OutputColumn("scores", "list<float32>", "What they were ordered by; comparable within a list."),
        OutputColumn("sources", "list<string>", "Generator that found each product."),
        OutputColumn("reasons", "list<string>", "Why each product is in the list."),
        OutputColumn(
            "experiment", "string", "Experiment that the list is part of, several with `+` between; `none` outside."
        ),
        OutputColumn("variant", "string", "Variant that made the list, one of each experiment; `none` outside."),
        OutputColumn("propensities", "list<float64>", "Chance with which each product is shown in its place."),
        OutputColumn("own_share", "float64", "Share of the list that was chosen before.", at_least=0, at_most=1),
        OutputColumn("length", "int32", "Products of the list.", at_least=0),
        OutputColumn("list_by", "string", "`personal`, or `popular` where a step failed.", few_values=True),
        OutputColumn("filled", "int32", "Products that fill gaps which the rules left.", at_least=0),
        OutputColumn("lost", "int32", "Of the best candidates, those that rules removed.", at_least=0),
    ),
    entity="customer_id",
    score="own_share",
)


def rehearsal(_: Ports) -> Mapping[str, Any]:
    """Return what a version needs to answer its golden records."""
    from models.personalization.composition import rehearsed

    return rehearsed({})


def _write_features(lake: Lake, engine: Engine, settings: Settings, days: Sequence[date]) -> object:
    from assets.personalization.profiles import write_profiles

    return write_profiles(lake, engine, settings.personalization, days)


SERVICE = FeatureService(
    name=FEATURE_VERSION, view="personalization_customer", entity="customer_id", write=_write_features
)


def _scoring(settings: Settings, ports: Ports) -> ScoringTask:
    from assets.personalization.lists import scoring_task

    return scoring_task(settings, ports.lake, ports.vectors, is_night=False)


def _operations() -> Sequence[Operation]:
    from assets.personalization.operations import OPERATIONS

    return OPERATIONS


PERSONALIZATION = App(
    name="personalization",
    title="Twenty products for each customer, with reasons; the same steps answer on request.",
    made_from=("orders",),
    beside={
        "sessions": lambda settings: settings.personalization.cutoff_ages[-1] + settings.personalization.session_days,
        "stock": lambda settings: max(
            settings.personalization.cutoff_ages[-1] + 1, settings.personalization.stock_days
        ),
        "products": lambda settings: settings.ingestion.history_days,
    },
    features="personalization_features",
    training_set="personalization_training_set",
    golden_ids=lambda _: [],  # golden records are of no one
    service=SERVICE,
    output=OUTPUT,
    rehearsal=rehearsal,
    scoring=_scoring,
    operations=_operations,
)
