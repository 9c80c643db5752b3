"""The list of a customer: rules on the ranked candidates, popular products where they leave gaps, reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.personalization.candidates import SOURCES
from models.personalization.known import Known
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
        chosen, filled = products[found.places], np.empty(0, np.int64)
        if len(chosen) < self._config.length:
            filled = self._filling(known, rules, products, owned, country)[: self._config.length - len(chosen)]
        scores = ranked["scores"][found.places]
        sources = [SOURCES[code] for code in ranked["sources"][found.places].tolist()]
        reasons = _Reasons(known, customer, country, context)
        texts = [reasons.of(code, source) for code, source in zip(chosen.tolist(), sources, strict=True)]
        low = float(scores.min()) if len(scores) else 0.0
        return Listed(
            known.offers.ids[np.concatenate([chosen, filled])].tolist(),
            [*scores.tolist(), *[min(low, 0.0)] * len(filled)],
            [*sources, *[FILLED] * len(filled)],
            [*texts, *(reasons.of(code, FILLED) for code in filled.tolist())],
            self._counts(found, len(filled), context),
        )

    def popular(self, known: Known) -> Listed:
        """Return the list of someone of whom nothing is known: what is popular."""
        codes = known.popular[""]
        ranked = {
            "products": codes,
            "sources": np.full(len(codes), SOURCES.index("popular")),
            "scores": np.linspace(1.0, 0.0, len(codes)),
        }
        return self.listed(known, -1, "", {"products": [], "carted": [], "unknown": 0}, ranked)

    def _filling(self, known: Known, rules: Rules, products: Codes, owned: Codes, country: str) -> Codes:
        """Return popular products that are no candidates and that the rules let pass, most popular first."""
        others = known.popular.get(country, known.popular[""])
        others = others[~np.isin(others, products)]
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


class _Reasons:
    """Why a product is in the list of a customer, in words."""

    def __init__(self, known: Known, customer: int, country: str, context: Mapping[str, Any]) -> None:
        self._known, self._country, self._context = known, country, context
        pairs = known.history.pairs
        begin, end = (pairs.starts[customer], pairs.starts[customer + 1]) if customer >= 0 else (0, 0)
        self._own = dict(zip(pairs.product[begin:end].tolist(), range(int(begin), int(end)), strict=True))

    def of(self, code: int, source: str) -> str:
        """Return the reason for a product of a source."""
        if code in self._context["products"]:
            return "in the cart of this visit" if code in self._context["carted"] else "looked at in this visit"
        if code in self._own:
            pairs, place = self._known.history.pairs, self._own[code]
            return f"chosen {int(pairs.count[place])} times, last {int(pairs.last[place])} days ago"
        if source == "new":
            return f"new: offered for {int(self._known.now - self._known.offers.launched[code])} days"
        if source == FILLED:
            return "fills the list: popular in the shop"
        return f"popular in {self._country}" if self._country else "popular in the shop"
