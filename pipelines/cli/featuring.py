"""`tessera features`: which application's features are meant, and of what."""

from datetime import date
from pathlib import Path

from models.errors import TesseraError, choose_from
from pipelines.cli.days import known_day
from resources.stack import active_stack

_APPS = ("churn", "fraud")


def features(app: str, entities: Path | None, first: str | None, last: str | None, file: Path, *, online: bool) -> None:
    """Writes the features that were asked for to `file`.

    Raises:
        TesseraError: unknown application, options that are not its own, or what the application's part raises.
    """
    if app not in _APPS:
        raise TesseraError(
            f"There is no application {app!r}.", expected=choose_from(app, _APPS), todo="Correct the name."
        )
    if app == "fraud":
        from pipelines.cli import payment_features

        if entities is not None or online or first is None or last is None:
            raise _other_options(app, "--from DAY --to DAY --out FILE")
        payment_features.features(*_span(first, last), file)
        return
    from pipelines.cli import joining

    if entities is None or first is not None or last is not None:
        raise _other_options(app, "--entities FILE --out FILE, and --online if you like")
    (joining.served if online else joining.features)(app, entities, file)


def _span(first: str, last: str) -> tuple[date, date]:
    stack = active_stack()
    days = known_day(first, stack), known_day(last, stack)
    if days[0] > days[1]:
        raise TesseraError(
            f"--from {first} is after --to {last}.", expected="a first day and a last day", todo="Exchange them."
        )
    return days


def _other_options(app: str, options: str) -> TesseraError:
    return TesseraError(
        f"Features of {app} are not asked for like this.",
        expected=options,
        todo="See `tessera features --help`.",
    )
