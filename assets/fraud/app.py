"""The record of the application `fraud`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.stages.app import App

if TYPE_CHECKING:
    import pyarrow as pa


def _golden_customers(rows: pa.Table) -> list[str]:
    from assets.fraud.training import golden_customers

    return golden_customers(rows)


FRAUD = App(
    name="fraud",
    title="Card payments that their card's owner did not make: scored as they come, and again each night.",
    key="transaction_id",
    made_from=("payments", "payment_labels"),
    features="fraud_features",
    training_set="fraud_training_set",
    golden_ids=_golden_customers,
    raises_alerts=True,
    streams=True,
)
