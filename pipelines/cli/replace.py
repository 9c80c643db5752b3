"""`tessera replace`: gradual replacement of a champion by another version."""

import getpass
from dataclasses import asdict
from datetime import date

from assets.apps import APPS, app_named
from assets.stages.app import App
from assets.stages.replacement import decisions
from assets.stages.replacement.comparing import Compared, compared
from assets.stages.replacement.plan import ReplacementPlan
from assets.stages.replacement.scoring import answered_days
from models.errors import TesseraError, choose_from
from models.replacement.events import ReplacementEvent
from pipelines.cli.arguments import yesterday
from pipelines.cli.console import listing, literal, out
from pipelines.cli.tables import print_json
from resources.stack.loader import active_stack
from resources.stack.ports import Ports


def start(name: str, version: str, segment: str, why: str | None, *, even_if_refused: bool) -> None:
    """Start a replacement in shadow.

    Raises:
        TesseraError: the application has no replacements, the version cannot be phased in, or there is no reason.
    """
    app, _, ports = _opened(name)
    reason = _reason(why)
    _check_segment(app, ports, segment)
    made = decisions.start(
        ports.lake, ports.registry, app.name, version, segment=segment, who=_who(), why=reason, insists=even_if_refused
    )
    whom = f"entities with {segment}" if segment else "all entities"
    out.print(
        f"Version {made.challenger} of {app.name} is in shadow beside version {made.incumbent}, for {whom}: from the "
        f"next night on both score every row, and version {made.incumbent} is published."
    )


def raise_share(name: str, why: str | None, *, even_if_refused: bool) -> None:
    """Raise the share to the next step.

    Raises:
        TesseraError: no replacement runs, the comparison does not pass, or there is no reason.
    """
    app, plan, ports = _opened(name)
    reason = _reason(why)
    found = _compared(app, plan, ports)
    if found is not None:
        _print_checks(found)
    made = decisions.raise_share(
        ports.lake,
        ports.registry,
        app.name,
        plan.config,
        found.checks if found else (),
        who=_who(),
        why=reason,
        insists=even_if_refused,
    )
    out.print(f"From the next night on, version {made.challenger} scores {made.share:.0%} of the entities.")
    if made.share == 1:
        out.print(f"Then make it champion: `tessera promote {app.name} --version {made.challenger}`.")


def kill(name: str, why: str | None) -> None:
    """End the replacement at once.

    Raises:
        TesseraError: no replacement runs, or there is no reason.
    """
    app, _, ports = _opened(name)
    made = decisions.kill(ports.lake, ports.registry, app.name, who=_who(), why=_reason(why))
    out.print(
        f"Version {made.challenger} scores nothing any more: from the next scoring on, version {made.incumbent} scores "
        f"every row. A published day keeps its rows; `tessera run {app.name}_nightly --date DAY` scores it again, and "
        f"`tessera publish {app.name} --date DAY` replaces them."
    )


def show(name: str, *, as_json: bool) -> None:
    """Print the replacement that runs, its comparison, and all decisions.

    Raises:
        TesseraError: the application has no replacements.
    """
    app, plan, ports = _opened(name)
    events, found = decisions.replacement_events(ports.lake, app.name), _compared(app, plan, ports)
    if as_json:
        comparison = found and {**asdict(found.comparison), "checks": [asdict(check) for check in found.checks]}
        running = found and asdict(found.replacement)
        print_json({"running": running, "comparison": comparison, "decisions": [asdict(one) for one in events]})
        return
    if found is None:
        out.print(f"No replacement of {app.name} runs.")
    else:
        _print_checks(found)
    if events:
        columns = ("at", "action", "versions", "share", "segment", "who", "why", "overruled")
        out.print(listing(columns, (_cells(one) for one in events)))


def _opened(name: str) -> tuple[App, ReplacementPlan, Ports]:
    app, stack = app_named(name, APPS), active_stack()
    if app.replacement is None:
        raise _not_replaced(app)
    return app, app.replacement(stack.settings), Ports(stack)


def _not_replaced(app: App) -> TesseraError:
    """Return why the champion of an application is replaced at once, not gradually."""
    names = ", ".join(one.name for one in APPS if one.replacement is not None)
    why = "its model is no model of single rows"
    if app.rehearsal is not None:
        why = "its champion is a composition, which answers in texts or lists, not in scores that can be compared"
    elif app.streams:
        why = (
            "its events are scored, and alerts raised, as they come, and the night has to find the same scores: a "
            "share that changed during the day would be another rule at night"
        )
    return TesseraError(
        f"The champion of {app.name} cannot be replaced gradually: {why}.",
        expected=f"an application that scores entities every night: {names}",
        todo=f"Replace it at once: `tessera promote {app.name} --version VERSION`; `tessera rollback {app.name}` goes "
        "back.",
    )


def _compared(app: App, plan: ReplacementPlan, ports: Ports) -> Compared | None:
    days = answered_days(ports.lake, app.name)
    as_of = max([*days, *(day for day in ports.lake.days("orders") if day <= yesterday())], default=date.min)
    return compared(ports.lake, ports.engine, ports.registry, app.name, plan, as_of)


def _print_checks(found: Compared) -> None:
    running = found.replacement
    where = f" of {running.segment}" if running.segment else ""
    out.print(
        f"Version {running.challenger} scores {running.share:.0%}{where}, version {running.incumbent} the others."
    )
    for check in found.checks:
        out.print(literal(f"  {'passed' if check.passed else 'FAILED':7} {check.name}: {check.says}"))


def _check_segment(app: App, ports: Ports, segment: str) -> None:
    if not segment:
        return
    feature, found, value = segment.partition("=")
    days = ports.lake.days(app.features)
    known = ports.lake.scan(app.features, first=days[-1]).schema.names if days else []
    if not found or not value or feature not in known:
        raise TesseraError(
            f"`--segment` is {segment!r}.",
            expected="FEATURE=VALUE with a feature of the application: " + choose_from(feature, known),
            todo="Correct it, e.g. country=DE.",
        )


def _reason(why: str | None) -> str:
    if not (why or "").strip():
        raise TesseraError(
            "No reason is given.", expected="a sentence that the home keeps with your name", todo='Add `--why "..."`.'
        )
    return str(why).strip()


def _who() -> str:
    return getpass.getuser()


def _cells(one: ReplacementEvent) -> list[object]:
    versions = f"{one.incumbent} -> {one.challenger}"
    return [
        f"{one.at:%Y-%m-%d %H:%M}",
        one.action,
        versions,
        f"{one.share:.0%}",
        one.segment,
        one.who,
        one.why,
        one.overruled,
    ]
