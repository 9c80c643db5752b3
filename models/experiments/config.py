"""Settings of experiments; imports nothing heavy, so that a profile can be read anywhere."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import combinations
from math import fsum, isclose
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FROZEN = ConfigDict(frozen=True, extra="forbid")

#: Part of an application that the variants of an experiment differ in.
Part = Literal["generator", "ranker", "rules"]
Unit = Literal["customer", "session"]
#: What a customer does after a product was shown.
OutcomeKind = Literal["click", "cart", "purchase", "return"]
#: Of the outcomes of a unit in its window: 1 if there is one, their number, the sum of their values in EUR.
Measure = Literal["any", "count", "value"]
Direction = Literal["higher", "lower"]
#: Experiment and variant of lists that are shown outside of any.
NO_EXPERIMENT = "none"
#: Names of experiments and variants: parts of keys, files and partitions.
_NAME = r"[a-z][a-z0-9_]{0,62}"
#: Characters of the names of experiments that run at once: a list of three, one of each part, names them in 128.
_TOGETHER = 42


class Variant(BaseModel):
    """One of the ways that are compared; the first one of an experiment is its control."""

    model_config = _FROZEN

    name: str = Field(pattern=rf"^{_NAME}$", description="Name of the variant in the log of exposures.")
    share: float = Field(gt=0, lt=1, description="Share of the units that get it; the shares add up to 1.")
    uses: str = Field(
        default="",
        description="Name of the generator, ranker or rule set that it uses; empty: its own name.",
    )

    @property
    def part_name(self) -> str:
        """Return the name of the part that it uses."""
        return self.uses or self.name


class Metric(BaseModel):
    """A number per unit: of its outcomes of one kind, from its first exposure on until its window ends."""

    model_config = _FROZEN

    kind: OutcomeKind = Field(description="Outcomes that it is about.")
    measure: Measure = Field(
        default="any",
        description="`any`: 1 if there is one; `count`: their number; `value`: the sum of their values, EUR.",
    )
    direction: Direction = Field(default="higher", description="Direction that is better.")

    @property
    def name(self) -> str:
        """Return its name in tables, e.g. `purchase_value`."""
        return f"{self.kind}_{self.measure}"

    @property
    def sign(self) -> int:
        """Return 1 if higher is better, else -1."""
        return 1 if self.direction == "higher" else -1


class Guardrail(Metric):
    """A metric that a variant must not make worse by more than a limit."""

    max_worse: float = Field(
        default=0.02,
        ge=0,
        lt=1,
        description="Share of the control's mean by which a variant may be worse: broken if the whole interval is.",
    )


class Layer(BaseModel):
    """Part of the units of a layer, whose experiments share the units out: each unit is in one of them at most."""

    model_config = _FROZEN

    name: str = Field(pattern=rf"^{_NAME}$", description="Name of the layer; hashed with the unit.")
    above: float = Field(default=0.0, ge=0, lt=1, description="Its experiment has the units above this share.")
    up_to: float = Field(default=1.0, gt=0, le=1, description="And up to this one.")

    @model_validator(mode="after")
    def _has_units(self) -> Self:
        if self.up_to <= self.above:
            raise ValueError(f"above {self.above:g} and up to {self.up_to:g} of the layer {self.name!r} is no unit")
        return self

    def __str__(self) -> str:
        return f"units above {self.above:g} and up to {self.up_to:g} of the layer {self.name}"

    def overlaps(self, other: "Layer") -> bool:
        """Return whether some units are of both."""
        return self.name != other.name or (self.above < other.up_to and other.above < self.up_to)


class ExperimentSettings(BaseModel):
    """One experiment: variants of one part of an application, given to units by hash, decided by one metric."""

    model_config = _FROZEN

    app: str = Field(
        default="",
        description="Application that serves it; empty: a service elsewhere does, of which only the log is read.",
    )
    part: Part = Field(description="Part that the variants differ in: `generator`, `ranker` or `rules`.")
    variants: tuple[Variant, ...] = Field(min_length=2, description="The variants, the control first.")
    primary: Metric = Field(description="Metric that decides.")
    guardrails: tuple[Guardrail, ...] = Field(default=(), description="Metrics that must not become worse.")
    first_day: date = Field(description="First day on which units are exposed, UTC.")
    last_day: date = Field(description="Last day on which units are exposed, UTC.")
    unit: Unit = Field(default="customer", description="Unit that keeps its variant: `customer` or `session`.")
    salt: str = Field(
        default="",
        pattern=r"^[\x21-\x7e]{0,64}$",
        description="Text that is hashed with the unit; empty: the name of the experiment. Another one deals anew.",
    )
    layer: Layer | None = Field(
        default=None,
        description="Layer whose units it shares with other experiments, and which of them it has; null: all units, "
        "dealt independently of any other experiment.",
    )
    window_days: int = Field(
        default=7, ge=1, le=180, description="Days after its first exposure for which a unit's outcomes count."
    )
    level: float = Field(
        default=0.05,
        gt=0,
        le=0.2,
        description="Chance of a false effect of the primary metric over all looks at it and all variants.",
    )
    planned_units: int = Field(
        default=10_000, ge=100, description="Units, of all variants together, at which the intervals are narrowest."
    )
    min_units: int = Field(
        default=100, ge=20, description="Units per variant below which no interval is given: it would be asymptotic."
    )
    covariate_days: int = Field(
        default=28,
        ge=0,
        le=365,
        description="Days before the experiment whose spending and number of order lines explain part of a customer's "
        "metric (CUPED); 0: no adjustment.",
    )
    shuffled_share: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Share of the slots of each list that are shuffled, so that propensities are known; 0: none, and "
        "no other ranker can be estimated from the log.",
    )
    sample_ratio_level: float = Field(
        default=0.01, gt=0, le=0.05, description="Chance of a false alarm of the sample ratio over all looks at it."
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        total = fsum(variant.share for variant in self.variants)
        if not isclose(total, 1, abs_tol=1e-9):
            raise ValueError(f"the shares of the variants add up to {total:.6g}, not to 1")
        if twice := _twice(variant.name for variant in self.variants):
            raise ValueError(f"two variants are called {twice!r}")
        if twice := _twice(metric.name for metric in self.metrics):
            raise ValueError(f"the metric {twice!r} is named twice")
        if self.last_day < self.first_day:
            raise ValueError(f"the last day {self.last_day} lies before the first day {self.first_day}")
        return self

    @property
    def control(self) -> Variant:
        """Return the variant that the others are compared with."""
        return self.variants[0]

    @property
    def shares(self) -> dict[str, float]:
        """Return the share of the units of each variant, in the order of the settings."""
        return {variant.name: variant.share for variant in self.variants}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Return the primary metric, then the guardrails."""
        return (self.primary, *self.guardrails)

    @property
    def matures_on(self) -> date:
        """Return the day at whose end the windows of all units are over."""
        return self.last_day + timedelta(days=self.window_days)


