"""Evaluation of an experiment as of the end of a day: units, effects, their path over the days, verdict."""

# pyright: basic

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import polars as pl

from models.experiments.config import ExperimentSettings
from models.experiments.decisions import Decision, Pause, as_of, pauses, stops
from models.experiments.effects import Effect, Measured, effect_of
from models.experiments.observations import (
    SHOWN_AT,
    VARIANT,
    Exposed,
    LogFaults,
    bought_before,
    exposed,
    linked,
    mature,
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
        stopped: variant -> the stop that an earlier day's evaluation decided, and that no person took back.
    """

    name: str
    until: date
    units: Mapping[str, int]
    ratio: SampleRatio
    effects: tuple[Effect, ...]
    path: tuple[DayOfPath, ...]
    faults: LogFaults
    verdict: Verdict
    stopped: Mapping[str, Decision]

    @property
    def broken(self) -> list[Effect]:
        """Return the guardrails that are broken, of variants that are not stopped yet."""
        return [one for one in self.effects if one.state == "broken" and one.variant not in self.stopped]


def evaluate(
    name: str,
    settings: ExperimentSettings,
    exposures: pl.DataFrame,
    outcomes: pl.DataFrame,
    named: pl.DataFrame,
    lines: pl.DataFrame,
    until: date,
    decisions: Sequence[Decision] = (),
) -> Evaluation:
    """Evaluate an experiment by what was known at the end of a day.

    A variant is compared with the control by the days on which it was shown, and by units that were first exposed on
    them; its guardrails, once it was resumed, by the days since then alone.

    Args:
        name: of the experiment.
        settings: of the experiment.
        exposures: rows of the contract `exposures` that were delivered by then; those of others are left out.
        outcomes: rows of the contract `outcomes` that were delivered by then; those of other units are left out.
        named: `exposure_id` and `shown_at` of every exposure, of whatever list, that the outcomes name.
        lines: order lines from before the experiment, for CUPED; may be empty.
        until: the day.
        decisions: on its variants.
    """
    made = as_of(decisions, until)
    log = _Log(name, settings, exposures, outcomes, named, lines, until)
    held = {one.name: pauses(made, one.name) for one in settings.variants[1:]}
    together = log.shown([pause for each in held.values() for pause in each])
    ratio = sample_ratio(together.shown.counts(), settings.shares, settings.sample_ratio_level)
    effects = tuple(one for name in held for one in log.effects(name, held[name]))
    stopped = {variant: one for variant, one in stops(made).items() if variant in held}
    return Evaluation(
        name=name,
        until=until,
        units=ratio.units,
        ratio=ratio,
        effects=effects,
        path=log.path(held),
        faults=log.faults(held),
        verdict=verdict(effects, ratio, settings, until, {name: _words(one) for name, one in stopped.items()}),
        stopped=stopped,
    )


def _words(stop: Decision) -> str:
    return f"{stop.variant} was stopped by the evaluation of {stop.until}: {stop.why}"


@dataclass(frozen=True)
class _Measured:
    """Units by some days of the log, and their metrics, the primary one first."""

    shown: Exposed
    metrics: Sequence[Measured]
    early: int
    unknown: int

    def effects(
        self, variant: str, which: Sequence[Measured], settings: ExperimentSettings, until: date
    ) -> list[Effect]:
        """Return the effects of a variant on some metrics."""
        ready, variants = mature(self.shown.units, until), self.shown.units[VARIANT].to_numpy()
        arms = (ready & (variants == variant), ready & (variants == settings.control.name))
        return [effect_of(one, variant, arms, settings) for one in which]


@dataclass(frozen=True, eq=False)
class _Log:
    """Rows of an experiment; what is measured by the same days is measured once."""

    name: str
    settings: ExperimentSettings
    exposures: pl.DataFrame
    outcomes: pl.DataFrame
    named: pl.DataFrame
    lines: pl.DataFrame
    until: date
    _found: dict[tuple[Pause, ...], _Measured] = field(default_factory=dict)

    def shown(self, without: Sequence[Pause]) -> _Measured:
        """Return what the days beside these say."""
        key = tuple(sorted(set(without), key=str))
        if key not in self._found:
            day = pl.col(SHOWN_AT).dt.date()
            inside = [day.is_between(one.first, one.last or date.max) for one in key]
            rows = self.exposures.filter(~pl.any_horizontal(inside)) if inside else self.exposures
            shown = exposed(rows, self.name, self.settings)
            usable, early, unknown = _of_units(self.outcomes, self.named, shown, self.settings)
            measured = _measured(shown, usable, self.lines, self.settings)
            self._found[key] = _Measured(shown, measured, early, unknown)
        return self._found[key]

    def effects(self, variant: str, held: Sequence[Pause]) -> list[Effect]:
        """Return the effects of a variant: the primary metric, then the guardrails."""
        every = self.shown(held)
        primary = every.effects(variant, every.metrics[:1], self.settings, self.until)
        since = self.shown([*held, Pause(date.min, held[-1].last, date.min)]) if held and held[-1].last else every
        return primary + since.effects(variant, since.metrics[1:], self.settings, self.until)

    def path(self, held: Mapping[str, Sequence[Pause]]) -> tuple[DayOfPath, ...]:
        """Return the effects on the primary metric as of each day on which a unit could become mature."""
        settings = self.settings
        first = settings.first_day + timedelta(days=settings.window_days)
        last = min(self.until, settings.matures_on)
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        measured = {variant: self.shown(each) for variant, each in held.items()}
        return tuple(
            DayOfPath(
                day,
                tuple(
                    one
                    for variant, each in measured.items()
                    for one in each.effects(variant, each.metrics[:1], settings, day)
                ),
            )
            for day in days
        )

    def faults(self, held: Mapping[str, Sequence[Pause]]) -> LogFaults:
        """Return what the whole log holds in error; a variant may be shown on the days of the decisions themselves."""
        whole, day = self.shown([]), pl.col(SHOWN_AT).dt.date()
        shown = [
            (pl.col(VARIANT) == variant) & (day > one.listed) & (day < (one.last or date.max))
            for variant, each in held.items()
            for one in each
        ]
        own = pl.col("experiment") == self.name
        wrong = self.exposures.filter(own & pl.any_horizontal(shown)).height if shown else 0
        return replace(
            whole.shown.faults, before_exposure=whole.early, unknown_exposure=whole.unknown, while_stopped=wrong
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
    before = bought_before(shown.units, lines, settings)
    values = (unit_values(shown.units, outcomes, metric, settings) for metric in settings.metrics)
    return [Measured(metric, each, before) for metric, each in zip(settings.metrics, values, strict=True)]
