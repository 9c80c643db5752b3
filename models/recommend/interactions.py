"""Interactions of customers with products as numbers: which, with what, on which day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import TesseraError

Codes = NDArray[np.int32]
Days = NDArray[np.float32]
Ids = NDArray[np.str_]


@dataclass(frozen=True)
class Interactions:
    """Distinct interactions, ordered by customer, product and day; a basket is a customer's interactions of one day.

    Attributes:
        customers: ids, ascending; codes are their places.
        products: ids, ascending.
        customer: code of each interaction, shape `(n,)`.
        product: code of each interaction.
        day: days since 1970-01-01, whole; 0 where nothing has a time.
        is_timed: False if the interactions have no times.
    """

    customers: Ids
    products: Ids
    customer: Codes
    product: Codes
    day: Days
    is_timed: bool

    @property
    def size(self) -> int:
        """Number of interactions."""
        return self.customer.size

    def rows_of(self, customer: int) -> tuple[int, int]:
        """Return the first row of a customer, and the one after the last."""
        codes = np.array([customer, customer + 1], self.customer.dtype)  # of another type, all codes would be converted
        begin, end = np.searchsorted(self.customer, codes).tolist()
        return begin, end

    def chosen(self, kept: NDArray[np.bool_]) -> Interactions:
        """Return some of the interactions; customers and products keep their codes."""
        return Interactions(
            self.customers, self.products, self.customer[kept], self.product[kept], self.day[kept], self.is_timed
        )


def interactions(customer_id: Any, product_id: Any, at: Any | None = None) -> Interactions:
    """Return the interactions of rows, of which there may be several on one day: they count once.

    Args:
        customer_id: one id per row; numbers become texts.
        product_id: one id per row.
        at: date or timestamp per row; None: interactions without times.

    Raises:
        TesseraError: there is no row.
    """
    rows = pl.DataFrame(
        {"customer": pl.Series(customer_id).cast(pl.String), "product": pl.Series(product_id).cast(pl.String)}
    )
    days = pl.lit(0.0) if at is None else pl.Series("at", at).cast(pl.Date).cast(pl.Int32).cast(pl.Float32)
    rows = rows.with_columns(day=days).unique()
    if rows.is_empty():
        raise TesseraError("There is no interaction.", expected="one row or more", todo="Add rows.")
    customers, products = (np.sort(rows[name].unique().to_numpy().astype(str)) for name in ("customer", "product"))
    numbered = rows.select(
        customer=pl.col("customer").replace_strict(customers, np.arange(customers.size), return_dtype=pl.Int32),
        product=pl.col("product").replace_strict(products, np.arange(products.size), return_dtype=pl.Int32),
        day="day",
    ).sort("customer", "product", "day")
    return Interactions(
        customers,
        products,
        numbered["customer"].to_numpy(),
        numbered["product"].to_numpy(),
        numbered["day"].to_numpy().astype(np.float32),
        is_timed=at is not None,
    )
