"""The contracts of customer support: tickets, what agents say of them, and the articles of the knowledge base."""

from models.contracts.contract import EARLIEST_DAY, Column, Contract

_OWNER = "team:support"

TICKETS = Contract(
    table="tickets",
    version="1.0.0",
    description="One row for each ticket: the first message of a customer or a guest, as it was written.",
    owner=_OWNER,
    freshness_hours=2,
    key="ticket_id",
    event="opened_at",
    columns=(
        Column(name="ticket_id", type="string", description="Names the ticket."),
        Column(
            name="customer_id",
            type="string",
            description="Who wrote; null for a guest.",
            nullable=True,
            pii="pseudonymous",
        ),
        Column(name="channel", type="string", description="How the message came in.", one_of=("mail", "chat", "form")),
        Column(
            name="opened_at",
            type="timestamp",
            description="When the message came in.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
        Column(
            name="text",
            type="string",
            description="The message; may hold names, addresses and numbers of persons.",
            at_most_characters=20_000,
            pii="direct",
        ),
        Column(name="order_id", type="string", description="The order that it is about, if known.", nullable=True),
    ),
    rules=("not_after_delivery",),
)

TICKET_LABELS = Contract(
    table="ticket_labels",
    version="1.1.0",
    description="One row each time that an agent says what a ticket is about; of several rows of a ticket, the newest "
    "counts from its `labelled_at` on, and a null in it says nothing.",
    owner=_OWNER,
    freshness_hours=24,
    key="ticket_id",
    versioned_by=("labelled_at",),
    event="labelled_at",
    columns=(
        Column(name="ticket_id", type="string", description="The ticket."),
        Column(
            name="intent",
            type="string",
            description="What the ticket is mainly about; `oos` if it is none of the shop's intents.",
            at_most_characters=100,
        ),
        Column(name="urgent", type="bool", description="Whether it has to be answered before others.", nullable=True),
        Column(name="handed_off", type="bool", description="Whether a person had to take it over.", nullable=True),
        Column(
            name="article_id",
            type="string",
            description="The article that answered it, as the agent says.",
            nullable=True,
            optional=True,
        ),
        Column(
            name="labelled_at",
            type="timestamp",
            description="When the agent said so.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
    ),
    rules=("not_after_delivery",),
)

ARTICLES = Contract(
    table="articles",
    version="1.0.0",
    description="One row for each version of an article of the knowledge base; the newest one counts from its "
    "`updated_at` on.",
    owner=_OWNER,
    freshness_hours=24,
    key="article_id",
    versioned_by=("updated_at",),
    event="updated_at",
    is_register=True,
    columns=(
        Column(name="article_id", type="string", description="Names the article, in one language."),
        Column(name="title", type="string", description="Its title.", at_most_characters=300),
        Column(name="body", type="string", description="Its text.", at_most_characters=100_000),
        Column(
            name="language",
            type="string",
            description="ISO 639-1 code of its language, e.g. `en`.",
            at_most_characters=2,
        ),
        Column(
            name="updated_at",
            type="timestamp",
            description="When this version was published.",
            unit="UTC",
            not_before=EARLIEST_DAY,
        ),
        Column(name="is_retired", type="bool", description="Whether it is no longer to be shown from then on."),
    ),
    rules=("not_after_delivery",),
)
