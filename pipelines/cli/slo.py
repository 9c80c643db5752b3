"""`tessera slo`: objectives of each application, what was measured, and the error budget that is left."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from assets.apps import APPS
from assets.stages.app import App
from models.objectives import Promise
from pipelines.cli.arguments import known_app
from pipelines.cli.console import listing, literal, out
from pipelines.cli.tables import print_json
from pipelines.objectives import AppObjectives, measured
from pipelines.overdue import deadline_of
from pipelines.status import night_of
from resources.layout import check_existing
from resources.stack.loader import active_stack
from resources.stack.ports import Ports
from resources.traces.port import traces_of_home


def slo(app: str | None, *, as_json: bool) -> int:
    """Print the objectives; 1 if one of them is not met.

    Raises:
        TesseraError: there is no such application, or no home.
    """
    stack = active_stack()
    check_existing(stack.home)
    names = [known_app(app, APPS)] if app else list(stack.apps)
    found = [_measured(Ports(stack), one) for one in APPS if one.name in names]
    if as_json:
        print_json([_json(one) for one in found])
    else:
        out.print(listing(("application", "owner", "objective", "promised", "measured", "budget left"), _rows(found)))
        out.print(literal("Over the days of `settings.<app>.objectives`; requests as far as spans are kept."))
    return int(any(not promise.is_kept for one in found for promise in one.promises))


def _measured(ports: Ports, app: App) -> AppObjectives:
    from pipelines.definitions import build_definitions

    stack = ports.stack
    night = night_of(app, build_definitions(stack)) if app.publishes else None
    deadline = deadline_of(app, stack, night) if night is not None else None
    traces = traces_of_home(stack.home, stack.settings.traces)
    return measured(stack.settings, app.name, ports.sink, traces, deadline, datetime.now(UTC))


def _rows(found: list[AppObjectives]) -> list[tuple[str, ...]]:
    return [(one.app, one.owner, promise.name, *_cells(promise)) for one in found for promise in one.promises]


def _cells(promise: Promise) -> tuple[str, str, str]:
    share, left = promise.share, promise.budget_left
    if share is None or left is None:
        return f"{promise.promised:.1%}", "nothing yet", ""
    return f"{promise.promised:.1%}", f"{share:.2%} of {promise.counted:,.0f}", f"{left:.0%}"


def _json(one: AppObjectives) -> dict[str, object]:
    promises = [
        {**asdict(each), "share": each.share, "budget_left": each.budget_left, "is_kept": each.is_kept}
        for each in one.promises
    ]
    return {"app": one.app, "owner": one.owner, "days": one.days, "promises": promises}
