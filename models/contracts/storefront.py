"""The contracts of the storefront: what customers look at, and what the shop has of each product on each day."""

from models.contracts.contract import EARLIEST_DAY, Column, Contract
from models.contracts.currencies import CURRENCIES

_OWNER = "team:storefront"


SESSIONS = Contract(
    table="sessions",
    version="1.0.0",
    description="One row for each product that was looked at or put into the cart during a visit.",
    owner=_OWNER,
    freshness_hours=2,
    key="event_id",
    event="at",
    columns=(
        Column(name="event_id", type="string", description="Names the event, unique over the whole table."),
        Column(name="session_id", type="string", description="The visit that it belongs to."),
        Column(
            name="customer_id",
            type="string",
            description="Who visited; null for one who was not logged in.",
            nullable=True,
            pii="pseudonymous",
        ),
        Column(name="product_id", type="string", description="What was looked at or put into the cart."),
        Column(name="kind", type="string", description="Kind of the event.", one_of=("view", "cart")),
        Column(
            name="position",
            type="int32",
            description="Place of the product in the list in which it was seen, from 1; null if it was in none.",
            nullable=True,
            optional=True,
            at_least=1,
            at_most=100_000,
        ),
        Column(name="at", type="timestamp", description="When it happened.", unit="UTC", not_before=EARLIEST_DAY),
    ),
    rules=("not_after_delivery",),
)

STOCK = Contract(
    table="stock",
    version="1.0.0",
    description="One row for each product and day: what the shop has of it, and what it offers it for.",
    owner=_OWNER,
    freshness_hours=2,
    key="product_id",
    versioned_by=("counted_on",),
    event="counted_on",
    columns=(
        Column(name="product_id", type="string", description="The product."),
        Column(
            name="counted_on",
            type="date",
            description="Day at the end of which it was counted.",
            unit="UTC day",
            not_before=EARLIEST_DAY,
        ),
        Column(
            name="on_hand",
            type="int32",
            description="Pieces that can be sent at once; 0: orders have to wait.",
            unit="pieces",
            at_least=0,
            at_most=100_000_000,
        ),
        Column(
            name="price",
            type="float64",
            description="Price of one piece on the day, promotions included, in `currency`.",
            unit="currency per piece",
            more_than=0,
            at_most=20_000,
        ),
        Column(
            name="unit_cost",
            type="float64",
            description="Cost of one piece to the shop, in `currency`.",
            unit="currency per piece",
            nullable=True,
            optional=True,
            at_least=0,
            at_most=20_000,
        ),
        Column(name="currency", type="string", description="ISO 4217 code of `price` and cost.", one_of=CURRENCIES),
        Column(
            name="name",
            type="string",
            description="Name of the product, as customers read it.",
            nullable=True,
            optional=True,
            at_most_characters=300,
        ),
        Column(
            name="is_promoted", type="bool", description="Whether it is offered for less.", nullable=True, optional=True
        ),
        Column(
            name="is_durable",
            type="bool",
            description="Whether it is bought once for a long time, e.g. a lamp.",
            nullable=True,
            optional=True,
        ),
        Column(
            name="launched_on",
            type="date",
            description="Day on which it was offered first.",
            unit="UTC day",
            nullable=True,
            optional=True,
            not_before=EARLIEST_DAY,
        ),
    ),
    rules=("not_after_delivery",),
)
