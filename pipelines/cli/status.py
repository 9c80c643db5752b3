"""`tessera status`: every application on one page."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from pipelines.cli.console import listing, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.tables import print_json
from pipelines.home import dagster_instance
from pipelines.status import AppStatus, statuses
from resources.stack.ports import active_ports

_STYLES = {"well": "green", "look": "yellow", "wrong": "red", "new": "dim"}
_LONGEST = 200


def status(*, as_json: bool) -> int:
    """Print the state of each application; 1 if scores are missing or an error is open, else 0."""
    from pipelines.definitions import build_definitions

    ports = active_ports()
    with dagster_instance(ports.stack) as instance:
        found = statuses(ports, instance, build_definitions(ports.stack), datetime.now(UTC))
    if as_json:
        print_json({"profile": ports.stack.name, "home": str(ports.stack.home), "apps": [asdict(one) for one in found]})
    else:
        _print(found)
    return int(any(one.state == "wrong" for one in found))


def _print(found: list[AppStatus]) -> None:
    columns = ("app", "", "published", "what", "champion", "notices", "next night (UTC)")
    out.print(listing(columns, map(_cells, found)))
    for one in found:
        if one.state != "new":
            out.print(literal(f"{one.app}: {_in_short(one)}", "dim"))
        for problem in one.problems:
            text = f"{one.app}: {problem}"
            shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
            out.print(literal(shown, _STYLES[one.state]))
    if any(one.open_notices for one in found):
        out.print(runnable("Open notices: `tessera notices`."))
    if new := [one.app for one in found if one.state == "new" and one.next_night]:
        out.print(runnable(f"Never ran: {', '.join(new)}. For example: `tessera run {new[0]}_nightly`."))


def _cells(one: AppStatus) -> list[object]:
    champion = f"version {one.champion}, {_age(one.champion_days)}" if one.champion else "none"
    return [
        literal(one.app, "bold"),
        literal(one.state, _STYLES[one.state]),
        one.day or "nothing",
        one.published,
        champion,
        len(one.open_notices) or "",
        f"{one.next_night:%Y-%m-%d %H:%M}" if one.next_night else "no night: its tables are not delivered",
    ]


def _in_short(one: AppStatus) -> str:
    gate = f"last gate {one.gate}" if one.gate else "no gate verdict"
    drift = f"drift {one.drift}" if one.drift else "drift not measured"
    data = f"data checks {one.data_checks}" if one.data_checks else "no data check ran"
    return "; ".join(filter(None, [one.freshness, gate, drift, data]))


def _age(days: int | None) -> str:
    return "today" if not days else f"{timedelta(days=days).days} days"
