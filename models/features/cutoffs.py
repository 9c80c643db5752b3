"""The moments at which features are known, and which of them may train and evaluate a model."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from models.errors import TesseraError


def cutoff_moment(day: date) -> datetime:
    """t(D): the last microsecond of `day`, UTC. Nothing after it may shape a feature of that day."""
    return datetime.combine(day, time.max, tzinfo=UTC)


@dataclass(frozen=True)
class Cutoffs:
    """Days at whose end a model is trained (ascending) and the one later day at whose end it is evaluated."""

    train: tuple[date, ...]
    holdout: date


def training_cutoffs(
    as_of: date,
    first_day: date,
    *,
    horizon_days: int = 90,
    step_days: int = 7,
    min_history_days: int = 30,
    max_cutoffs: int = 12,
) -> Cutoffs:
    """Return the newest cut-offs whose labels are mature at the end of `as_of`.

    The label of cut-off c looks at `(t(c), t(c) + horizon_days]`. The hold-out is the last cut-off whose label window
    has ended; every training label window ends at or before the hold-out's cut-off, so no purchase decides a label on
    both sides.

    Args:
        as_of: the last day of which everything is known.
        first_day: the first day with orders.
        horizon_days: length of the label window.
        step_days: distance of two training cut-offs.
        min_history_days: days of orders, its own included, that the earliest training cut-off must look back on.
        max_cutoffs: the newest so many training cut-offs are kept.

    Raises:
        TesseraError: there is no training cut-off yet.
    """
    holdout = as_of - timedelta(days=horizon_days)
    newest = holdout - timedelta(days=horizon_days)
    oldest = first_day + timedelta(days=min_history_days - 1)
    if newest < oldest:
        needed = min_history_days + 2 * horizon_days
        raise TesseraError(
            f"{(as_of - first_day).days + 1} days of orders ({first_day} to {as_of}) are too few to train on.",
            expected=f"at least {needed} days: {min_history_days} of history and two label windows of {horizon_days}",
            todo=f"Choose a day from {first_day + timedelta(days=needed - 1)} on, or shorten `horizon_days`.",
        )
    count = min((newest - oldest).days // step_days + 1, max_cutoffs)
    train = (newest - timedelta(days=step_days * back) for back in reversed(range(count)))
    return Cutoffs(train=tuple(train), holdout=holdout)


def cutoffs_between(cutoffs: Cutoffs, step_days: int) -> tuple[date, ...]:
    """Cut-offs between the newest training cut-off and the hold-out, `step_days` apart, ascending.

    Their labels are known, but look past the hold-out's cut-off: a model that is evaluated there cannot learn from
    them, its refit can.
    """
    newest, days = cutoffs.train[-1], (cutoffs.holdout - cutoffs.train[-1]).days
    found = (cutoffs.holdout - timedelta(days=back) for back in range(step_days, days, step_days))
    return tuple(sorted(day for day in found if day > newest))
