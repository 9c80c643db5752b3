"""Settings of the business rules that have the last word on a list; imports nothing heavy."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

#: Country that stands for all of them in block lists.
EVERYWHERE = "*"


class RulesConfig(BaseModel):
    """Business rules, in the order in which they are asked. Each product that one removes is counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int = Field(default=20, ge=1, le=100, description="Products of a list.")
    blocked_products: Mapping[str, tuple[str, ...]] = Field(
        default={},
        description="Legal block lists, which nothing overrules: country of the customer -> product ids that are not "
        'shown there; `"*"` is everywhere, and holds for customers whose country is not known.',
    )
    blocked_categories: Mapping[str, tuple[str, ...]] = Field(
        default={}, description="The same of whole categories, e.g. `{Germany: [knives]}`."
    )
    in_stock: bool = Field(default=True, description="Products that are out of stock are removed.")
    owned_durable_days: int = Field(
        default=365,
        ge=0,
        le=365,  # purchases are read so far back
        description="Durable products that the customer bought in these last days are removed; 0: they stay.",
    )
    durable_repeat_share: float | None = Field(
        default=0.2,
        gt=0,
        le=1,
        description="A durable that this share of its buyers or more bought on two days or more is no durable to the "
        "rule: what customers do outweighs the mark. Ten buyers who never came back are counted in, so that few do not "
        "decide. null: the mark alone counts.",
    )
    max_of_category: int | None = Field(
        default=10, ge=1, description="Products of one category in a list, at most; null: any number."
    )
    max_in_a_row: int | None = Field(
        default=5, ge=1, description="Neighbouring products of one category, at most; null: any number."
    )
    promoted_places: int = Field(
        default=1,
        ge=0,
        description="Places of the list for promoted products: the best candidates among them are moved up to fill "
        "these places at its end, if they are not in it anyhow.",
    )
