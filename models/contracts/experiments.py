"""Contracts of what was shown to customers, and of what they did then."""

from models.contracts.contract import EARLIEST_DAY, Column, Contract

_OWNER = "team:data-science"
#: Longer than what the watch compares as a category: an experiment that begins or ends is no anomaly.
_NAME_CHARACTERS = 128

EXPOSURES = Contract(
    table="exposures",
    version="1.0.0",
    description="One row for each product that was shown in a slot of a list, logged when it was shown, before anything"
    " could come of it.",
    owner=_OWNER,
    freshness_hours=24,
    key="exposure_id",
    event="shown_at",
    columns=(
        Column(name="exposure_id", type="string", description="Names the exposure."),
        Column(name="list_id", type="string", description="Names the list: its slots share it."),
        Column(
            name="experiment",
            type="string",
            description="Experiment that the list was part of, several with `+` between them; `none` outside of any.",
            at_most_characters=_NAME_CHARACTERS,
        ),
        Column(
            name="variant",
            type="string",
            description="Variant that made the list, one of each experiment in their order; `none` outside of any.",
            at_most_characters=_NAME_CHARACTERS,
        ),
        Column(
            name="customer_id",
            type="string",
            description="Who saw it; null if unknown.",
            nullable=True,
            pii="pseudonymous",
        ),
        Column(
            name="session_id",
            type="string",
            description="Session in which it was shown; null if there was none.",
            nullable=True,
            optional=True,
            pii="pseudonymous",
        ),
        Column(name="product_id", type="string", description="The product that was shown."),
        Column(
            name="slot", type="int32", description="Its place in the list, the first is 1.", at_least=1, at_most=1000
        ),
        Column(
            name="propensity",
            type="float64",
            description="Chance with which this product was shown in this slot, as the shuffle of slots gives it; 1 "
            "where nothing was left to chance.",
            more_than=0,
            at_most=1,
        ),
        Column(
            name="shown_at", type="timestamp", description="When it was shown.", unit="UTC", not_before=EARLIEST_DAY
        ),
    ),
    rules=("not_after_delivery",),
)

OUTCOMES = Contract(
    table="outcomes",
    version="1.0.0",
    description="One row for each click, cart, purchase and return of a product, whether or not it followed from an "
    "exposure.",
    owner=_OWNER,
    freshness_hours=24,
    key="outcome_id",
    event="happened_at",
    columns=(
        Column(name="outcome_id", type="string", description="Names the outcome."),
        Column(
            name="kind", type="string", description="What happened.", one_of=("click", "cart", "purchase", "return")
        ),
        Column(
            name="exposure_id",
            type="string",
            description="Exposure that it followed from; null if none is known.",
            nullable=True,
        ),
        Column(
            name="customer_id",
            type="string",
            description="Who did it; null if unknown.",
            nullable=True,
            pii="pseudonymous",
        ),
        Column(
            name="session_id",
            type="string",
            description="Session in which it happened; null if there was none.",
            nullable=True,
            optional=True,
            pii="pseudonymous",
        ),
        Column(name="product_id", type="string", description="The product."),
        Column(
            name="value",
            type="float64",
            description="What was paid, or paid back for a return; null for clicks and carts.",
            unit="EUR",
            nullable=True,
            at_least=0,
            at_most=1_000_000,
        ),
        Column(
            name="happened_at",
            type="timestamp",
            description="When it happened.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
    ),
    rules=("not_after_delivery",),
)
