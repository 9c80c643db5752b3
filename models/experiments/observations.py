"""Units of an experiment and their metrics, from the log of exposures and the outcomes joined to it in time.

A unit enters with its first exposure, and its window is as long as that of any other: its number is final when the
window is over, and only then it counts. So units are alike, and intervals over them may be looked at every day.
"""

# pyright: basic

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.experiments.assignment import assignment_of
from models.experiments.config import ExperimentSettings, Metric
from models.experiments.serving import AND, variant_in
from models.training.model import Vector

#: Columns of `Exposed.units`: unit, variant, first exposure, day at whose end its window is over.
UNIT, VARIANT, SHOWN_AT, MATURE_ON = "unit", "variant", "shown_at", "mature_on"


@dataclass(frozen=True)
class LogFaults:
    """Counts of what the log holds and no effect is computed from.

    Attributes:
        duplicates: rows with an `exposure_id` that was there before.
        without_unit: rows that name no unit.
        unknown_variant: rows with a variant that the settings do not have.
        outside_days: rows of days before or after the experiment.
        mixed_units: units that were shown more than one variant.
        other_assignment: units whose variant is not that of the assignment by hash.
        before_exposure: outcomes that name an exposure and happened before it.
        unknown_exposure: outcomes of a unit that name an exposure that no log has.
        while_stopped: exposures of a variant on days on which it was stopped.
    """

    duplicates: int = 0
    without_unit: int = 0
    unknown_variant: int = 0
    outside_days: int = 0
    mixed_units: int = 0
    other_assignment: int = 0
    before_exposure: int = 0
    unknown_exposure: int = 0
    while_stopped: int = 0

    def found(self) -> dict[str, int]:
        """Return the counts that are not 0."""
        return {name: count for name, count in vars(self).items() if count}

    def serious(self) -> dict[str, int]:
        """Return those that a correct log never has: all but rows that came twice or outside of the days."""
        return {name: count for name, count in self.found().items() if name not in ("duplicates", "outside_days")}

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {_WORDS[name]}" for name, count in self.found().items()) or "none"


_WORDS = {
    "duplicates": "exposures logged twice",
    "without_unit": "exposures without a unit",
    "unknown_variant": "exposures of an unknown variant",
    "outside_days": "exposures outside of its days",
    "mixed_units": "units that were shown several variants",
    "other_assignment": "units whose variant is not the one that they are assigned",
    "before_exposure": "outcomes before their exposure",
    "unknown_exposure": "outcomes of an exposure that was never logged",
    "while_stopped": "exposures of a variant that was stopped",
}


@dataclass(frozen=True)
class Exposed:
    """Units of an experiment.

    Attributes:
        units: one row per unit that was shown one variant, by first exposure and unit: columns above.
        faults: counts of the others.
    """

    units: pl.DataFrame
    faults: LogFaults

    def counts(self) -> dict[str, int]:
        """Return the number of units of each variant that has any."""
        return dict(self.units.group_by(VARIANT).len().iter_rows())


def exposed(exposures: pl.DataFrame, name: str, settings: ExperimentSettings) -> Exposed:
    """Return the units of an experiment.

    Args:
        exposures: rows of the contract `exposures`; those of other experiments are left out.
        name: of the experiment.
        settings: of the experiment.
    """
    unit, at = f"{settings.unit}_id", pl.col(SHOWN_AT)
    logged = _of(exposures, name).sort(SHOWN_AT, "exposure_id")
    once = logged.unique("exposure_id", keep="first", maintain_order=True)
    named = once.filter(pl.col(unit).is_not_null())
    known = named.filter(pl.col(VARIANT).is_in([*settings.shares]))
    inside = known.filter(at.dt.date().is_between(settings.first_day, settings.last_day))
    variants = pl.col(VARIANT).n_unique().over(unit)
    clean = inside.filter(variants == 1)
    units = (
        clean.group_by(unit)
        .agg(pl.col(VARIANT).first(), at.min())
        .rename({unit: UNIT})
        .with_columns((at.dt.date() + timedelta(days=settings.window_days)).alias(MATURE_ON))
        .sort(SHOWN_AT, UNIT)
    )
    assigned = assignment_of(name, settings).series(units[UNIT])
    faults = LogFaults(
        duplicates=len(logged) - len(once),
        without_unit=len(once) - len(named),
        unknown_variant=len(named) - len(known),
        outside_days=len(known) - len(inside),
        mixed_units=inside.filter(variants > 1)[unit].n_unique(),
        other_assignment=int((assigned != units[VARIANT]).sum()),
    )
    return Exposed(units, faults)


