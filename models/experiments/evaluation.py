"""Evaluation of an experiment as of the end of a day: units, effects, their path over the days, verdict."""

# pyright: basic

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl

from models.experiments.config import ExperimentSettings
from models.experiments.effects import Effect, Measured, effect_of
from models.experiments.observations import (
    VARIANT,
    Exposed,
    LogFaults,
    exposed,
    linked,
    mature,
    spent_before,
    unit_values,
)
from models.experiments.sample_ratio import SampleRatio, sample_ratio
from models.experiments.verdict import Verdict, verdict


@dataclass(frozen=True)
class DayOfPath:
    """Effects of the primary metric as they were at the end of a day, one per variant but the control."""

    day: date
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Evaluation:
    """An experiment as of the end of a day.

    Attributes:
        name: of the experiment.
        until: last day that is known.
        units: variant -> units that were exposed, windows that are not over included.
        ratio: of these.
        effects: of every variant but the control on every metric, by variant, the primary metric first.
        path: of the primary metric, one element for each day on which a unit became mature, at most.
        faults: what the log holds and no effect is computed from.
        verdict: of all of this.
    """

    name: str
    until: date
    units: Mapping[str, int]
    ratio: SampleRatio
    effects: tuple[Effect, ...]
    path: tuple[DayOfPath, ...]
    faults: LogFaults
    verdict: Verdict

    @property
    def broken(self) -> list[Effect]:
        """Return the guardrails that are broken."""
        return [one for one in self.effects if one.state == "broken"]


def evaluate(
    name: str,
    settings: ExperimentSettings,
    exposures: pl.DataFrame,
    outcomes: pl.DataFrame,
    named: pl.DataFrame,
    lines: pl.DataFrame,
    until: date,
) -> Evaluation:
    """Evaluate an experiment by what was known at the end of a day.

    Args:
        name: of the experiment.
        settings: of the experiment.
        exposures: rows of the contract `exposures` that were delivered by then; those of others are left out.
        outcomes: rows of the contract `outcomes` that were delivered by then; those of other units are left out.
        named: `exposure_id` and `shown_at` of every exposure, of whatever list, that the outcomes name.
        lines: order lines from before the experiment, for CUPED; may be empty.
        until: the day.
    """
    shown = exposed(exposures, name, settings)
    usable, early, unknown = _of_units(outcomes, named, shown, settings)
    measured = _measured(shown, usable, lines, settings)
    ratio = sample_ratio(shown.counts(), settings.shares, settings.sample_ratio_level)
    effects = _effects(shown, measured, settings, until)
    return Evaluation(
        name=name,
        until=until,
        units=ratio.units,
        ratio=ratio,
        effects=effects,
        path=_path(shown, measured[0], settings, until),
        faults=replace(shown.faults, before_exposure=early, unknown_exposure=unknown),
        verdict=verdict(effects, ratio, settings, until),
    )


def _of_units(
    outcomes: pl.DataFrame, named: pl.DataFrame, shown: Exposed, settings: ExperimentSettings
) -> tuple[pl.DataFrame, int, int]:
    """Return the outcomes of the experiment's units, without those that cannot follow from what they name."""
    of_units = outcomes.filter(pl.col(f"{settings.unit}_id").is_in(shown.units["unit"].implode()))
    return linked(of_units, named)


def _measured(
    shown: Exposed, outcomes: pl.DataFrame, lines: pl.DataFrame, settings: ExperimentSettings
) -> Sequence[Measured]:
    covariate = spent_before(shown.units, lines, settings)
    values = (unit_values(shown.units, outcomes, metric, settings) for metric in settings.metrics)
    return [Measured(metric, each, covariate) for metric, each in zip(settings.metrics, values, strict=True)]


def _effects(
    shown: Exposed, measured: Sequence[Measured], settings: ExperimentSettings, until: date
) -> tuple[Effect, ...]:
    ready, variants = mature(shown.units, until), shown.units[VARIANT].to_numpy()
    control = ready & (variants == settings.control.name)
    return tuple(
        effect_of(one, variant.name, (ready & (variants == variant.name), control), settings)
        for variant in settings.variants[1:]
        for one in measured
    )


def _path(shown: Exposed, primary: Measured, settings: ExperimentSettings, until: date) -> tuple[DayOfPath, ...]:
    first = settings.first_day + timedelta(days=settings.window_days)
    last = min(until, settings.matures_on)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return tuple(DayOfPath(day, _effects(shown, [primary], settings, day)) for day in days)
