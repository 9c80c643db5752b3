"""Customers, products and offers as of the end of a day, read from the lake: nothing placed or delivered later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from assets.personalization.profiles import TABLE as PROFILES
from assets.personalization.profiles import JoinedProfiles, NewestProfiles
from models.settings import PersonalizationSettings
from resources.lake.port import Lake

if TYPE_CHECKING:
    import polars as pl

    from models.personalization.known import Known, Offers

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: Nothing older shapes a list.
HISTORY_DAYS = 365
#: Tables that lists are made from, beside profiles.
TABLES = ("orders", "sessions", "stock", "products")


@dataclass(frozen=True, eq=False)
class LakeDays:
    """Gives what was known at the end of a day (`models.personalization.known.Days`); reads a day once.

    A night and a service make one of their own: rows that arrive later change nothing of what it has read.
    """

    lake: Lake
    settings: PersonalizationSettings

    def at(self, day: str) -> Known:
        """Return what was known at the end of `day` (YYYY-MM-DD), as the tables were when it was asked for first."""
        return self._read(day)

    @cached_property
    def _read(self) -> Any:
        return lru_cache(maxsize=3)(self._known)

    def _known(self, day: str) -> Known:
        version = ", ".join(f"{table} {self.lake.version(table)}" for table in (*TABLES, PROFILES))
        return known_at(self.lake, date.fromisoformat(day), self.settings, version)


def known_at(
    lake: Lake,
    day: date,
    settings: PersonalizationSettings,
    version: str = "",
    profiles: NewestProfiles | JoinedProfiles | None = None,
) -> Known:
    """Return what was known at the end of `day`: orders, carts, offers, profiles.

    Args:
        lake: holds the tables.
        day: the day.
        settings: of the application.
        version: of the tables.
        profiles: gives the customers' profiles; None: the newest ones of the lake.

    Raises:
        TesseraError: there was no order.
    """
    import polars as pl

    from models.personalization.composition import on_products
    from models.personalization.known import Known
    from models.recommend.interactions import interactions

    orders, visits = _orders(lake, day), _visits(lake, day, settings.session_days)
    carts = visits.filter(pl.col("kind") == "cart")
    columns = ["customer_id", "product_id", "at"]
    chosen = pl.concat([orders.select(columns), carts.select(columns)])
    views = visits.filter(pl.col("kind") == "view", pl.col("customer_id").is_in(chosen["customer_id"].implode()))
    looked = views.select(columns) if views.height else chosen
    offers = _offers(lake, day, pl.concat([chosen["product_id"], looked["product_id"]]))

    def numbered(rows: pl.DataFrame) -> Any:
        return on_products(interactions(rows["customer_id"], rows["product_id"], rows["at"]), offers.ids)

    events = numbered(chosen)
    bought, seen = (_among(numbered(rows), events) for rows in (orders, looked))
    numbers = (profiles or NewestProfiles(lake)).numbers(events.customers.tolist(), day)
    return Known(day, events, bought, seen, offers, _countries(orders, events.customers), version, numbers)


def _orders(lake: Lake, day: date) -> pl.DataFrame:
    import polars as pl

    columns = ["customer_id", "product_id", "ordered_at", "country"]
    first = datetime.combine(day - timedelta(days=HISTORY_DAYS - 1), time(), UTC)
    wanted = ~pc.field("is_return") & (pc.field("ordered_at") >= first)
    rows = lake.scan("orders", last=day).to_table(columns=columns, filter=wanted)
    return _by(pl.DataFrame(rows).rename({"ordered_at": "at"}), day)


def _visits(lake: Lake, day: date, days: int) -> pl.DataFrame:
    """Return the views and carts of customers in the last days."""
    import polars as pl

    empty = {"customer_id": pl.String, "product_id": pl.String, "kind": pl.String, "at": pl.Datetime("us", "UTC")}
    if not lake.exists("sessions"):
        return pl.DataFrame(schema=empty)
    found = lake.scan("sessions", first=day - timedelta(days=days - 1), last=day)
    return _by(pl.DataFrame(found.to_table(columns=list(empty), filter=pc.field("customer_id").is_valid())), day)


def _by(rows: pl.DataFrame, day: date) -> pl.DataFrame:
    import polars as pl

    return rows.filter(pl.col("at").dt.date() <= day)


def _countries(orders: pl.DataFrame, customers: Any) -> Any:
    """Return the country of each customer's newest order line; "" of those who ordered nothing."""
    import numpy as np

    last = orders.sort("at", "product_id").unique("customer_id", keep="last")
    found = dict(zip(last["customer_id"], last["country"], strict=True))
    return np.array([found.get(id, "") for id in customers.tolist()], dtype=object)


