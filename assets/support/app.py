"""The record of the application `support`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assets.stages.app import App
from models.scoring.output import OutputColumn, OutputContract

if TYPE_CHECKING:
    from assets.stages.operation import Operation
    from assets.stages.scoring_task import ScoringTask
    from models.settings import Settings
    from models.stream_state import StreamState
    from resources.stack.ports import Ports

#: Lake table of what each step of triage gave for each ticket.
STEP_TABLE = "support_steps"
#: Version of the feature rows: a ticket with its customer's history as of the moment it was opened.
FEATURE_VERSION = "support_v1"

OUTPUT = OutputContract(
    keys=(
        OutputColumn("ticket_id", "string", "The ticket."),
        OutputColumn("customer_id", "string", "Who wrote; NULL for a guest.", nullable=True),
    ),
    payload=(
        OutputColumn("language", "string", "ISO 639-1 code.", few_values=True),
        OutputColumn("intent", "string", "What it is about; `oos` if none of the shop's intents.", few_values=True),
        OutputColumn("intent_by", "string", "Step that said so; empty if every step failed.", few_values=True),
        OutputColumn("confidence", "float64", "Probability that the intent is right.", at_least=0, at_most=1),
        OutputColumn(
            "urgency", "float64", "Probability that it is urgent; NULL without labels.", True, at_least=0, at_most=1
        ),
        OutputColumn("sentiment", "float64", "-1 (unhappy) to 1 (happy).", at_least=-1, at_most=1),
        OutputColumn("article_ids", "list<string>", "Articles that were found, best first."),
        OutputColumn("answer", "string", "Text for the customer; NULL where a person answers.", nullable=True),
        OutputColumn("cited", "list<string>", "Articles that the answer is from."),
        OutputColumn("handed_off", "bool", "A person answers."),
        OutputColumn("reasons", "list<string>", "Why a person answers; empty if none does."),
        OutputColumn("notes", "list<string>", "Failures of steps that something else made good."),
        OutputColumn("context", "string", "For the person: history, articles, draft and why it was not sent (JSON)."),
        OutputColumn("cost_eur", "float64", "Expected cost of the steps that it took, EUR.", at_least=0),
    ),
    entity="ticket_id",
    score="confidence",
)


def rehearsal(ports: Ports) -> Mapping[str, Any]:
    """Return what a version needs to answer its golden records."""
    from models.support.composition import rehearsed

    return rehearsed({"embedder": ports.embedder})


def _state() -> StreamState:
    from models.support.stream_state import SUPPORT_STATE

    return SUPPORT_STATE


def _scoring(settings: Settings, ports: Ports) -> ScoringTask:
    from assets.support.resources import triage_resources
    from assets.support.triage import scoring_task

    return scoring_task(settings.support, triage_resources(ports.vectors, ports.embedder, ports.language_model))


def _operations() -> Sequence[Operation]:
    from assets.support.operations import OPERATIONS

    return OPERATIONS


SUPPORT = App(
    name="support",
    title="Support tickets: intent, answer from cited articles, or hand-off with its reasons.",
    made_from=("tickets", "ticket_labels", "articles"),  # orders are part of the history where there are any
    features="support_features",
    training_set="support_training_set",
    golden_ids=lambda _: [],  # golden records are of no one
    output=OUTPUT,
    rehearsal=rehearsal,
    scoring=_scoring,
    operations=_operations,
    state=_state,
    streams=True,
)
