"""Business rules: each removal is counted, the order stays, nothing overrules a block list."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.recommend.rules import Rules, Shelf
from models.recommend.rules_config import RulesConfig

#: Rules that are asked for nothing but what a test names.
NONE: dict[str, Any] = {
    "in_stock": False,
    "owned_durable_days": 0,
    "max_of_category": None,
    "max_in_a_row": None,
    "promoted_places": 0,
}


def shelf(n: int = 12, **others: Any) -> Shelf:
    kinds = np.arange(n) % 3
    found: dict[str, Any] = {
        "ids": np.array([f"p{number:02d}" for number in range(n)]),
        "on_hand": np.full(n, 5.0),
        "is_durable": np.zeros(n, dtype=np.bool_),
        "bought_again": np.zeros(n),
        "is_promoted": np.zeros(n, dtype=np.bool_),
        "category": kinds,
        "categories": ["garden", "kitchen", "toys"],
    }
    return Shelf(**{**found, **others})


def places(config: dict[str, Any], products: Shelf, owned: tuple[int, ...] = (), country: str = "") -> list[int]:
    return Rules(RulesConfig(**{**NONE, **config}), products).applied(np.arange(12), owned, country).places.tolist()


def test_what_is_out_of_stock_goes_and_what_is_not_counted_stays() -> None:
    on_hand = np.array([0, -3, np.nan, *[5.0] * 9])
    assert places({"in_stock": True, "length": 3}, shelf(on_hand=on_hand)) == [2, 3, 4]


def test_an_owned_durable_goes_and_other_owned_products_stay() -> None:
    durable = np.arange(12) < 2
    products = shelf(is_durable=durable)
    rules = Rules(RulesConfig(**{**NONE, "length": 4, "owned_durable_days": 365}), products)
    found = rules.applied(np.arange(12), (1, 5), "")
    assert found.places.tolist() == [0, 2, 3, 4]
    assert (found.removed["owned_durable"], found.lost) == (1, 1)


def test_a_durable_that_a_fifth_of_its_buyers_bought_again_stays() -> None:
    products = shelf(is_durable=np.arange(12) < 3, bought_again=np.array([0.0, 0.19, 0.2, *[0.0] * 9]))
    one = {"owned_durable_days": 365, "length": 3}
    assert places(one, products, owned=(0, 1, 2)) == [2, 3, 4]
    assert places({**one, "durable_repeat_share": None}, products, owned=(0, 1, 2)) == [3, 4, 5]


def test_block_lists_hold_in_their_country_and_everywhere() -> None:
    blocked = {"blocked_products": {"*": ("p00",), "France": ("p01",)}, "blocked_categories": {"Spain": ("toys",)}}
    assert places({**blocked, "length": 3}, shelf(), country="Germany") == [1, 2, 3]
    assert places({**blocked, "length": 3}, shelf(), country="France") == [2, 3, 4]
    assert places({**blocked, "length": 3}, shelf(), country="Spain") == [1, 3, 4]
    assert places({**blocked, "length": 3}, shelf()) == [1, 2, 3]


def test_a_category_has_at_most_its_cap_and_unknown_categories_have_none() -> None:
    alike = shelf(category=np.array([0, 0, 0, 0, 1, 1, 1, -1, -1, -1, -1, 2]))
    found = Rules(RulesConfig(**{**NONE, "max_of_category": 2, "length": 8}), alike).applied(np.arange(12), (), "")
    assert found.places.tolist() == [0, 1, 4, 5, 7, 8, 9, 10]
    assert found.removed["category_cap"] == 3


def test_neighbours_of_one_category_are_spread() -> None:
    alike = shelf(category=np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]))
    assert places({"max_in_a_row": 2, "length": 6}, alike) == [0, 1, 5, 2, 3, 4]


def test_the_best_promoted_candidates_take_the_last_places() -> None:
    promoted = np.isin(np.arange(12), [6, 9])
    assert places({"promoted_places": 1, "length": 4}, shelf(is_promoted=promoted)) == [0, 1, 2, 6]
    assert places({"promoted_places": 2, "length": 4}, shelf(is_promoted=promoted)) == [0, 1, 6, 9]


def test_rules_may_leave_nothing() -> None:
    assert places({"in_stock": True}, shelf(on_hand=np.zeros(12))) == []


@settings(max_examples=20, deadline=None)
@given(
    order=st.permutations(range(12)),
    stock=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    durable=st.lists(st.booleans(), min_size=12, max_size=12),
    owned=st.sets(st.integers(0, 11)),
    length=st.integers(1, 12),
)
def test_what_stays_breaks_no_rule_and_every_removal_is_counted(
    order: list[int], stock: list[int], durable: list[bool], owned: set[int], length: int
) -> None:
    products = shelf(on_hand=np.array(stock, float), is_durable=np.array(durable))
    config = RulesConfig(length=length, max_of_category=3, max_in_a_row=2)
    found = Rules(config, products).applied(np.array(order), owned, "")
    chosen = [order[place] for place in found.places]
    assert len(set(chosen)) == len(chosen) <= length
    assert all(stock[one] and not (durable[one] and one in owned) for one in chosen)
    assert max((sum(one % 3 == kind for one in chosen) for kind in range(3)), default=0) <= 3
    allowed = [one for one in order if stock[one] and not (durable[one] and one in owned)]
    assert found.removed["out_of_stock"] + found.removed["owned_durable"] == 12 - len(allowed)
