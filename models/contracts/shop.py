"""The contracts of the retailer's tables."""

from models.contracts.contract import EARLIEST_DAY, Column, Contract
from models.contracts.currencies import CURRENCIES
from models.contracts.experiments import EXPOSURES, OUTCOMES
from models.contracts.storefront import SESSIONS, STOCK
from models.contracts.support import ARTICLES, TICKET_LABELS, TICKETS

_OWNER = "team:shop-data"
_PAYMENTS_OWNER = "team:payments"


ORDERS = Contract(
    table="orders",
    version="1.0.0",
    description="One row for each line of an order; returns and cancellations are lines with a negative quantity.",
    owner=_OWNER,
    freshness_hours=2,
    key="order_line_id",
    event="ordered_at",
    columns=(
        Column(name="order_line_id", type="string", description="Names the line, unique over the whole table."),
        Column(name="order_id", type="string", description="The order (or the return) that the line belongs to."),
        Column(name="customer_id", type="string", description="Who ordered.", pii="pseudonymous"),
        Column(name="product_id", type="string", description="What was ordered."),
        Column(
            name="ordered_at",
            type="timestamp",
            description="When the order or the return was placed.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
        Column(
            name="quantity",
            type="int32",
            description="Pieces; negative for a return.",
            unit="pieces",
            at_least=-100_000,
            at_most=100_000,
            never=0,
        ),
        Column(
            name="unit_price",
            type="float64",
            description="Price of one piece, in `currency`.",
            unit="currency per piece",
            more_than=0,
            at_most=20_000,
        ),
        Column(name="currency", type="string", description="ISO 4217 code of `unit_price`.", one_of=CURRENCIES),
        Column(name="country", type="string", description="Where the order ships to."),
        Column(name="is_return", type="bool", description="Whether the line takes goods back."),
    ),
    rules=("returns_are_negative", "not_after_delivery", "near_list_price"),
)

CUSTOMERS = Contract(
    table="customers",
    version="1.0.0",
    description="One row for each customer, delivered when the account is opened.",
    owner=_OWNER,
    freshness_hours=2,
    key="customer_id",
    event="signed_up_on",
    is_register=True,
    columns=(
        Column(name="customer_id", type="string", description="Names the customer.", pii="pseudonymous"),
        Column(name="country", type="string", description="Where the customer lives."),
        Column(
            name="signed_up_on",
            type="date",
            description="Day on which the account was opened.",
            unit="UTC day",
            not_before=EARLIEST_DAY,
        ),
        Column(name="email", type="string", description="Address for letters to the customer.", pii="direct"),
    ),
    rules=("not_after_delivery",),
)

PRODUCTS = Contract(
    table="products",
    version="1.0.0",
    description="The catalogue: one row for each product, delivered when it enters the range.",
    owner=_OWNER,
    freshness_hours=24,
    key="product_id",
    event=None,
    is_register=True,
    columns=(
        Column(name="product_id", type="string", description="Names the product."),
        Column(name="category", type="string", description="Department it is sold in."),
        Column(
            name="list_price",
            type="float64",
            description="Price of one piece before discounts, in `currency`.",
            unit="currency per piece",
            more_than=0,
            at_most=20_000,
        ),
        Column(name="currency", type="string", description="ISO 4217 code of `list_price`.", one_of=CURRENCIES),
    ),
)

PAYMENTS = Contract(
    table="payments",
    version="1.0.0",
    description="One row for each card payment at a terminal.",
    owner=_PAYMENTS_OWNER,
    freshness_hours=2,
    key="transaction_id",
    event="paid_at",
    columns=(
        Column(
            name="transaction_id",
            type="int64",
            description="Running number of the payment; of two at one instant, the smaller one was first.",
            at_least=0,
        ),
        Column(name="customer_id", type="string", description="Whose card paid.", pii="pseudonymous"),
        Column(name="terminal_id", type="string", description="Where it paid."),
        Column(
            name="paid_at",
            type="timestamp",
            description="When the card paid.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
        Column(
            name="amount",
            type="float64",
            description="What was paid; 0 when a card is only verified.",
            unit="EUR",
            at_least=0,
            at_most=50_000,
        ),
    ),
    rules=("not_after_delivery",),
)

PAYMENT_LABELS = Contract(
    table="payment_labels",
    version="2.0.0",
    description="One row each time that it becomes known whether a payment was fraud; a later row replaces earlier "
    "ones from its `labelled_at` on, and of rows of the same moment, one that says fraud counts.",
    owner=_PAYMENTS_OWNER,
    freshness_hours=24,
    key="transaction_id",
    versioned_by=("labelled_at", "is_fraud"),
    event="labelled_at",
    columns=(
        Column(name="transaction_id", type="int64", description="The payment.", at_least=0),
        Column(name="is_fraud", type="bool", description="Whether the card's owner did not make it."),
        Column(
            name="labelled_at",
            type="timestamp",
            description="When that became known.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
    ),
    rules=("not_after_delivery",),
)

#: Every contracted table, by name.
CONTRACTS: dict[str, Contract] = {
    c.table: c
    for c in (
        *(ORDERS, CUSTOMERS, PRODUCTS, SESSIONS, STOCK),
        *(PAYMENTS, PAYMENT_LABELS),
        *(TICKETS, TICKET_LABELS, ARTICLES),
        *(EXPOSURES, OUTCOMES),
    )
}
