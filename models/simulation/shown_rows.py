"""Shown lists and what came of them as rows of the contracted tables."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.simulation import rows
from models.simulation.catalogue import Catalogue
from models.simulation.defects import DefectShares, affected
from models.simulation.shown_lists import EXPERIMENT, LONGEST_DELAY_DAYS, NONE, STEP_SECONDS, VARIANTS, Shown

Happened = Callable[[int], Shown]
_KINDS = ("click", "cart", "purchase")


def exposures(shown: Shown) -> pa.Table:
    """Shown slots as rows, delivered on the day on which they were shown."""
    names = pa.array(VARIANTS).take(pa.array(shown.variant))
    columns = [
        _hexadecimal("e", shown.key),
        _hexadecimal("l", shown.visit),
        pc.if_else(pc.equal(names, NONE), NONE, EXPERIMENT),
        names,
        rows.customer_id_column(shown.customer),
        pa.nulls(len(shown.key), pa.string()),
        rows.product_id_column(shown.product),
        pa.array(shown.slot, pa.int32()),
        pa.array(shown.propensity),
        rows.moment_column(shown.day, shown.second),
        rows.date_column(shown.day),
    ]
    return pa.table(columns, schema=rows.SCHEMAS["exposures"])


def delivered_exposures(happened: Happened, seed: int, shares: DefectShares, day: int) -> pa.Table:
    """Return the exposures delivered on `day`, some of them twice."""
    shown = happened(day)
    again = shown.take(duplicates(happened, seed, shares, day))
    return rows.with_original(pa.concat_tables([exposures(shown), exposures(again)]), None)


def duplicates(happened: Happened, seed: int, shares: DefectShares, day: int) -> NDArray[np.bool_]:
    """Mark the slots of a day that are logged twice."""
    return affected(seed, happened(day), shares, "duplicate")


def delivered_outcomes(happened: Happened, catalogue: Catalogue, day: int) -> pa.Table:
    """Return clicks, carts and purchases of `day`: of lists of the same day, and purchases of lists before it."""
    today = happened(day)
    parts = [_outcomes(today.take(today.clicked), catalogue, 0), _outcomes(today.take(today.carted), catalogue, 1)]
    for delay in range(LONGEST_DELAY_DAYS + 1):
        shown = happened(day - delay)
        parts.append(_outcomes(shown.take(shown.bought & (shown.delay == delay)), catalogue, 2))
    return rows.with_original(pa.concat_tables(parts), None)


def _outcomes(shown: Shown, catalogue: Catalogue, kind: int) -> pa.Table:
    """Return outcomes of one kind; each follows the one before it by two minutes."""
    count = len(shown.key)
    exposure = _hexadecimal("e", shown.key)
    day = shown.day + (shown.delay if kind == 2 else 0)
    value = pa.array(catalogue.list_price(shown.product)) if kind == 2 else pa.nulls(count, pa.float64())
    columns = [
        pc.binary_join_element_wise(_KINDS[kind], exposure, "-"),
        pa.repeat(pa.scalar(_KINDS[kind]), count),
        exposure,
        rows.customer_id_column(shown.customer),
        pa.nulls(count, pa.string()),
        rows.product_id_column(shown.product),
        value,
        rows.moment_column(day, shown.second + (kind + 1) * STEP_SECONDS),
        rows.date_column(day),
    ]
    return pa.table(columns, schema=rows.SCHEMAS["outcomes"])


def _hexadecimal(letter: str, bits: NDArray[np.uint64]) -> pa.Array:
    return pa.array([f"{letter}{one:016x}" for one in bits.tolist()], pa.string())
