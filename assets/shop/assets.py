"""The shop's tables, under contract: what the source delivers, without the rows that break a promise."""

from assets.stages.builders import contracted_table
from models.contracts import (
    ARTICLES,
    CUSTOMERS,
    EXPOSURES,
    ORDERS,
    OUTCOMES,
    PAYMENT_LABELS,
    PAYMENTS,
    PRODUCTS,
    SESSIONS,
    STOCK,
    TICKET_LABELS,
    TICKETS,
)

customers = contracted_table(
    CUSTOMERS,
    group="shop",
    description="Customer accounts: one row per customer, on the day the account was delivered.\n\n"
    "Rejected rows are quarantined.",
)
products = contracted_table(
    PRODUCTS,
    group="shop",
    description="The catalogue: one row per product, on the day it was delivered. Its prices expose orders in a wrong "
    "unit.",
)
orders = contracted_table(
    ORDERS,
    group="shop",
    deps=[["shop", "products"]],
    description="Order lines bought and returned: one row per line, on the day it was delivered, each line once.",
)
sessions = contracted_table(
    SESSIONS,
    group="storefront",
    description="Visits: one row per product that was looked at or put into the cart, on the day it was delivered.",
)
stock = contracted_table(
    STOCK,
    group="storefront",
    description="Stock and offer of each product: one row per product and day, on the day it was delivered.",
)
payments = contracted_table(
    PAYMENTS,
    group="payments",
    description="Card payments at terminals: one row per payment, on the day it was delivered.",
)
payment_labels = contracted_table(
    PAYMENT_LABELS,
    group="payments",
    description="Fraud labels of payments: one row per label, on the day of delivery; the latest label counts.",
)
tickets = contracted_table(
    TICKETS,
    group="tickets",
    description="Support tickets: one row per ticket, the customer's first message, on the day it was delivered.",
)
ticket_labels = contracted_table(
    TICKET_LABELS,
    group="tickets",
    description="Agents' labels of tickets: intent, urgency, hand-off; one row per label, the newest counts.",
)
articles = contracted_table(
    ARTICLES,
    group="tickets",
    description="Articles of the knowledge base: one row per version of an article, on the day it was delivered; the "
    "newest counts.",
)
exposures = contracted_table(
    EXPOSURES,
    group="experiments",
    description="Products that were shown, logged before anything could come of it: one row per slot of a list, each "
    "once, on the day it was delivered.",
)
outcomes = contracted_table(
    OUTCOMES,
    group="experiments",
    description="Clicks, carts, purchases and returns: one row each, on the day it was delivered.",
)
