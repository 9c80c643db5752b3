"""Events and offers of the simulated storefront as rows of the contracted tables."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.simulation import rows
from models.simulation.catalogue import CATEGORIES, Catalogue
from models.simulation.random_streams import Integers
from models.simulation.storefront import Events, Offers

#: What products of each category (`CATEGORIES`) are called.
_NOUNS = (
    ("cushion", "lamp", "frame", "clock"),
    ("mug", "jug", "tin", "board"),
    ("trowel", "lantern", "planter", "bench"),
    ("puzzle", "kite", "bear", "blocks"),
    ("notebook", "pencil", "card", "stamp"),
    ("throw", "towel", "apron", "scarf"),
    ("wreath", "garland", "bauble", "candle"),
    ("box", "ribbon", "bag", "charm"),
)
_ADJECTIVES = ("red", "blue", "striped", "wooden", "vintage", "small", "large", "painted", "plain", "spotted", "ivory")


def sessions(events: Events, day: int) -> pa.Table:
    """Return the events of a day as rows, delivered on it."""
    n, text = len(events.session), date.fromordinal(day).strftime("%Y%m%d")
    who = rows.customer_id_column(np.maximum(events.customer, 0))
    at = rows.moment_column(np.full(n, day), events.second)
    columns = [
        pc.binary_join_element_wise(f"e{text}", rows.padded(np.arange(n), 7), "-"),
        pc.binary_join_element_wise(f"s{text}", rows.padded(events.session, 6), "-"),
        pc.if_else(pa.array(events.customer >= 0), who, pa.scalar(None, pa.string())),
        rows.product_id_column(events.product),
        pa.array(("view", "cart"), pa.string()).take(pa.array(events.is_cart.astype(np.int64))),
        pa.array(events.position, pa.int32(), mask=events.position == 0),
        at,
        rows.date_column(np.full(n, day)),
    ]
    return pa.table(columns, schema=rows.SCHEMAS["sessions"])


def stock(offers: Offers, catalogue: Catalogue, day: int) -> pa.Table:
    """Return the offers of a day as rows, delivered on it."""
    n = len(offers.on_hand)
    product = np.arange(n)
    columns = [
        rows.product_id_column(product),
        rows.date_column(np.full(n, day)),
        pa.array(offers.on_hand, pa.int32()),
        pa.array(offers.price),
        pa.array(offers.unit_cost),
        pa.repeat(pa.scalar(rows.CURRENCY), n),
        names(catalogue, product),
        pa.array(offers.is_promoted),
        pa.array(offers.is_durable),
        rows.date_column(offers.launched),
        rows.date_column(np.full(n, day)),
    ]
    return pa.table(columns, schema=rows.SCHEMAS["stock"])


def names(catalogue: Catalogue, product: Integers) -> pa.Array:
    """Return what products are called: colour or make, thing, and category, e.g. `striped mug for the kitchen`."""
    category = catalogue.category(product)
    found = [
        f"{_ADJECTIVES[int(number) % len(_ADJECTIVES)]} {_NOUNS[kind][int(number) // 11 % 4]}, {CATEGORIES[kind]}"
        for number, kind in zip(product, category.tolist(), strict=True)
    ]
    return pa.array(found, pa.string())
