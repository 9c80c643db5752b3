"""Serving of a list under an experiment: the variant of the unit, the shuffle of slots, and the event that logs both.

The event is published before the list is answered, so that an exposure is in the log before anything can come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

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
    """An experiment as a service runs it, one object for many requests.

    Args:
        name: of the experiment.
        settings: of the experiment.
        is_stopped: its last evaluation stopped it: every unit then gets the control, outside of the experiment.
    """

    def __init__(self, name: str, settings: ExperimentSettings, *, is_stopped: bool = False) -> None:
        self.name, self.settings, self._is_stopped = name, settings, is_stopped
        self._assignment: Assignment = assignment_of(name, settings)
        self._shuffle = SlotShuffle(name, settings.shuffled_share)
        self._parts: Mapping[str, str] = {one.name: one.part_name for one in settings.variants}

    def served(self, visitor: Visitor, ranked: Ranked, at: datetime, *, list_id: str, source: str) -> ServedList:
        """Return the list of a visitor: the part of its variant ranks, a share of the slots is shuffled.

        Visitors without a unit, days outside of the experiment and stopped experiments get the control's list. It is
        logged as `none`, shuffled like the others.

        Args:
            visitor: whom it is shown to.
            ranked: products by the part that the variant uses.
            at: time of the request, UTC.
            list_id: names the list; another one for each request.
            source: the service, e.g. `/recommendations`.
        """
        unit, day = visitor.unit(self.settings), at.date()
        runs = not self._is_stopped and self.settings.first_day <= day <= self.settings.last_day
        variant = self._assignment.variant(unit) if unit and runs else NO_EXPERIMENT
        products = ranked(self._parts.get(variant, self.settings.control.part_name))
        shown = self._shuffle.shown(products, unit or list_id, day)
        experiment = NO_EXPERIMENT if variant == NO_EXPERIMENT else self.name
        event = exposure_event(
            shown,
            list_id=list_id,
            experiment=experiment,
            variant=variant,
            customer_id=visitor.customer_id,
            session_id=visitor.session_id,
            at=at,
            source=source,
        )
        return ServedList(variant, shown, event)
