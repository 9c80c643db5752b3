"""Decisions on the variants of an experiment: a broken guardrail stops one, a person resumes it; and what follows.

A decision is made by the rows of a day (`until`), and holds from a later day on (`from_day`): earlier nights are the
same when they are run again. A variant that was stopped stays so until a person resumes it, whatever its guardrail
says later. After that the guardrails count what was shown since, so that they say how the variant does now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal

Action = Literal["stop", "resume"]


@dataclass(frozen=True)
class Decision:
    """A decision on a variant.

    Attributes:
        variant: its name.
        action: `stop` or `resume`.
        until: day whose evaluation it follows from.
        from_day: first night that it holds for: lists made as of the end of that day.
        at: when it was made, UTC.
        who: `guardrail`, or the person.
        why: the broken guardrails, or the person's reason.
    """

    variant: str
    action: Action
    until: date
    from_day: date
    at: datetime
    who: str
    why: str


@dataclass(frozen=True)
class Pause:
    """Days on which a variant was not shown, the first and the last one included.

    Attributes:
        first: day after the one whose evaluation stopped it.
        last: day on which it was resumed; None: it is stopped.
        listed: last day on which it may be shown all the same: lists of it were made before the stop.
    """

    first: date
    last: date | None
    listed: date


def stops(decisions: Iterable[Decision], night: date | None = None) -> dict[str, Decision]:
    """Return variant -> the stop that holds for the lists of a night; None: for those of now."""
    found: dict[str, Decision] = {}
    for one in _in_order(decisions):
        if night is None or one.from_day <= night:
            found[one.variant] = one
    return {variant: one for variant, one in found.items() if one.action == "stop"}


def as_of(decisions: Iterable[Decision], until: date) -> tuple[Decision, ...]:
    """Return the decisions that an evaluation of `until` knows: made by earlier days, or resumed by then."""
    return tuple(
        one for one in _in_order(decisions) if (one.until < until if one.action == "stop" else one.from_day <= until)
    )


def pauses(decisions: Iterable[Decision], variant: str) -> list[Pause]:
    """Return the pauses of a variant, the oldest first."""
    found: list[Pause] = []
    for one in _in_order(decisions):
        if one.variant != variant:
            continue
        if one.action == "stop" and not (found and found[-1].last is None):
            found.append(Pause(one.until + timedelta(days=1), None, one.from_day))
        elif one.action == "resume" and found and found[-1].last is None:
            found[-1] = replace(found[-1], last=one.from_day)
    return found


def _in_order(decisions: Iterable[Decision]) -> Sequence[Decision]:
    return sorted(decisions, key=lambda one: (one.from_day, one.at))
