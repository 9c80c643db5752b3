"""Days and applications as a user types them."""

from datetime import UTC, date, datetime, timedelta

from models.errors import TesseraError, choose_from
from resources.stack import Stack

#: Applications that publish scores.
APPS = ("churn",)


def known_app(name: str) -> str:
    """`name`, if there is such an application."""
    if name not in APPS:
        raise TesseraError(
            f"There is no application {name!r}.", expected=choose_from(name, APPS), todo="Correct the name."
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
