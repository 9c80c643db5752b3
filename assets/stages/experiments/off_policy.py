"""Estimate of a ranker from the log of shuffled lists, before it goes live."""

# pyright: basic

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from assets.stages.experiments.impressions import SHOWN_ON, TABLE
from models.errors import TesseraError
from models.experiments.off_policy import LoggedSlots, OffPolicy, off_policy
from resources.lake.port import Lake

#: Columns of the lists that a ranker would have shown.
WANTED = ("list_id", "slot", "product_id")


@dataclass(frozen=True)
class RankerEstimate:
    """Estimate of a ranker from logged lists.

    Attributes:
        label: outcome that was estimated, e.g. `clicked`.
        lists: logged lists that the ranker ordered anew.
        found: the estimate per slot.
    """

    label: str
    lists: int
    found: OffPolicy


def estimate_ranker(
    lake: Lake, wanted: pl.DataFrame, first: date, last: date, *, label: str = "clicked"
) -> RankerEstimate:
    """Estimate the mean outcome per slot of a ranker from the labelled impressions of some days.

    Args:
        lake: with the table `impressions`.
        wanted: columns `WANTED`: the product that the ranker wants in each slot of logged lists.
        first: first day that lists were shown on.
        last: last day.
        label: `clicked`, `carted` or `bought`.

    Raises:
        TesseraError: there are no labelled impressions of these lists, or nothing was shuffled.
    """
    logged = _logged(lake, first, last)
    own = wanted.select("list_id", "slot", pl.col("product_id").alias("wanted"))
    joined = logged.join(own, on=["list_id", "slot"]).sort("exposure_id")
    if joined.is_empty():
        raise TesseraError(
            f"No labelled impression of {first} to {last} is of a list of the ranker.",
            expected="lists of the table `impressions`, by `list_id` and `slot`",
            todo="Run `tessera run experiments_nightly` for a day after the last window, or choose other days.",
        )
    return RankerEstimate(label, joined["list_id"].n_unique(), off_policy(_slots(joined, label)))


def _logged(lake: Lake, first: date, last: date) -> pl.DataFrame:
    names = ["exposure_id", "list_id", "customer_id", "product_id", "slot", "propensity", "clicked", "carted", "bought"]
    if not lake.exists(TABLE):
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String) | {"slot": pl.Int32})
    rows = lake.scan(TABLE, first=first, last=last).to_table(columns=[*names, SHOWN_ON])
    return pl.DataFrame(rows).select(names)


def _slots(joined: pl.DataFrame, label: str) -> LoggedSlots:
    """Return the slots of lists of which the log has every slot; a product that is in the list could be anywhere."""
    shown: Mapping[str, list[str]] = dict(joined.group_by("list_id").agg("product_id").iter_rows())
    supported = [one in shown[list_id] for list_id, one in joined.select("list_id", "wanted").iter_rows()]
    who = joined["customer_id"].fill_null(joined["list_id"]).to_numpy()
    return LoggedSlots(
        outcome=joined[label].cast(pl.Float64).to_numpy(),
        propensity=joined["propensity"].to_numpy(),
        target=(joined["product_id"] == joined["wanted"]).cast(pl.Float64).to_numpy(),
        group=np.unique(who, return_inverse=True)[1].astype(np.int64),
        is_supported=np.array(supported, dtype=bool),
    )
