"""The composition of personalization: which step runs after which, what stands in where one fails, golden records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from models.compose.package import Composition, Part
from models.personalization.config import StepsConfig
from models.personalization.fields import EMPTY_VISIT
from models.personalization.known import Days, Known, Offers, OneDay
from models.personalization.margin import MarginOrder
from models.personalization.parts import (
    ITEMS,
    KNOWN,
    CandidatesPart,
    ContextPart,
    FrequencyPart,
    PopularPart,
    ProfilePart,
    RulesPart,
)
from models.personalization.tables import Items, ItemTables
from models.recommend.generators import Tables
from models.recommend.interactions import interactions

NAME = "personalization"
#: Name of the answer of the steps themselves, and of what stands in for it.
PERSONAL, POPULAR = "personal", "popular"


def personalization(
    ranker: Mapping[str, Part],
    days: Days,
    items: ItemTables,
    config: StepsConfig,
    by_margin: MarginOrder | None = None,
) -> Composition:
    """Build the composition.

    Args:
        ranker: steps that order the candidates by name, best first; the next one answers where one fails.
        days: gives what is known of a day.
        items: gives the tables of products.
        config: settings of the steps.
        by_margin: weighs margins in the order by frequency; steps of `ranker` have their own.
    """
    parts: dict[str, Any] = {
        "profile": ProfilePart(days),
        "context": ContextPart(days),
        "candidates": CandidatesPart(days, items, config.recommender),
        **ranker,
        "frequency": FrequencyPart(by_margin),
        "rules": RulesPart(days, config.rules),
        POPULAR: PopularPart(days, config.rules),
    }
    gathered = {
        "profile": {"step": "profile", "defaults": {"customer": -1, "country": ""}},
        "context": {"step": "context", "defaults": {"context": dict(EMPTY_VISIT)}},
    }
    order = {"kind": "fallback", "name": "ranked", "steps": [*ranker, "frequency"]}
    steps = [
        {"kind": "fan_out", "name": "gathered", "branches": gathered},
        "candidates",
        order if ranker else "frequency",
        "rules",
    ]
    gives = ["product_ids", "scores", "sources", "reasons", "counts"]
    personal = {"kind": "sequence", "name": PERSONAL, "steps": steps, "gives": gives}
    return Composition(NAME, {"kind": "fallback", "name": "list", "steps": [personal, POPULAR]}, parts)


#: Records that a version must answer as when it was saved: of no one, so that no person is in a package.
GOLDEN: Sequence[Mapping[str, Any]] = (
    {"customer_id": "golden-1", "as_of": "2000-01-31", "session": {}},
    {"customer_id": "", "as_of": "2000-01-31", "session": {"events": [{"product_id": "g07", "kind": "cart"}]}},
)


def golden_day() -> OneDay:
    """Return a day that golden records are answered on: three customers, thirty products, always the same."""
    ids = np.array([f"g{number:02d}" for number in range(30)])
    owner, product, day = (
        np.array([f"golden-{number % 3}" for number in range(60)]),
        np.array([f"g{number * 7 % 26:02d}" for number in range(60)]),
        np.array([date(2000, 1, 1 + number % 30) for number in range(60)], dtype="datetime64[D]"),
    )
    events = on_products(interactions(owner, product, day), ids)
    number = np.arange(30, dtype=np.float64)
    offers = Offers(
        ids=ids,
        on_hand=np.where(number % 9 == 4, 0.0, 10 + number),
        price=1 + number,
        unit_cost=0.5 + number / 2,
        is_promoted=number % 10 == 3,
        is_durable=number % 4 == 1,
        launched=np.where(number > 27, 10_955.0, 10_000.0),
        category=np.array([f"kind {int(one) % 5}" for one in number], dtype=object),
        name=np.array([""] * 30, dtype=object),
    )
    countries = np.array(["Germany", "France", ""], dtype=object)
    return OneDay(Known(date(2000, 1, 31), events, events, events, offers, countries, "golden"))


def on_products(events: Any, ids: Any) -> Any:
    """Return interactions whose product codes are places in `ids`, which ascend and hold all of their products."""
    from dataclasses import replace

    places = np.searchsorted(ids, events.products).astype(np.int32)
    return replace(events, products=ids, product=places[events.product])


def rehearsed(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resources with which golden records are answered: what changes from day to day is replaced."""
    return {**resources, KNOWN: golden_day(), ITEMS: GoldenItems()}


class GoldenItems:
    """Tables of the products of the golden day: made of whole numbers, the same on every machine."""

    version = "golden"

    def over(self, known: Known) -> Tables:
        """Return the tables by the product codes of `known`."""
        from scipy.sparse import csr_array

        n = 30
        number = np.arange(n)
        near = ((number[:, None] * 5 + number[None, :] * 3) % 11 == 0) & (number[:, None] != number[None, :])
        weights = csr_array((near * (1 + (number[:, None] + number[None, :]) % 4)).astype(np.float32) / 8)
        vectors = np.stack([number % 4, number % 3, number % 2], axis=1).astype(np.float32)
        return Items([f"g{one:02d}" for one in range(n)], vectors, weights, weights, weights).over(known)
