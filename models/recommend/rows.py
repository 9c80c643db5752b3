"""Rows of files as interactions: texts of ids and times are read, and what cannot be read is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from models.contracts.readings import fitting_formats, formats_by_order
from models.errors import TesseraError
from models.recommend.interactions import Ids

_CLOCK = r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?"
_ISO = rf"^\d{{4}}-\d{{1,2}}-\d{{1,2}}([ T]{_CLOCK})?$"
_SECONDS, _MILLISECONDS = r"^\d{9,10}(\.\d+)?$", r"^\d{12,13}$"

_EXPECTED = "dates or times like 2011-07-31 or 2011-07-31T08:26:00, or seconds since 1970, in the column at"


def ids_of(values: Sequence[str]) -> Ids:
    """Return ids without blanks around them; where all are numbers ending with `.0`, without that."""
    found = pl.Series(values, dtype=pl.String).str.strip_chars()
    if found.len() and found.str.contains(r"^\d+\.0$").all():
        found = found.str.strip_suffix(".0")
    return found.to_numpy().astype(str)


def days_of(values: Sequence[str], file: str) -> pl.Series:
    """Return the date of each time; an offset behind it is left out of account.

    Args:
        values: `2011-07-31`, `2011-07-31 08:26`, the same with `T` and an offset, seconds since 1970, or all of them in
            one other order of day, month and year, like `12/1/2010 8:26`.
        file: named in the error.

    Raises:
        TesseraError: a value is no such time, or several orders of day and month fit all of them.
    """
    texts = pl.Series("at", values, dtype=pl.String).str.strip_chars()
    frame = texts.to_frame().with_columns(
        day=pl.when(pl.col("at").str.contains(_ISO))
        .then(pl.col("at").str.extract(r"^(\d{4}-\d{1,2}-\d{1,2})").str.to_date("%Y-%m-%d", strict=False))
        .when(pl.col("at").str.contains(_SECONDS))
        .then(pl.from_epoch(pl.col("at").cast(pl.Float64, strict=False).cast(pl.Int64), "s").cast(pl.Date))
        .when(pl.col("at").str.contains(_MILLISECONDS))
        .then(pl.from_epoch(pl.col("at").cast(pl.Int64, strict=False), "ms").cast(pl.Date))
    )
    if not frame["day"].null_count():
        return frame["day"]
    found = _by_format(texts, file)
    return _refused(texts, frame["day"] if found is None else found, file)


def _by_format(texts: pl.Series, file: str) -> pl.Series | None:
    """Return the days by the order of day, month and year that fits every text; None if none does."""
    read = fitting_formats(texts.to_list())
    orders = formats_by_order(read, texts.len())
    if len(orders) > 1:
        raise TesseraError(
            f"{file!r} has times like {texts[0]!r}, which can be read {' and '.join(orders)}.",
            expected=_EXPECTED,
            todo="Write them so.",
        )
    for formats in orders.values():
        forms = [form.replace(".%f", "%.f") for form in formats]  # the name that polars has for it
        return pl.select(pl.coalesce([pl.lit(texts).str.to_date(form, strict=False) for form in forms])).to_series()
    return None


def _refused(texts: pl.Series, days: pl.Series, file: str) -> pl.Series:
    """Return the days.

    Raises:
        TesseraError: some could not be read.
    """
    wrong = texts.filter(days.is_null())
    if wrong.len():
        raise TesseraError(
            f"{file!r} has {wrong.len():,} of {texts.len():,} times that cannot be read, the first {wrong[0]!r}.",
            expected=_EXPECTED,
            todo="Write them so, or leave the column out: then only candidates without times are evaluated.",
        )
    return days


def repeated_rows(customer: Ids, product: Ids, day: pl.Series | None) -> int:
    """Return how many rows repeat the customer, the product and the day of an earlier one."""
    columns = {"customer": customer, "product": product, "day": np.zeros(customer.size) if day is None else day}
    frame = pl.DataFrame(columns)
    return frame.height - frame.n_unique()
