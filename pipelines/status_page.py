"""The state of each application as Markdown, for the asset `storage/status`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import dagster as dg
from typing_extensions import override

from assets.maintenance.status import Page, StatusPage
from assets.stages import metadata_keys as keys
from pipelines.status import AppStatus, State, statuses
from resources.stack.loader import Stack
from resources.stack.ports import Ports

#: More than the pane of Dagster's UI is wide would be cut off; the rest is listed below.
_COLUMNS = ("app", "", "published", "champion", "notices")


@dataclass(frozen=True)
class ProfileStatus(StatusPage):
    """The page of a profile; a resource of its definitions, which are built by then."""

    stack: Stack
    definitions: Callable[[], dg.Definitions]

    @override
    def page(self, instance: dg.DagsterInstance, now: datetime) -> Page:
        found = statuses(Ports(self.stack), instance, self.definitions(), now)
        numbers = {f"apps_{state}": sum(one.state == state for one in found) for state in get_args(State)}
        notices = {keys.OPEN_NOTICES: sum(len(one.open_notices) for one in found)}
        return Page(markdown(found, self.stack.name, now), numbers | notices)


def markdown(found: Sequence[AppStatus], profile: str, now: datetime) -> str:
    """Return the page: a row for each application, then what is wrong with each."""
    lines = [f"Profile **{profile}**, {now:%Y-%m-%d %H:%M} UTC", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
    lines += [_row(_cells(one)) for one in found]
    for one in found:
        if one.state != "new":
            lines += ["", f"**{one.app}**", "", *(f"- {_plain(text)}" for text in _facts(one))]
    return "\n".join(lines)


def _cells(one: AppStatus) -> list[str]:
    champion = f"version {one.champion}, {one.champion_days} days" if one.champion else "none"
    day = one.day.isoformat() if one.day else "nothing"
    return [f"**{one.app}**", one.state, day, champion, str(len(one.open_notices))]


def _facts(one: AppStatus) -> list[str]:
    """Return what is wrong first, then the rest."""
    night = f"{one.next_night:%Y-%m-%d %H:%M} UTC" if one.next_night else "none"
    rest = {
        "published": one.published,
        "freshness": one.freshness,
        "last gate": one.gate,
        "drift": one.drift,
        "data checks": one.data_checks,
        "next night": night,
    }
    return [*one.problems, *(f"{name}: {text}" for name, text in rest.items() if text)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """Return the text on one line, without what would end a cell."""
    return " ".join(text.split()).replace("|", "\\|")
