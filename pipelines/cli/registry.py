"""`tessera models`, `rollback` and `promote`: versions, the champion, the ledger."""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assets.apps import APPS, app_named
from assets.stages.champion_result import last_verdict
from assets.stages.promotion import make_champion
from models.errors import TesseraError, choose_from
from models.ledger import PASSED, Action, champion_before, passed_by_hand
from pipelines.cli.arguments import known_app
from pipelines.cli.console import listing, literal, out
from pipelines.cli.hints import runnable
from pipelines.cli.tables import print_json
from resources.registry.port import Registry, VersionInfo
from resources.stack.ports import active_ports

#: Metrics of versions, of whatever kind of prediction; those that no version has are left out.
_METRICS = (
    "auc",
    "average_precision",
    "ece",
    "mae",
    "d2_absolute_error",
    "coverage",
    "accuracy",
    "out_of_scope_recall",
)


def models(app: str, *, as_json: bool = False) -> None:
    """Print the versions, newest first, and the ledger, newest last."""
    registry = active_ports().registry
    versions = registry.versions(known_app(app, APPS))
    verdict, sentence = last_verdict(registry, app)
    if as_json:
        ledger = [entry.model_dump(mode="json") for entry in registry.ledger(app)]
        last = verdict and {**verdict.model_dump(mode="json"), "passed_checks": verdict.passed_checks}
        print_json({"versions": [*map(asdict, versions)], "ledger": ledger, "last_verdict": last})
        return
    if sentence:
        out.print(literal(f"last gate verdict: {sentence}", "" if verdict and verdict.passed else "yellow"))
        out.print()
    if not versions:
        out.print(runnable(f"{app} has no model yet: `tessera run {app}_nightly` trains one."))
        return
    metrics = [name for name in _METRICS if any(name in info.metrics for info in versions)]
    columns = ("version", "champion", "kind", "refit of", "created", *metrics, "gate")
    out.print(listing((name.replace("_", " ") for name in columns), (_cells(info, metrics) for info in versions)))
    out.print()
    _print_children(registry, app, versions)
    ledger = registry.ledger(app)
    if overruled := passed_by_hand(ledger):
        out.print(literal(f"champion: {overruled}", "yellow"))
        out.print()
    out.print(literal("ledger", "bold"))
    for entry in ledger:
        moved = f"{entry.from_version or '-'} -> {entry.to_version or '-'}"
        moved += f" (refit of {entry.judged})" if entry.judged else ""
        says = entry.why + (f" (although {entry.refusal})" if entry.refusal else "")
        out.print(f"{entry.at:%Y-%m-%d %H:%M}  {entry.action:9} {moved:9} {entry.who}: {says}")


def _print_children(registry: Registry, app: str, versions: Sequence[VersionInfo]) -> None:
    """Print a line per model that the champion is made of."""
    champion = registry.champion(app)
    found = next((info.tags.get("children", "") for info in versions if info.version == champion), "")
    if found:
        out.print(literal(f"children of version {champion}", "bold"))
        for line in found.splitlines():
            out.print(literal(f"  {line}"))
        out.print()


def rollback(app: str, to: str | None, why: str | None, *, even_if_refused: bool) -> None:
    """Promote `to`, or else the last champion before the present one that the gate let pass.

    Raises:
        TesseraError: there is no such version, it is the champion already, it does not score the golden set, it never
            was champion, or the gate stopped it and `--even-if-refused` is not given.
    """
    registry = active_ports().registry
    with registry.lock(known_app(app, APPS)):
        target = to or _before(registry, app)
        _make_champion(registry, app, target, "rollback", why or "rolled back by hand", even_if_refused, given=why)


def promote(app: str, version: str, why: str | None, *, even_if_refused: bool) -> None:
    """Promote `version`, which passed the gate, or which a person passes with a reason.

    Raises:
        TesseraError: there is no such version, it is the champion already, its golden set scores otherwise, or the gate
            did not let it pass and `--even-if-refused` is not given.
    """
    registry = active_ports().registry
    with registry.lock(known_app(app, APPS)):
        _make_champion(registry, app, version, "promote", why or "promoted by hand", even_if_refused, given=why)


def _make_champion(
    registry: Registry, app: str, target: str, action: Action, why: str, insists: bool, *, given: str | None
) -> None:
    present = registry.champion(app)
    known = {info.version: info for info in registry.versions(app)}
    if target not in known:
        raise TesseraError(
            f"{app} has no version {target!r}.",
            expected=choose_from(target, known),
            todo=f"Correct it; `tessera models {app}` lists the versions.",
        )
    if target == present:
        raise TesseraError(
            f"Version {target} is champion already.", expected="another version", todo=f"See `tessera models {app}`."
        )
    _check_reason(insists, given)
    entry, verified = make_champion(
        registry,
        app,
        target,
        action=action,
        why=why,
        who=getpass.getuser(),
        run_id="",
        metrics={},
        even_if_refused=insists,
        resources=_rehearsal(app),
    )
    rows = verified.golden_rows
    out.print(f"Version {target} is champion (was {present}); its golden set of {rows} rows was scored first.")
    if entry.refusal:
        out.print(literal(f"Note: {entry.refusal}. Every card says so until the next promotion.", "yellow"))


def _rehearsal(app: str) -> Mapping[str, Any] | None:
    """Return what the parts of a composition need to answer golden records; None if the models are none."""
    found = app_named(app).rehearsal
    return found(active_ports()) if found else None


def _cells(info: VersionInfo, metrics: Sequence[str]) -> list[object]:
    numbers = [f"{info.metrics[name]:.3f}" if name in info.metrics else "" for name in metrics]
    mark = literal("champion" if info.champion else "", "green")
    kind, refit_of, gate = (info.tags.get(name, "") for name in ("kind", "refit_of", "gate"))
    return [info.version, mark, kind, refit_of, info.created_at[:16], *numbers, gate]


def _check_reason(insists: bool, given: str | None) -> None:
    if insists and not (given or "").strip():
        raise TesseraError(
            "`--even-if-refused` is given without a reason.",
            expected="a sentence that the ledger keeps and every card shows",
            todo='Add `--why "..."`.',
        )


def _before(registry: Registry, app: str) -> str:
    versions = registry.versions(app)
    before = champion_before(
        registry.ledger(app), {info.version for info in versions if info.tags.get("gate") == PASSED}
    )
    if before is None:
        raise TesseraError(
            f"The ledger of {app} names no champion before {registry.champion(app) or 'any'} that the gate let pass.",
            expected="an earlier champion that passed the gate",
            todo=f"Name a version: `tessera rollback {app} --to VERSION`; `tessera models {app}` lists them.",
        )
    return before
