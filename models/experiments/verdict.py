"""Verdict on an experiment: ship a variant, stop, or go on, each with its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from models.experiments.config import ExperimentSettings
from models.experiments.effects import Effect
from models.experiments.sample_ratio import SampleRatio

Outcome = Literal["ship", "stop", "go on"]
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Verdict:
    """Decision on an experiment.

    Attributes:
        decision: what to do.
        variant: that is shipped; empty if none is.
        reasons: sentences without full stop, the decisive one first.
    """

    decision: Outcome
    variant: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.decision}{f' {self.variant}' if self.variant else ''}: {'; '.join(self.reasons)}"


def verdict(
    effects: Sequence[Effect],
    ratio: SampleRatio,
    settings: ExperimentSettings,
    until: date,
    stopped: Mapping[str, str] = _NONE,
) -> Verdict:
    """Decide on an experiment as of the end of a day.

    Units that are not dealt as promised spoil every effect; a broken guardrail stops its variant whatever it gains.

    Args:
        effects: of every variant but the control on every metric.
        ratio: of the units that were exposed.
        settings: of the experiment.
        until: last day that is known.
        stopped: variants that are not shown any more -> why.
    """
    if not ratio.is_kept:
        return Verdict("stop", "", (f"the variants do not have their shares of the units: {ratio}",))
    names = [variant.name for variant in settings.variants[1:]]
    arms = {name: [one for one in effects if one.variant == name] for name in names}
    over = until >= settings.matures_on
    found = {
        name: Verdict("stop", "", (stopped[name],)) if name in stopped else _of_variant(arm, over=over)
        for name, arm in arms.items()
    }
    shipped = [name for name in names if found[name].decision == "ship"]
    if shipped:
        return found[max(shipped, key=lambda name: _gain(arms[name]))]
    reasons = tuple(reason for name in names for reason in found[name].reasons)
    if any(found[name].decision == "go on" for name in names):
        return Verdict("go on", "", (*reasons, _until(settings, until)))
    return Verdict("stop", "", reasons)


def _of_variant(arm: Sequence[Effect], *, over: bool) -> Verdict:
    primary, guardrails = arm[0], arm[1:]
    broken = tuple(str(one) for one in guardrails if one.state == "broken")
    if broken:
        return Verdict("stop", "", broken)
    if primary.state == "worse":
        return Verdict("stop", "", (str(primary),))
    if primary.state == "better":
        unproven = tuple(str(one) for one in guardrails if one.state != "kept")
        if not unproven:
            return Verdict("ship", primary.variant, (str(primary), *map(str, guardrails)))
        why = "a guardrail is not shown to be kept"
        return Verdict("stop" if over else "go on", "", (str(primary), *(f"{why}: {one}" for one in unproven)))
    if over:
        return Verdict("stop", "", (f"it is over and shows no effect: {primary}",))
    return Verdict("go on", "", (str(primary),))


def _gain(arm: Sequence[Effect]) -> float:
    """Return the relative gain of a variant that is better, whatever direction that is."""
    return abs(arm[0].effect.value)


def _until(settings: ExperimentSettings, until: date) -> str:
    if until < settings.first_day:
        return f"it begins on {settings.first_day}"
    left = (settings.matures_on - until).days
    return f"the last window is over in {left} day{'' if left == 1 else 's'}, on {settings.matures_on}"
