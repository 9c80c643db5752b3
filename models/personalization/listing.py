"""The list of a customer: rules on the ranked candidates, popular products where they leave gaps, reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.personalization.fields import EMPTY_VISIT
from models.personalization.known import Known
from models.personalization.reasons import reasons
from models.recommend.rules import RULES, Ruled, Rules
from models.recommend.rules_config import RulesConfig

Codes = NDArray[np.int64]
#: Source of a product that fills a gap.
FILLED = "filled"


@dataclass(frozen=True)
class Listed:
    """A list, best first: its columns are of equal length."""

    product_ids: list[str]
    scores: list[float]
    sources: list[str]
    reasons: list[str]
    counts: dict[str, int]


class Lister:
    """Makes lists under the same rules."""

    def __init__(self, config: RulesConfig) -> None:
        self._config = config
        self._rules = lru_cache(maxsize=4)(self._over)

    def listed(
        self, known: Known, customer: int, country: str, context: Mapping[str, Any], ranked: Mapping[str, Any]
    ) -> Listed:
        """Return the list of a customer.

        Args:
            known: the day.
            customer: place among the known ones, -1 for none.
            country: of the customer, "" if not known.
            context: of the visit (`CONTEXT`).
            ranked: candidates, best first (`RANKED`).
        """
        products: Codes = ranked["products"]
        owned = known.owned(customer, self._config.owned_durable_days)
        rules = self._rules(known)
        found = rules.applied(products, owned, country)
        chosen = products[found.places]
        gaps = self._config.length - len(chosen)
        filled = self._filling(known, rules, products, context, owned, country)[:gaps] if gaps else products[:0]
        why = reasons(known, country, context, ranked, found.places)
        scores = ranked["scores"][found.places].tolist()
        return Listed(
            known.offers.ids[np.concatenate([chosen, filled])].tolist(),
            [*scores, *[min(scores, default=0.0)] * len(filled)],
            [*(source for source, _ in why), *[FILLED] * len(filled)],
            [*(text for _, text in why), *["fills the list: popular"] * len(filled)],
            self._counts(found, len(filled), context),
        )

    def popular(self, known: Known) -> Listed:
        """Return the list of someone of whom nothing is known: what is popular."""
        codes = known.popular[""]
        ranked = {"products": codes, "scores": np.linspace(1.0, 0.0, len(codes)), "places": None}
        return self.listed(known, -1, "", EMPTY_VISIT, ranked)

    def _filling(
        self, known: Known, rules: Rules, products: Codes, context: Mapping[str, Any], owned: Codes, country: str
    ) -> Codes:
        """Return popular products that are no candidates and that the rules let pass, most popular first."""
        others = known.popular.get(country, known.popular[""])
        others = others[~np.isin(others, [*products.tolist(), *context["carted"]])]
        return others[rules.applied(others, owned, country).places]

    def _over(self, known: Known) -> Rules:
        return Rules(self._config, known.shelf)

    def _counts(self, found: Ruled, filled: int, context: Mapping[str, Any]) -> dict[str, int]:
        return {
            **{rule: found.removed.get(rule, 0) for rule in RULES},
            "lost": found.lost,
            "promoted": found.promoted,
            "filled": filled,
            "unknown_in_visit": int(context.get("unknown", 0)),
        }
