"""Contracts of the shop's tables: columns, types, units, ranges, keys, personal data, owner, freshness.

Importing this package brings only declarations. Checking rows lives in `models.contracts.checking`, which imports
polars and is therefore imported where rows are checked, not where definitions load.
"""

from models.contracts.contract import (
    DELIVERED_ON,
    EARLIEST_DAY,
    ORIGINAL,
    QUARANTINE_SCHEMA,
    UNREADABLE,
    Column,
    ColumnType,
    Contract,
    Pii,
    RowRule,
)
from models.contracts.experiments import EXPOSURES, OUTCOMES
from models.contracts.shop import CONTRACTS, CUSTOMERS, ORDERS, PAYMENT_LABELS, PAYMENTS, PRODUCTS
from models.contracts.storefront import SESSIONS, STOCK
from models.contracts.support import ARTICLES, TICKET_LABELS, TICKETS

__all__ = [
    "ARTICLES",
    "CONTRACTS",
    "CUSTOMERS",
    "DELIVERED_ON",
    "EARLIEST_DAY",
    "EXPOSURES",
    "ORDERS",
    "ORIGINAL",
    "OUTCOMES",
    "PAYMENTS",
    "PAYMENT_LABELS",
    "PRODUCTS",
    "QUARANTINE_SCHEMA",
    "SESSIONS",
    "STOCK",
    "TICKETS",
    "TICKET_LABELS",
    "UNREADABLE",
    "Column",
    "ColumnType",
    "Contract",
    "Pii",
    "RowRule",
]
