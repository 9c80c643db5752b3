"""The shop's tables, under contract: what the source delivers, without the rows that break a promise."""

import dagster as dg

from assets.stages import contracted_table, ingested
from models.contracts import CUSTOMERS, ORDERS, PRODUCTS
from resources.ports import LakeResource, SettingsResource, SourceResource


@contracted_table(CUSTOMERS)
def customers(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """Who has an account: one row per customer, on the day the account was delivered. Refused rows in quarantine."""
    return ingested(context, "customers", source, lake, settings)


@contracted_table(PRODUCTS)
def products(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """The catalogue: one row per product, on the day it was delivered. Its prices expose orders in a wrong unit."""
    return ingested(context, "products", source, lake, settings)


@contracted_table(ORDERS, deps=[["shop", "products"]])
def orders(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, settings: SettingsResource
) -> dg.MaterializeResult:
    """What was bought and returned: one row per order line, on the day it was delivered, each line once."""
    return ingested(context, "orders", source, lake, settings)
