"""Labels of impressions once they are mature, and the position bias that their propensities reveal."""

# pyright: basic

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.errors import TesseraError
from models.experiments.observations import SHOWN_AT, linked
from models.training.model import Vector

#: Kinds of outcomes that label an impression, and the columns of the labels.
LABELS = {"click": "clicked", "cart": "carted", "purchase": "bought"}
#: Columns of a labelled impression that come from its exposure.
OF_EXPOSURE = (
    *("exposure_id", "list_id", "experiment", "variant", "customer_id", "session_id", "product_id"),
    *("slot", "propensity", SHOWN_AT),
)


def labelled(exposures: pl.DataFrame, outcomes: pl.DataFrame, shown_on: date, window_days: int) -> pl.DataFrame:
    """Return the impressions of a day with what came of each within its window, by `exposure_id`.

    An outcome counts from the exposure on, for `window_days`: an impression of `shown_on` is mature when those have
    passed since its day ended. A later outcome changes nothing, so labels are final.

    Args:
        exposures: rows of the contract `exposures`; those of other days are left out, and each counts once.
        outcomes: rows of the contract `outcomes`, delivered until the labels are mature.
        shown_on: the day, UTC.
        window_days: days after an impression for which outcomes count.
    """
    day = exposures.filter(pl.col(SHOWN_AT).dt.date() == shown_on).sort(SHOWN_AT, "exposure_id")
    once = day.unique("exposure_id", keep="first", maintain_order=True).select(OF_EXPOSURE)
    at, first = pl.col("happened_at"), pl.col(SHOWN_AT)
    joined = linked(outcomes, exposures)[0].join(once.select("exposure_id", SHOWN_AT), on="exposure_id")
    inside = joined.filter(at < first + timedelta(days=window_days))
    flags = [(pl.col("kind") == kind).any().alias(name) for kind, name in LABELS.items()]
    found = inside.group_by("exposure_id").agg(*flags, pl.col("value").sum().alias("value"))
    filled: list[Any] = [pl.col(name).fill_null(value=False) for name in LABELS.values()]
    result = once.join(found, on="exposure_id", how="left", maintain_order="left")
    return result.with_columns(*filled, pl.col("value").fill_null(0.0)).sort("exposure_id")


def examination(slots: Vector, clicked: Vector, propensity: Vector) -> Vector:
    """Return the chance that each slot is examined, the first slot's being 1: shape `(number of slots,)`.

    Weighted by 1 / propensity, every slot has the same mix of products, so that clicks differ by the slot alone:
    Joachims, Swaminathan and Schnabel (2017), "Unbiased learning-to-rank with biased feedback", WSDM. Training weighs
    a click by 1 / examination of its slot.

    Args:
        slots: slot of each impression, 1 being the first, shape `(n,)`.
        clicked: 1 for a click.
        propensity: chance with which the product was shown there.

    Raises:
        TesseraError: nothing was shuffled, or the first slot was never clicked.
    """
    if not slots.size or (propensity >= 1).all():
        raise TesseraError(
            "No slot of the log was shuffled: position bias and the quality of the first products are one.",
            expected="impressions with propensities below 1",
            todo="Set `shuffled_share` of an experiment above 0, and log some days.",
        )
    at = slots.astype(np.int64) - 1
    weights = 1 / propensity
    rate = np.bincount(at, weights * clicked) / np.maximum(np.bincount(at, weights), 1e-12)
    if rate[0] <= 0:
        raise TesseraError("The first slot has no click.", expected="some clicks in every slot", todo="Log more days.")
    return rate / rate[0]
