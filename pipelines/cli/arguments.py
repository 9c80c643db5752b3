"""Days and applications as a user types them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from models.errors import TesseraError, choose_from
from resources.stack.loader import Stack

#: Applications that publish scores.
APPS = ("churn",)


#: Applications that learn.
LEARNING_APPS = ("churn", "fraud")


def known_app(name: str, apps: Sequence[str] = APPS) -> str:
    """`name`, if it is one of these applications.

    Raises:
        TesseraError: it is none.
    """
    if name not in apps:
        raise TesseraError(
            f"There is no application {name!r}.", expected=choose_from(name, apps), todo="Correct the name."
        )
    return name


def yesterday() -> date:
    """The newest day that has ended (UTC)."""
    return datetime.now(UTC).date() - timedelta(days=1)


def known_day(text: str | None, stack: Stack) -> date:
    """The day a user means: yesterday by default.

    Raises:
        TesseraError: not a date, not over yet, or before the shop's first day.
    """
    if text is None:
        return yesterday()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise TesseraError(f"{text!r} is not a day.", expected="YYYY-MM-DD", todo="Correct the date.") from None
    first = stack.calendar.first_day
    if not first <= day <= yesterday():
        lies = "is not over yet (days are UTC)" if day > yesterday() else f"is before the shop's first day, {first}"
        raise TesseraError(
            f"{day} {lies}.", expected=f"a day from {first} to {yesterday()}", todo="Choose another day."
        )
    return day


def known_span(first: str, last: str, stack: Stack) -> tuple[date, date]:
    """The first and the last day that a user means.

    Raises:
        TesseraError: as `known_day`, or the first day is after the last.
    """
    days = known_day(first, stack), known_day(last, stack)
    if days[0] > days[1]:
        raise TesseraError(
            f"--from {first} is after --to {last}.", expected="a first day and a last day", todo="Exchange them."
        )
    return days
