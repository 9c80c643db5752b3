"""`tessera alerts`: which cards an analyst should look at; `tessera alerts label`: what the analyst says of one."""

import getpass
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from rich.table import Table

from assets.apps import APPS
from assets.fraud.alerts import alert_table
from assets.fraud.labelling import label_alert
from assets.stages.alerts import ListedAlert, listed_alerts
from models.errors import TesseraError, choose_from
from models.fraud.alerts import APP, FRAUD, OK, Verdict, payments_of
from pipelines.cli.arguments import known_app
from pipelines.cli.console import counted, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.tables import print_json, write_table
from resources.alert_store.port import AlertStore
from resources.stack.ports import active_ports

_VERDICTS: tuple[Verdict, ...] = (FRAUD, OK)
_SHOWN = 20
_SHOWN_REASONS = 2
_SHOWN_PAYMENTS = 1
#: Columns of the table -> the width of a terminal that shows them; the id says day and customer, too.
_COLUMNS = {"alert": 0, "day": 130, "customer": 130, "payments": 70, "score": 0, "label": 0, "model": 70, "reasons": 0}
_LONGEST_NAME = 64


def alerts(
    app: str,
    day: str | None,
    first: str | None,
    last: str | None,
    file: Path | None,
    *,
    only_open: bool,
    as_json: bool = False,
) -> None:
    """Show the alerts of these days (default: of all), the newest day first; with `file`, write all of them there.

    Raises:
        TesseraError: unknown application, days that make no sense, or a file that cannot be written.
    """
    known_app(app, [one for one in APPS if one.raises_alerts])
    span = _span(day, first, last)
    store: AlertStore = active_ports().alert_store
    found = listed_alerts(store, APP, *span)
    chosen = [one for one in found if one.unlabelled] if only_open else found
    if file is not None:
        write_table(alert_table(chosen), file)
        out.print(f"{counted(len(chosen), 'alert')} written to {file}.")
    elif as_json:
        print_json(alert_table(chosen))
    elif not found:
        out.print(_why_none(store.alert_days(APP), span))
    elif not chosen:
        out.print(f"All {counted(len(found), 'alert')} {_when(found)} are labelled.")
    else:
        _show(chosen)


def label(alert_id: str, verdict: str, who: str | None) -> None:
    """Answers the alert, and tells the stream: one event for each of its payments. Running it again completes it.

    Raises:
        TesseraError: no such alert or answer, a second correction, or a queue that is not ready.
    """
    given, name = _verdict(verdict), _name(who)
    ports = active_ports()
    done = label_alert(ports.alert_store, ports.events, alert_id, given, name)
    told = counted(done.published, "event") + " published" if done.published else "nothing new to tell the stream"
    says = f"{alert_id} {'is' if done.is_new else 'was already'} labelled {given}"
    out.print(f"{says}: {counted(len(done.alert.evidence), 'payment')}, {told}.")


def _verdict(given: str) -> Verdict:
    for verdict in _VERDICTS:
        if given == verdict:
            return verdict
    raise TesseraError(
        f"An alert cannot be labelled {given!r}.",
        expected=choose_from(given, _VERDICTS),
        todo="Say it like this: `tessera alerts label ID fraud`, or `tessera alerts label ID ok`.",
    )


def _name(who: str | None) -> str:
    """Return the analyst's name, by default that of the system's user."""
    try:
        name = (getpass.getuser() if who is None else who).strip()
    except (KeyError, OSError):
        name = ""
    if not name or len(name) > _LONGEST_NAME:
        raise TesseraError(
            f"It is not known who labels: {name!r:.80}.",
            expected=f"a name of at most {_LONGEST_NAME} characters",
            todo="Pass --who NAME.",
        )
    return name


def _span(day: str | None, first: str | None, last: str | None) -> tuple[date, date]:
    if day is not None and (first is not None or last is not None):
        raise TesseraError("Both a day and a range of days are given.", expected="one of them", todo="Leave one out.")
    begin, end = (day, day) if day is not None else (first, last)
    span = date.min if begin is None else _day(begin), date.max if end is None else _day(end)
    if span[0] > span[1]:
        raise TesseraError(
            f"--from {first} is after --to {last}.", expected="a first day and a last day", todo="Exchange them."
        )
    return span


def _day(text: str) -> date:
    """Any day: unlike scores, alerts of today are there already."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TesseraError(f"{text!r} is not a day.", expected="YYYY-MM-DD", todo="Correct the date.") from None


def _why_none(days: Sequence[date], span: tuple[date, date]) -> str:
    if not days:
        return runnable("There are no alerts yet: `tessera stream fraud` raises them while it scores payments.")
    first, last = span
    asked = f"on {first}" if first == last else "on these days"
    known = f"on {days[0]}" if len(days) == 1 else f"on {len(days):,} days from {days[0]} to {days[-1]}"
    return f"There are no alerts {asked}; there are some {known}."


def _when(found: Sequence[ListedAlert]) -> str:
    first, last = found[0].alert.day, found[-1].alert.day
    return f"on {first}" if first == last else f"from {first} to {last}"


def _says(one: ListedAlert, name: str) -> str:
    """Return the text of one column of the list."""
    alert = one.alert
    new = f" ({one.unlabelled} new)" if alert.label and one.unlabelled else ""
    return {
        "alert": alert.alert_id,
        "day": f"{alert.day}",
        "customer": alert.entity_id,
        "payments": _first(payments_of(alert)),
        "score": f"{alert.highest_score:.3f}",
        "label": f"{alert.label or ''}{new}",
        "model": alert.model_version,
        "reasons": ", ".join(alert.why[:_SHOWN_REASONS]),
    }[name]


def _first(transactions: Sequence[int]) -> str:
    more = len(transactions) - _SHOWN_PAYMENTS
    return ", ".join(map(str, transactions[:_SHOWN_PAYMENTS])) + (f" +{more}" if more > 0 else "")


def _show(found: Sequence[ListedAlert]) -> None:
    waiting = [one.alert for one in found if one.unlabelled]
    out.print(f"{counted(len(found), 'alert')} {_when(found)}, {len(waiting):,} without a label")
    newest = sorted(found, key=lambda one: one.alert.day, reverse=True)[:_SHOWN]
    out.print(_table(newest))
    if len(found) > _SHOWN:
        out.print(f"{_SHOWN} of {len(found):,}, the newest day first; `--date` chooses a day, `--out FILE` gives all.")
    if waiting:
        out.print("next: tessera alerts label ALERT fraud   (or: ok)")


def _table(found: Sequence[ListedAlert]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    shown = [name for name, width in _COLUMNS.items() if out.width >= width]
    for name in shown:
        table.add_column(name, overflow="fold", ratio=1 if name == "reasons" else None)
    for one in found:
        table.add_row(*(literal(_says(one, name)) for name in shown))
    return table
