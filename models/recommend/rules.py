"""Business rules on the ranked candidates of one customer: they have the last word, and each removal is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.recommend.rules_config import EVERYWHERE, RulesConfig

#: Kinds of removals, in the order in which the rules are asked.
Rule = Literal["blocked", "out_of_stock", "owned_durable", "category_cap"]
RULES: tuple[Rule, ...] = ("blocked", "out_of_stock", "owned_durable", "category_cap")
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Shelf:
    """Properties of each product that rules ask, by its code: columns of equal length.

    Attributes:
        ids: of the products.
        on_hand: pieces in stock; NaN where the shop does not say.
        is_durable: bought once for a long time.
        bought_again: share of its buyers who bought it on two days or more.
        is_promoted: offered for less.
        category: code of its category, -1 where it has none; such products are in no category together.
        categories: names of the categories by code.
    """

    ids: NDArray[np.str_]
    on_hand: NDArray[np.float64]
    is_durable: NDArray[np.bool_]
    bought_again: NDArray[np.float64]
    is_promoted: NDArray[np.bool_]
    category: Codes
    categories: Sequence[str]


@dataclass(frozen=True)
class Ruled:
    """A list after the rules.

    Attributes:
        places: of the candidates that stay, in their order, at most `RulesConfig.length`.
        removed: rule -> candidates that it removed.
        lost: of the first `length` candidates, how many the rules removed.
        promoted: candidates that were moved up because they are promoted.
    """

    places: Codes
    removed: dict[Rule, int] = field(default_factory=dict[Rule, int])
    lost: int = 0
    promoted: int = 0


class Rules:
    """The rules over one shelf; what depends on products alone is computed once."""

    def __init__(self, config: RulesConfig, shelf: Shelf) -> None:
        self._config, self._shelf = config, shelf
        self._gone = (shelf.on_hand <= 0) if config.in_stock else np.zeros(len(shelf.ids), dtype=np.bool_)
        most = np.inf if config.durable_repeat_share is None else config.durable_repeat_share
        self._durable = shelf.is_durable & (shelf.bought_again < most)
        self._blocked = dict[str, NDArray[np.bool_]]()

    def applied(self, candidates: Codes, owned: Iterable[int], country: str) -> Ruled:
        """Return what stays of the candidates of a customer.

        Args:
            candidates: product codes, best first.
            owned: codes of products that the customer bought within `owned_durable_days`.
            country: of the customer; "" if it is not known.
        """
        config = self._config
        has = np.fromiter(owned, np.int64)
        masks: dict[Rule, NDArray[np.bool_]] = {
            "blocked": self._blocked_in(country)[candidates],
            "out_of_stock": self._gone[candidates],
            "owned_durable": self._durable[candidates] & np.isin(candidates, has),
        }
        stays, removed = np.ones(len(candidates), dtype=np.bool_), dict[Rule, int]()
        for rule, mask in masks.items():
            removed[rule] = int((stays & mask).sum())
            stays &= ~mask
        lost = int((~stays[: config.length]).sum())
        places = np.flatnonzero(stays)
        chosen, capped = self._within_caps(places, candidates)
        chosen, promoted = self._with_promoted(chosen, places, candidates)
        removed["category_cap"] = capped
        return Ruled(self._spread(chosen, candidates), removed, lost + capped, promoted)

    def _blocked_in(self, country: str) -> NDArray[np.bool_]:
        if country not in self._blocked:
            products, kinds = self._config.blocked_products, self._config.blocked_categories
            names = np.array([*self._shelf.categories, ""], dtype=object)[self._shelf.category]
            mask = np.zeros(len(self._shelf.ids), dtype=np.bool_)
            for where in (EVERYWHERE, country):
                mask |= np.isin(self._shelf.ids, products.get(where, ())) | np.isin(names, kinds.get(where, ()))
            self._blocked[country] = mask
        return self._blocked[country]

    def _within_caps(self, places: Codes, candidates: Codes) -> tuple[Codes, int]:
        """Return the first `length` places without those above the cap of their category, and how many these are."""
        length, cap = self._config.length, self._config.max_of_category
        if cap is None or len(places) <= cap:
            return places[:length], 0
        kinds = self._shelf.category[candidates[places]]
        nth = _occurrence(kinds)
        fits = (nth < cap) | (kinds < 0)
        chosen = np.flatnonzero(fits)[:length]
        passed = int(chosen[-1]) + 1 if len(chosen) == length else len(places)
        return places[chosen], int((~fits[:passed]).sum())

    def _with_promoted(self, chosen: Codes, places: Codes, candidates: Codes) -> tuple[Codes, int]:
        """Replace the last places by the best promoted candidates, as far as the list has fewer than it should."""
        wanted = min(self._config.promoted_places, len(chosen))
        has = int(self._shelf.is_promoted[candidates[chosen]].sum())
        if has >= wanted or len(chosen) < self._config.length:
            return chosen, 0
        others = places[~np.isin(places, chosen)]
        moved = others[self._shelf.is_promoted[candidates[others]]][: wanted - has]
        if not len(moved):
            return chosen, 0
        plain = np.flatnonzero(~self._shelf.is_promoted[candidates[chosen]])[-len(moved) :]
        return np.concatenate([np.delete(chosen, plain), moved]), len(moved)

    def _spread(self, chosen: Codes, candidates: Codes) -> Codes:
        """Return the list with at most `max_in_a_row` neighbours of one category, moving as few as it can."""
        most = self._config.max_in_a_row
        if most is None or len(chosen) <= most:
            return chosen
        kinds = self._shelf.category[candidates[chosen]].tolist()
        waiting, order = list(range(len(chosen))), list[int]()
        while waiting:
            tail = {kinds[at] for at in order[-most:]} if len(order) >= most else set[int]()
            only = next(iter(tail)) if len(tail) == 1 and -1 not in tail else None
            place = next((n for n, at in enumerate(waiting) if kinds[at] != only), 0)
            order.append(waiting.pop(place))
        return chosen[order]


def _occurrence(values: Codes) -> Codes:
    """Return how often each value came before, e.g. `[3, 3, 5, 3]` gives `[0, 1, 0, 2]`."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, np.int64)
    nth = np.arange(len(ordered)) - np.repeat(begins, np.diff(np.r_[begins, len(ordered)]))
    found = np.empty(len(values), dtype=np.int64)
    found[order] = nth
    return found
