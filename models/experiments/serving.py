"""Serving of a list under an experiment: the variant of the unit, the shuffle of slots, and the event that logs both.

The event is published before the list is answered, so that an exposure is in the log before anything can come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from models.events import Event
from models.experiments.assignment import Assignment, assignment_of
from models.experiments.config import NO_EXPERIMENT, ExperimentSettings, Part
from models.experiments.exposure_events import exposure_event
from models.experiments.slots import ShownList, SlotShuffle

#: Between names of experiments, or of variants, of a list that is part of several; no name has it.
AND = "+"
#: Ordered products of a list, by the name of the part that the variant uses.
Ranked = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Visitor:
    """A visitor that a list is shown to; ids may be unknown, also that of the experiment's unit."""

    customer_id: str | None
    session_id: str | None = None

    def unit(self, settings: ExperimentSettings) -> str | None:
        """Return the id of the experiment's unit."""
        return self.customer_id if settings.unit == "customer" else self.session_id


@dataclass(frozen=True)
class Dealt:
    """Experiments and variants of a unit, and the parts that make its lists.

    Attributes:
        experiment: names of those that it is in, with `+` between them; `none` in none.
        variant: of each of them, in the same order.
        parts: kind and name of each part that is not the champion's own.
    """

    experiment: str
    variant: str
    parts: tuple[tuple[Part, str], ...]


@dataclass(frozen=True)
class ServedList:
    """A list as it is shown.

    Attributes:
        variant: that made it; `none` outside of the experiment.
        shown: products and propensities by slot.
        event: to publish before the list is answered.
    """

    variant: str
    shown: ShownList
    event: Event


class Experiment:
    """An experiment as a service or a night runs it, one object for many lists.

    Args:
        name: of the experiment.
        settings: of the experiment.
        stopped: variants that are not shown: their units get the control, outside of the experiment. Without any
            variant beside the control, all of them do.
    """

    def __init__(self, name: str, settings: ExperimentSettings, *, stopped: Collection[str] = ()) -> None:
        self.name, self.settings = name, settings
        others = [one.name for one in settings.variants[1:]]
        self._stopped = frozenset(settings.shares if all(one in stopped for one in others) else stopped)
        self._assignment: Assignment = assignment_of(name, settings)
        self._shuffle = SlotShuffle(name, settings.shuffled_share)
        self._parts: Mapping[str, str] = {one.name: one.part_name for one in settings.variants}

    def variant(self, unit: str | None, day: date) -> str:
        """Return the variant of a unit on a day; `none` without a unit, outside of its days, and if it is stopped."""
        if not unit or not self.settings.first_day <= day <= self.settings.last_day:
            return NO_EXPERIMENT
        found = self._assignment.variant(unit)
        return NO_EXPERIMENT if found in self._stopped else found

    def includes(self, unit: str | None) -> bool:
        """Return whether a unit is of the experiment's part of its layer; always without a layer."""
        return self.settings.layer is None or (bool(unit) and self._assignment.includes(str(unit)))

    def part(self, variant: str) -> str:
        """Return the name of the part that makes the lists of a variant; of `none` that of the control."""
        return self._parts.get(variant, self.settings.control.part_name)

    def experiment(self, variant: str) -> str:
        """Return the experiment that lists of a variant are logged for."""
        return NO_EXPERIMENT if variant == NO_EXPERIMENT else self.name

    def shown(self, products: Sequence[str], unit: str, day: date) -> ShownList:
        """Return a list as it is shown: a share of its slots is shuffled, also outside of the experiment."""
        return self._shuffle.shown(products, unit, day)

    def served(self, visitor: Visitor, ranked: Ranked, at: datetime, *, list_id: str, source: str) -> ServedList:
        """Return the list of a visitor: the part of its variant ranks, a share of the slots is shuffled.

        Visitors without a unit, days outside of the experiment and stopped variants get the control's list. It is
        logged as `none`, shuffled like the others.

        Args:
            visitor: whom it is shown to.
            ranked: products by the part that the variant uses.
            at: time of the request, UTC.
            list_id: names the list; another one for each request.
            source: the service, e.g. `/recommendations`.
        """
        unit, day = visitor.unit(self.settings), at.date()
        variant = self.variant(unit, day)
        shown = self.shown(ranked(self.part(variant)), unit or list_id, day)
        event = exposure_event(
            shown,
            list_id=list_id,
            experiment=self.experiment(variant),
            variant=variant,
            customer_id=visitor.customer_id,
            session_id=visitor.session_id,
            at=at,
            source=source,
        )
        return ServedList(variant, shown, event)


class Experiments:
    """The experiments of one application that run on a day, at most one of each part for a unit (`ExperimentsConfig`).

    Args:
        running: the experiments, in the order of the settings.
    """

    def __init__(self, running: Sequence[Experiment]) -> None:
        self.running = tuple(running)
        self._by_shuffle = sorted(self.running, key=lambda one: -one.settings.shuffled_share)

    def dealt(self, unit: str | None, day: date) -> Dealt:
        """Return the experiments that a unit is in, and the parts that make its lists.

        A unit that is in an experiment's part of its layer has the control's part if its variant is stopped; one that
        is not is left to the other experiments of the layer.
        """
        own = [(one, one.variant(unit, day)) for one in self.running if one.includes(unit)]
        shown = [(one.name, variant) for one, variant in own if variant != NO_EXPERIMENT]
        return Dealt(
            AND.join(name for name, _ in shown) or NO_EXPERIMENT,
            AND.join(variant for _, variant in shown) or NO_EXPERIMENT,
            tuple((one.settings.part, one.part(variant)) for one, variant in own),
        )

    def shown(self, products: Sequence[str], unit: str, day: date) -> ShownList:
        """Return a list as it is shown: of its experiments the one with the largest `shuffled_share` shuffles it."""
        for one in self._by_shuffle:
            if one.includes(unit):
                return one.shown(products, unit, day)
        return ShownList(tuple(products), (1.0,) * len(products))


def variant_in(experiment: str, variant: str, name: str) -> str:
    """Return the variant that a list has in one of its experiments; `none` if it is not part of that one.

    Args:
        experiment: of the list, as `Dealt` has it.
        variant: of the list.
        name: of the experiment.
    """
    pairs = dict(zip(experiment.split(AND), variant.split(AND), strict=False))
    return pairs.get(name, NO_EXPERIMENT)
