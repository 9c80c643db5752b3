"""`tessera models` and `rollback`: versions, the champion, the ledger."""

import getpass

from rich.table import Table

from assets.learning import golden_scores
from models.errors import TesseraError, choose_from
from pipelines.cli.console import out
from pipelines.cli.days import LEARNING_APPS, known_app
from resources.registry.port import Registry
from resources.stack import active_stack

_METRICS = ("auc", "average_precision", "ece")


def models(app: str) -> None:
    """Prints the versions, newest first, and the ledger, newest last."""
    registry: Registry = active_stack().open("registry")
    versions = registry.versions(known_app(app, LEARNING_APPS))
    if not versions:
        out.print(f"{app} has no model yet: `tessera run {app}_nightly` trains one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("version", "champion", "kind", "created", *_METRICS, "gate"):
        table.add_column(name.replace("_", " "))
    for info in versions:
        numbers = [f"{info.metrics[name]:.3f}" if name in info.metrics else "" for name in _METRICS]
        mark = "[green]champion[/]" if info.champion else ""
        table.add_row(
            info.version, mark, info.tags.get("kind", ""), info.created_at[:16], *numbers, info.tags.get("gate", "")
        )
    out.print(table)
    out.print("\n[bold]ledger[/]")
    for entry in registry.ledger(app):
        moved = f"{entry.from_version or '-'} -> {entry.to_version or '-'}"
        out.print(f"{entry.at:%Y-%m-%d %H:%M}  {entry.action:9} {moved:9} {entry.who}: {entry.why}")


def rollback(app: str, to: str | None, why: str) -> None:
    """Puts `to`, or else the champion before the present one, in charge.

    Raises:
        TesseraError: there is no such version, it is in charge already, or it does not score the golden set.
    """
    stack = active_stack()
    registry: Registry = stack.open("registry")
    with registry.lock(known_app(app, LEARNING_APPS)):
        present = registry.champion(app)
        target = to or _before(registry, app)
        known = {info.version: info for info in registry.versions(app)}
        if target not in known:
            raise TesseraError(
                f"{app} has no version {target!r}.", expected=choose_from(target, known), todo="Correct --to."
            )
        if target == present:
            raise TesseraError(
                f"Version {target} is champion already.", expected="another version", todo="See `tessera models`."
            )
        rows = golden_scores(registry.fetch(app, target))
        registry.set_champion(
            app, target, action="rollback", why=why, who=getpass.getuser(), run_id="", metrics={"golden_rows": rows}
        )
    out.print(f"Version {target} is champion (was {present}); its golden set of {rows} rows was scored first.")
    gate = known[target].tags.get("gate", "never judged")
    if gate != "passed":
        out.print(f"[yellow]Note: the gate had not let this version pass ({gate}).[/]")


def _before(registry: Registry, app: str) -> str:
    present = registry.champion(app)
    for entry in reversed(registry.ledger(app)):
        if entry.to_version == present and entry.from_version is not None:
            return entry.from_version
    raise TesseraError(
        f"The ledger of {app} names no champion before {present or 'any'}.",
        expected="an earlier champion",
        todo="Name a version: `tessera rollback churn --to VERSION`; `tessera models churn` lists them.",
    )