def _among(some: Any, events: Any) -> Any:
    """Return interactions of some customers of `events` with their codes there."""
    from dataclasses import replace

    import numpy as np

    places = np.searchsorted(events.customers, some.customers).astype(np.int32)
    return replace(some, customers=events.customers, customer=places[some.customer])


def _offers(lake: Lake, day: date, interacted: pl.Series) -> Offers:
    """Return the newest offer of every product that was ordered, looked at, listed or in stock by then."""
    import numpy as np
    import polars as pl

    from models.personalization.known import Offers

    stock = _newest_stock(lake, day)
    listed = _listed(lake, day)
    ids = pl.concat([interacted, stock["product_id"], listed["product_id"]]).unique().sort()
    rows = pl.DataFrame({"product_id": ids}).join(stock, on="product_id", how="left", maintain_order="left")
    rows = rows.join(listed, on="product_id", how="left", maintain_order="left")
    since = pl.col("launched_on").cast(pl.Int32).cast(pl.Float64)

    def numbers(column: Any) -> Any:
        return rows.select(column.cast(pl.Float64).fill_null(float("nan"))).to_series().to_numpy().copy()

    def texts(name: str) -> Any:
        return np.array(rows[name].fill_null("").to_list(), dtype=object)

    def flags(name: str) -> Any:
        return rows[name].fill_null(value=False).to_numpy().copy()

    return Offers(
        ids=ids.to_numpy().astype(str),
        on_hand=numbers(pl.col("on_hand")),
        price=numbers(pl.coalesce("price", "list_price")),
        unit_cost=numbers(pl.col("unit_cost")),
        is_promoted=flags("is_promoted"),
        is_durable=flags("is_durable"),
        launched=numbers(since),
        category=texts("category"),
        name=texts("name"),
    )


_STOCK = ("product_id", "on_hand", "price", "unit_cost", "is_promoted", "is_durable", "launched_on", "name")


def _newest_stock(lake: Lake, day: date, days: int = 14) -> pl.DataFrame:
    """Return the newest row of each product that was counted in the last days; a product that is not is not offered."""
    import polars as pl

    from models.contracts import STOCK

    if not lake.exists("stock"):
        return pl.DataFrame(STOCK.arrow_schema().empty_table()).select(_STOCK)
    rows = pl.DataFrame(lake.scan("stock", first=day - timedelta(days=days - 1), last=day).to_table())
    newest = rows.filter(pl.col("counted_on") <= day).sort("counted_on").unique("product_id", keep="last")
    return newest.select(_STOCK)


def _listed(lake: Lake, day: date) -> pl.DataFrame:
    import polars as pl

    from models.contracts import PRODUCTS

    columns = ["product_id", "category", "list_price"]
    if not lake.exists("products"):
        return pl.DataFrame(PRODUCTS.arrow_schema().empty_table()).select(columns)
    return pl.DataFrame(lake.scan("products", last=day).to_table(columns=columns)).unique("product_id", keep="first")


def wanted_between(lake: Lake, cutoff: date, as_of: date) -> Any:
    """Return what customers ordered or put into the cart after `cutoff`, each product once, as known at `as_of`.

    Columns `customer_id`, `product_id`, ascending.
    """
    import polars as pl

    placed = ~pc.field("is_return") & (pc.field("ordered_at") >= datetime.combine(cutoff, time(), UTC))
    columns = ["customer_id", "product_id", "ordered_at"]
    orders = pl.DataFrame(lake.scan("orders", last=as_of).to_table(columns=columns, filter=placed))
    carts = _visits(lake, as_of, (as_of - cutoff).days).filter(pl.col("kind") == "cart")
    both = pl.concat([orders.rename({"ordered_at": "at"}), carts.select("customer_id", "product_id", "at")])
    after = _by(both, as_of).filter(pl.col("at").dt.date() > cutoff)
    return after.select("customer_id", "product_id").unique().sort("customer_id", "product_id").to_arrow()
