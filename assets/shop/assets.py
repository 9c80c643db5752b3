"""The shop's tables, under contract: what the source delivers, without the rows that break a promise."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from assets.fraud import feedback as alert_feedback
from assets.partitions import daily
from assets.stages.builders import IngestConfig, contracted_table, ingested
from models.contracts import CUSTOMERS, ORDERS, PAYMENT_LABELS, PAYMENTS, PRODUCTS
from resources.stack.ports import LakeResource, SettingsResource, SourceResource, StreamStoreResource


@contracted_table(CUSTOMERS, group="shop")
def customers(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: SourceResource,
    lake: LakeResource,
    settings: SettingsResource,
) -> Iterator[dg.MaterializeResult]:
    """Customer accounts: one row per customer, on the day the account was delivered.

    Rejected rows are quarantined.
    """
    yield from ingested(context, "customers", source, lake, settings, config)


@contracted_table(PRODUCTS, group="shop")
def products(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: SourceResource,
    lake: LakeResource,
    settings: SettingsResource,
) -> Iterator[dg.MaterializeResult]:
    """The catalogue: one row per product, on the day it was delivered. Its prices expose orders in a wrong unit."""
    yield from ingested(context, "products", source, lake, settings, config)


@contracted_table(ORDERS, group="shop", deps=[["shop", "products"]])
def orders(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: SourceResource,
    lake: LakeResource,
    settings: SettingsResource,
) -> Iterator[dg.MaterializeResult]:
    """Order lines bought and returned: one row per line, on the day it was delivered, each line once."""
    yield from ingested(context, "orders", source, lake, settings, config)


@contracted_table(PAYMENTS, group="payments")
def payments(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: SourceResource,
    lake: LakeResource,
    settings: SettingsResource,
) -> Iterator[dg.MaterializeResult]:
    """Card payments at terminals: one row per payment, on the day it was delivered."""
    needed = settings.open().fraud.history_days
    yield from ingested(context, "payments", source, lake, settings, config, history_days=needed)


@contracted_table(PAYMENT_LABELS, group="payments")
def payment_labels(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    source: SourceResource,
    lake: LakeResource,
    settings: SettingsResource,
) -> Iterator[dg.MaterializeResult]:
    """Fraud labels of payments: one row per label, on the day of delivery; the latest label counts."""
    needed = settings.open().fraud.history_days
    yield from ingested(context, "payment_labels", source, lake, settings, config, history_days=needed)


@dg.asset(
    key=["shop", "payment_feedback"],
    partitions_def=daily,
    group_name="payments",
    kinds={"lake"},
    owners=["team:payments"],
)
def payment_feedback(
    context: dg.AssetExecutionContext, lake: LakeResource, stream_store: StreamStoreResource
) -> dg.MaterializeResult:
    """Analysts' labels of alerted payments on the day (`tessera alerts label`): labels beside those of the source."""
    rows = alert_feedback.copied(lake.open(), stream_store.open(), date.fromisoformat(context.partition_key))
    return dg.MaterializeResult(metadata={"dagster/row_count": rows, "answers": rows})
