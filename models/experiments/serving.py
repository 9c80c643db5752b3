"""Serving of a list under an experiment: the variant of the unit, the shuffle of slots, and the event that logs both.

The event is published before the list is answered, so that an exposure is in the log before anything can come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from models.events import Event
from models.experiments.assignment import Assignment, assignment_of
from models.experiments.config import NO_EXPERIMENT, ExperimentSettings
from models.experiments.exposure_events import exposure_event
from models.experiments.slots import ShownList, SlotShuffle

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
