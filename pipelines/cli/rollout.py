"""`tessera rollout`: another version answers requests beside the champion, as a shadow or with a share of them."""

from __future__ import annotations

import getpass
from dataclasses import asdict

from assets.apps import APPS
from assets.stages.app import App
from assets.stages.open_models import check_served
from assets.stages.promotion import fetched
from assets.stages.rollout import standing_agreement, start_rollout
from assets.stages.score_now import computed_of
from models.errors import TesseraError
from models.rollouts import Agreement, RolloutChange
from pipelines.cli.arguments import known_app
from pipelines.cli.console import listing, literal, out
from pipelines.cli.tables import print_json
from resources.home import writable_home
from resources.rollout_log import RolloutLog
from resources.stack.loader import Stack, active_stack
from resources.stack.ports import Ports


def rollout(app: str, version: str | None, share: float, *, stop: bool, why: str | None, as_json: bool) -> None:
    """Start or end the rollout of an application, or show it.

    Raises:
        TesseraError: there is no such application or version, it may not answer, or the reason is missing.
    """
    stack, app = active_stack(), known_app(app, APPS)
    if stop:
        _stop(stack, app, _reason(why))
    elif version is not None:
        _start(stack, app, version, share, _reason(why))
    elif as_json:
        _print_json(stack, app)
    else:
        _show(stack, app)


def _start(stack: Stack, app: str, version: str, share: float, why: str) -> None:
    ports, record = Ports(stack), next(one for one in APPS if one.name == app)
    registry = ports.registry
    _require_scored_by_entity(record)
    check_served(registry, app, version)
    if version == registry.champion(app):
        raise TesseraError(
            f"Version {version} is the champion of {app}.",
            expected="another version, which answers beside it",
            todo=f"Choose one: `tessera models {app}`.",
        )
    fetched(registry, app, version, computed_of(record, ports, stack.settings))
    change = start_rollout(RolloutLog(writable_home(stack)), app, version, share, who=getpass.getuser(), why=why)
    seconds = stack.settings.service.champion_seconds
    out.print(literal(f"{_sentence(change)} A server that runs follows within {seconds:g} s."))


def _require_scored_by_entity(app: App) -> None:
    able = [one.name for one in APPS if one.operations and any(each.pins for each in one.operations())]
    if app.name not in able:
        raise TesseraError(
            f"Requests of {app.name} are not scored by entity.",
            expected=f"an application whose requests are: {', '.join(able)}",
            todo="Compare its versions by the gate, or by an experiment (docs/experiments.md).",
        )


def _stop(stack: Stack, app: str, why: str) -> None:
    log = RolloutLog(writable_home(stack))
    found = log.standing(app)
    if found is None or log.end(found[0], who=getpass.getuser(), why=why) is None:
        out.print(f"There is no rollout of {app}: the champion answers alone.")
        return
    out.print(literal(f"The rollout of version {found[1].version} of {app} is ended: the champion answers alone."))


def _show(stack: Stack, app: str) -> None:
    log = RolloutLog(stack.home)
    if (found := standing_agreement(log, app)) is not None:
        change, agreed = found
        out.print(literal(_sentence(change)))
        out.print(listing(("measure", "value"), _cells(agreed)))
    changes = log.changes(app)
    if not changes:
        out.print(f"No version of {app} answered beside the champion: `tessera rollout {app} --version V --why ...`.")
        return
    rows = [
        (f"{one.at:%Y-%m-%d %H:%M}", one.action, one.version, f"{one.share:g}", one.who, one.why) for one in changes
    ]
    out.print(listing(("at (UTC)", "action", "version", "share", "who", "why"), rows))


def _print_json(stack: Stack, app: str) -> None:
    log = RolloutLog(stack.home)
    found = standing_agreement(log, app)
    standing = None if found is None else {**asdict(found[0]), "agreement": asdict(found[1])}
    print_json({"standing": standing, "changes": [asdict(one) for one in log.changes(app)]})


def _sentence(change: RolloutChange) -> str:
    shadow = "is a shadow: its answers are compared, and not served"
    how = f"answers {change.share:.1%} of the entities" if change.share else shadow
    return f"Version {change.version} of {change.app} {how}."


def _cells(found: Agreement) -> list[tuple[str, str]]:
    return [
        ("answers of both", f"{found.answers:,}"),
        ("of them served", f"{found.served:,}"),
        ("failed", f"{found.failed:,}"),
        ("rank correlation", f"{found.rank_correlation:.4f}"),
        ("mean difference", f"{found.mean_difference:.4g}"),
        ("largest difference", f"{found.largest_difference:.4g}"),
        ("PSI", f"{found.drift.psi:.4f} (by chance {found.drift.by_chance:.4f})"),
        ("median ms, champion / version", f"{found.champion_ms:.3f} / {found.ms:.3f}"),
    ]


def _reason(why: str | None) -> str:
    if not (why or "").strip():
        raise TesseraError(
            "A rollout is changed without a reason.",
            expected="a sentence that the home keeps",
            todo='Add `--why "..."`.',
        )
    return str(why).strip()
