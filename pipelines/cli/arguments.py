"""Days and applications as a user types them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address

from assets.apps import APPS, app_named
from assets.stages.app import App
from models.errors import TesseraError
from resources.source.port import Source
from resources.stack.loader import Stack

PUBLISHING_APPS = tuple(app for app in APPS if app.publishes)


def known_app(name: str, apps: Sequence[App] = PUBLISHING_APPS) -> str:
    """Return the name of an application that publishes scores, or of one of `apps`.

    Raises:
        TesseraError: it is none.
    """
    return app_named(name, apps).name


def check_delivered(app: App, stack: Stack) -> None:
    """Return if the profile's source delivers the tables that the application is made from.

    Raises:
        TesseraError: it does not.
    """
    source: Source = stack.open("source")
    for table in app.made_from:
        if table not in source.tables():
            raise TesseraError(
                f"The source of profile {stack.name!r} delivers no {table}.",
                expected=f"a profile whose source delivers {' and '.join(app.made_from)}",
                todo=f"Choose it with --profile, or map {table} in stack.yaml.",
            )


def check_runs(app: str, stack: Stack) -> None:
    """Return if the profile runs the application of a job; "" is that of a job of none.

    Raises:
        TesseraError: it does not.
    """
    if app and app not in stack.apps:
        raise TesseraError(
            f"The profile {stack.name!r} does not run the application {app!r}.",
            expected=f"one of its applications: {', '.join(stack.apps)}",
            todo=f"Add {app} to the profile's `apps` in stack.yaml, or choose another profile with --profile.",
        )


def yesterday() -> date:
    """Return the newest day that has ended (UTC)."""
    return datetime.now(UTC).date() - timedelta(days=1)


def listening_address(host: str) -> IPv4Address | IPv6Address:
    """Return the address that `--host` names.

    Raises:
        TesseraError: it is none.
    """
    try:
        return ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        raise TesseraError(
            f"`--host` is {host!r}.", expected="an IP address: 127.0.0.1, ::1, 0.0.0.0", todo="Correct it."
        ) from None


def day_of(text: str) -> date:
    """Return the day that a text names.

    Raises:
        TesseraError: it names none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TesseraError(f"{text!r} is not a day.", expected="YYYY-MM-DD", todo="Correct the date.") from None


def known_day(text: str | None, stack: Stack) -> date:
    """Return the day a user means: yesterday by default.

    Raises:
        TesseraError: not a date, not over yet, or before the shop's first day.
    """
    if text is None:
        return yesterday()
    day = day_of(text)
    first = stack.calendar.first_day
    if not first <= day <= yesterday():
        lies = "is not over yet (days are UTC)" if day > yesterday() else f"is before the shop's first day, {first}"
        raise TesseraError(
            f"{day} {lies}.", expected=f"a day from {first} to {yesterday()}", todo="Choose another day."
        )
    return day


def known_span(first: str, last: str, stack: Stack) -> tuple[date, date]:
    """Return the first and the last day that a user means.

    Raises:
        TesseraError: as `known_day`, or the first day is after the last.
    """
    days = known_day(first, stack), known_day(last, stack)
    if days[0] > days[1]:
        raise TesseraError(
            f"--from {first} is after --to {last}.", expected="a first day and a last day", todo="Exchange them."
        )
    return days