class ExperimentsConfig(BaseModel):
    """Experiments, labels of impressions, and limits on how much more popular the shown products may become."""

    model_config = _FROZEN

    label_days: int = Field(
        default=7, ge=1, le=180, description="Days after which an impression is labelled by what came of it."
    )
    bias_days: int = Field(
        default=28, ge=1, le=180, description="Days of impressions that are compared with as many before them."
    )
    bias_periods: int = Field(
        default=6,
        ge=1,
        le=24,
        description="Earlier periods of `bias_days` that they are compared with: with the least concentrated one, so "
        "that what narrows slowly is seen, too.",
    )
    max_bias_rise: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Rise of the Gini coefficient, of the share of the most shown hundredth or of the share never shown"
        " that does not matter; the check `popularity_bias` warns of more.",
    )
    trials: Mapping[str, ExperimentSettings] = Field(
        default={}, description="Experiments by name: `{ranker_trial: {app: personalization, part: ranker, ...}}`."
    )

    @model_validator(mode="after")
    def _have_names_of_their_own(self) -> Self:
        for name in self.trials:
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"{name!r} is no name of an experiment: letters a to z, digits and _, 63 at most")
            if name == NO_EXPERIMENT:
                raise ValueError(f"{NO_EXPERIMENT!r} names lists outside of any experiment")
        return self

    @model_validator(mode="after")
    def _leave_each_other_alone(self) -> Self:
        for (name, one), (later, other) in combinations(self.trials.items(), 2):
            first, last = max(one.first_day, other.first_day), min(one.last_day, other.last_day)
            if one.app and one.app == other.app and first <= last and (why := _clash(name, one, later, other)):
                raise ValueError(
                    f"the experiments {name!r} and {later!r} of {one.app!r} run on the same days, from {first} to"
                    f" {last}, and {why}"
                )
        return self


def _clash(name: str, one: ExperimentSettings, later: str, other: ExperimentSettings) -> str:
    """Return why a unit cannot be in both of two experiments of the same days; empty if it can, or never is."""
    if one.layer and other.layer and not one.layer.overlaps(other.layer):
        return ""
    if one.layer and other.layer and one.layer.name == other.layer.name:
        return f"some units of the layer {one.layer.name!r} are of both: let one begin where the other ends (`above`)"
    if one.part == other.part:
        return (
            f"both vary the {one.part}: a list has one. Let one begin after the other, or let them share a layer:"
            " `layer: {name: NAME, up_to: 0.5}` and `layer: {name: NAME, above: 0.5}`"
        )
    if (one.salt or name) == (other.salt or later):
        return f"both deal by the salt {one.salt or name!r}: their variants would be the same units"
    longest = max((name, later, *one.shares, *other.shares), key=len)
    if len(longest) > _TOGETHER:
        return f"the name {longest!r} has more than {_TOGETHER} characters: a list names all of its experiments"
    return ""


def _twice(names: Iterable[str]) -> str:
    """Return the first name that is there twice; empty if there is none."""
    return next((name for name, count in Counter(names).items() if count > 1), "")
