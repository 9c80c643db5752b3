"""Effects of the variants of an experiment on its metrics, with intervals that may be looked at every day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import Interval
from models.experiments.confidence import Sequence, adjusted, difference, sample_of, variance_left
from models.experiments.config import ExperimentSettings, Guardrail, Metric
from models.training.model import Vector

#: `few`: too few units for an interval; of a metric `better`, `worse` or `open`; of a guardrail `kept`, `broken` or
#: `open`.
State = Literal["few", "open", "better", "worse", "kept", "broken"]
Role = Literal["primary", "guardrail"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Effect:
    """Effect of one variant on one metric, per unit, beside the control.

    Attributes:
        metric: name of the metric.
        role: of the metric.
        variant: that is compared with the control.
        units: mature units of the variant.
        control_units: mature units of the control.
        mean: of the variant, in the metric's unit per unit.
        control_mean: of the control.
        effect: difference of the means, adjusted, with its confidence sequence.
        p_value: always-valid p-value of no effect.
        variance_left: share of the variance that CUPED left; 1 without.
        state: as of now.
        limit: of a guardrail, the difference beyond which the variant is too much worse; None of another metric.
    """

    metric: str
    role: Role
    variant: str
    units: int
    control_units: int
    mean: float
    control_mean: float
    effect: Interval
    p_value: float
    variance_left: float
    state: State
    limit: float | None = None

    @property
    def has_interval(self) -> bool:
        """Return True if there are units enough for the interval to mean something."""
        return self.state != "few"

    def __str__(self) -> str:
        if not self.has_interval:
            return f"{self.metric} of {self.variant}: {self.units:,} and {self.control_units:,} mature units, too few"
        of = f" of the control's {self.control_mean:.4g}"
        return (
            f"{self.metric} of {self.variant} {self.effect.value:+.4g} ({self.effect.low:+.4g} to"
            f" {self.effect.high:+.4g}){of}: {self.state}"
        )


@dataclass(frozen=True)
class Measured:
    """A metric of every unit.

    Attributes:
        metric: that was measured.
        values: of the units, shape `(units,)`.
        covariates: of the same units, from before the experiment, shape `(units, number)`; None: no adjustment.
    """

    metric: Metric
    values: Vector
    covariates: NDArray[np.float64] | None


def sequence_of(settings: ExperimentSettings) -> Sequence:
    """Return the boundary: `level` is shared by the variants (Bonferroni), and two arms see their part of the units."""
    treatments = len(settings.variants) - 1
    return Sequence(settings.level / treatments, max(1, settings.planned_units * 2 // len(settings.variants)))


def effect_of(measured: Measured, variant: str, arms: tuple[Mask, Mask], settings: ExperimentSettings) -> Effect:
    """Return the effect of a variant on a metric.

    Args:
        measured: metric of every unit.
        variant: its name.
        arms: mature units of the variant, and of the control, shapes `(units,)`.
        settings: of the experiment.
    """
    metric, (of_variant, of_control) = measured.metric, arms
    both = of_variant | of_control
    raw = measured.values[both]
    after = adjusted(raw, measured.covariates[both]) if measured.covariates is not None else raw
    here = of_variant[both]
    treated, control = sample_of(after[here]), sample_of(after[~here])
    few = min(treated.n, control.n) < settings.min_units or np.ptp(raw) == 0
    boundary, n = sequence_of(settings), treated.n + control.n
    value, error = difference(treated, control)
    mean, control_mean = (float(part.mean()) if part.size else 0.0 for part in (raw[here], raw[~here]))
    limit = _limit(metric, control_mean)
    found = Interval(value, -np.inf, np.inf) if few else boundary.interval(value, error, n)
    state: State = "few"
    if not few and isinstance(metric, Guardrail):
        tolerated = control.scaled(1 - metric.sign * metric.max_worse)
        margin, margin_error = difference(treated, tolerated)
        state = _kept(boundary.interval(margin, margin_error, n), metric)
    elif not few:
        state = _better(found, metric)
    return Effect(
        metric=metric.name,
        role="primary" if limit is None else "guardrail",
        variant=variant,
        units=treated.n,
        control_units=control.n,
        mean=mean,
        control_mean=control_mean,
        effect=found,
        p_value=1.0 if few else boundary.p_value(value, error, n),
        variance_left=variance_left(raw, after),
        state=state,
        limit=limit,
    )


def _limit(metric: Metric, control_mean: float) -> float | None:
    return -metric.sign * metric.max_worse * abs(control_mean) if isinstance(metric, Guardrail) else None


def _better(found: Interval, metric: Metric) -> State:
    low, high = sorted((found.low * metric.sign, found.high * metric.sign))
    return "better" if low > 0 else "worse" if high < 0 else "open"


def _kept(margin: Interval, metric: Guardrail) -> State:
    low, high = sorted((margin.low * metric.sign, margin.high * metric.sign))
    return "kept" if low > 0 else "broken" if high < 0 else "open"