def _of(exposures: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the exposures of an experiment with its own variant; their lists may be part of others, too."""
    labels = exposures.select("experiment", VARIANT).unique()
    own = [variant_in(experiment, variant, name) for experiment, variant in labels.iter_rows()]
    named = labels.with_columns(pl.Series("own", own, dtype=pl.String)).filter(
        pl.col("experiment").str.split(AND).list.contains(name)
    )
    joined = exposures.join(named, on=["experiment", VARIANT], maintain_order="left")
    return joined.with_columns(pl.col("own").alias(VARIANT), pl.lit(name).alias("experiment")).drop("own")


def linked(outcomes: pl.DataFrame, exposures: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
    """Return outcomes that may follow from what they name, and how many do not: before it, of none that was logged.

    Outcomes that name no exposure stay: they count for their customer.
    """
    shown = exposures.select("exposure_id", SHOWN_AT).unique("exposure_id", keep="first")
    joined = outcomes.join(shown, on="exposure_id", how="left", maintain_order="left")
    named, at = pl.col("exposure_id").is_not_null(), pl.col(SHOWN_AT)
    early = named & at.is_not_null() & (pl.col("happened_at") < at)
    unknown = named & at.is_null()
    counts = joined.select(early.sum().alias("early"), unknown.sum().alias("unknown")).row(0)
    return joined.filter(~(early | unknown).fill_null(value=False)).drop(SHOWN_AT), int(counts[0]), int(counts[1])


def unit_values(units: pl.DataFrame, outcomes: pl.DataFrame, metric: Metric, settings: ExperimentSettings) -> Vector:
    """Return the metric of each unit over its window, shape `(units,)`, in their order; 0 without any outcome.

    Args:
        units: as in `Exposed`.
        outcomes: rows of the contract `outcomes`; those of other kinds and units are left out.
        metric: of the outcomes from the first exposure on, until `window_days` later.
        settings: of the experiment.
    """
    at, first = pl.col("happened_at"), pl.col(SHOWN_AT)
    own = outcomes.filter(pl.col("kind") == metric.kind).rename({f"{settings.unit}_id": UNIT})
    window = timedelta(days=settings.window_days)
    inside = own.join(units.select(UNIT, SHOWN_AT), on=UNIT).filter((at >= first) & (at < first + window))
    measure: Mapping[str, Any] = {"any": pl.lit(1.0), "count": pl.len(), "value": pl.col("value").sum()}
    found = inside.group_by(UNIT).agg(measure[metric.measure].cast(pl.Float64).alias("of_unit"))
    joined = units.select(UNIT).join(found, on=UNIT, how="left", maintain_order="left")
    return _amounts(joined["of_unit"])


def bought_before(units: pl.DataFrame, lines: pl.DataFrame, settings: ExperimentSettings) -> NDArray[np.float64] | None:
    """Return what each customer spent, and the number of order lines, on the days before the experiment.

    Shape `(units, 2)`; None if it is of no use. Either explains what the other does not: spending has a few large
    values, lines say how often someone buys.

    Args:
        units: as in `Exposed`.
        lines: order lines with `customer_id`, `ordered_at`, `quantity` and `unit_price`.
        settings: `covariate_days` before `first_day` count; units other than customers have no past.
    """
    if settings.unit != "customer" or not settings.covariate_days or lines.is_empty():
        return None
    first = settings.first_day - timedelta(days=settings.covariate_days)
    before = pl.col("ordered_at").dt.date().is_between(first, settings.first_day, closed="left")
    paid = (pl.col("quantity") * pl.col("unit_price")).sum().alias("spent")
    of_unit = lines.filter(before).group_by(pl.col("customer_id").alias(UNIT)).agg(paid, pl.len().alias("lines"))
    joined = units.select(UNIT).join(of_unit, on=UNIT, how="left", maintain_order="left")
    return np.stack([_amounts(joined["spent"]), _amounts(joined["lines"].cast(pl.Float64))], axis=1)


def _amounts(found: pl.Series) -> Vector:
    """Return one number per unit, to a millionth: the order in which threads add up rows changes the last digits."""
    return np.round(found.fill_null(0.0).to_numpy().astype(np.float64), 6)


def mature(units: pl.DataFrame, until: date) -> np.ndarray:
    """Mark the units whose window is over at the end of `until`, shape `(units,)`."""
    return (units[MATURE_ON] <= until).to_numpy()
