"""The record of the application `fraud`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from assets.stages.app import App
from models.scoring.output import OutputColumn, OutputContract

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.stages.operation import Operation
    from assets.stages.scoring_task import ScoringTask
    from assets.stages.training_task import TrainingTask
    from models.settings import Settings
    from models.stream_state import StreamState
    from resources.stack.ports import Ports


def _golden_customers(rows: pa.Table) -> list[str]:
    from assets.fraud.training import golden_customers

    return golden_customers(rows)


def _state() -> StreamState:
    from models.fraud.stream_state import FRAUD_STATE

    return FRAUD_STATE


def _scoring(settings: Settings, _: Ports) -> ScoringTask:
    from assets.fraud.scoring import scoring_task

    return scoring_task(settings.fraud)


def _operations() -> Sequence[Operation]:
    from assets.fraud.operations import OPERATIONS

    return OPERATIONS


def _training(ports: Ports, settings: Settings, day: date) -> TrainingTask:
    from assets.fraud.training import training_set, training_task

    return training_task(training_set(ports.lake, ports.engine, settings.fraud, day), settings.fraud)


#: One row per payment, by time; the stream's scores, bit for bit, so float64.
_OUTPUT = OutputContract(
    keys=(
        OutputColumn("transaction_id", "int64"),
        OutputColumn("customer_id", "string", "Card."),
        OutputColumn("terminal_id", "string"),
        OutputColumn("event_timestamp", "timestamp", "Time of the payment, UTC."),
    ),
    payload=(OutputColumn("score", "float64", "Probability of fraud.", at_least=0, at_most=1),),
    entity="transaction_id",
    score="score",
    order=("event_timestamp", "transaction_id"),
)
FRAUD = App(
    name="fraud",
    title="Card payments that their card's owner did not make: scored as they come, and again each night.",
    made_from=("payments", "payment_labels"),
    features="fraud_features",
    training_set="fraud_training_set",
    golden_ids=_golden_customers,
    history_days=lambda settings: settings.fraud.history_days,
    raises_alerts=True,
    state=_state,
    streams=True,
    output=_OUTPUT,
    scoring=_scoring,
    operations=_operations,
    training=_training,
)
