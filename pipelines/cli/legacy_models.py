"""`tessera models import` and `show`: models that were made elsewhere, as versions of an application."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from assets.apps import APPS, app_named
from assets.stages.app import App
from models.errors import TesseraError, choose_from
from pipelines.cli.arguments import known_app, known_day
from pipelines.cli.console import literal, out, working
from pipelines.cli.tables import print_json
from resources.stack.loader import active_stack
from resources.stack.ports import Ports, active_ports


def import_model(
    name: str, model: Path | None, contract: Path, date: str | None, run_in: Path | None, trusted: Sequence[str]
) -> int:
    """Import a model, print the gate's checks, and return the exit code: 0 if it passed.

    Raises:
        TesseraError: the application takes none, the contract, the model or the golden rows are not usable, or there
            are no features to evaluate it on.
    """
    from assets.stages.legacy_models import register_imported
    from resources.legacy_model.golden_rows import check_golden, golden_set
    from resources.legacy_model.importing import open_import

    app, stack = _importing_app(name), active_stack()
    ports = Ports(stack)
    opened = open_import(contract, model, run_in, trusted)
    try:
        with working("golden rows"):
            check_golden(opened)
        out.print(f"{len(opened.golden.scores)} golden rows have their stored scores, each time they are asked.")
        day = known_day(date, stack) if date else _newest(app, ports)
        assert app.training is not None  # noqa: S101 - for the type checker: `_importing_app` asked it
        with working(f"evaluation on rows up to {day}"):
            task = app.training(ports, stack.settings, day)
            with ports.registry.lock(app.name):
                found = register_imported(task, opened.model, golden_set(opened), ports.registry, day)
    finally:
        opened.model.close()
    for check in found.report.checks:
        out.print(literal(f"  {'passed' if check.passed else 'FAILED':7} {check.name}: {check.says}"))
    if found.version is None:
        out.print(literal("The registry took no version: its package does not load.", "red"))
        return 1
    if found.report.passed:
        out.print(literal(f"Version {found.version} of {app.name} passed the gate.", "green"))
        out.print(f"Champion: `tessera promote {app.name} --version {found.version}`.")
        return 0
    stopped = ", ".join(found.report.stopped_by)
    out.print(literal(f"Version {found.version} of {app.name} was stopped by the gate: {stopped}.", "yellow"))
    return 1


def show(name: str, version: str, *, as_json: bool) -> None:
    """Print what the registry knows of a version.

    Raises:
        TesseraError: there is no such version.
    """
    from models.training.manifest import read_manifest

    app, registry = known_app(name, APPS), active_ports().registry
    known = {info.version: info for info in registry.versions(app)}
    if version not in known:
        raise TesseraError(
            f"{app} has no version {version!r}.",
            expected=choose_from(version, known),
            todo=f"See `tessera models {app}`.",
        )
    folder = registry.fetch(app, version)
    manifest = read_manifest(folder, lambda why: _unreadable(folder, why))
    described: dict[str, Any] = {**asdict(known[version]), "sha256": manifest.get("sha256", "")}
    if manifest.get("kind") == "imported":
        described["contract"] = manifest["model"]["contract"]
    if as_json:
        print_json(described)
        return
    for line in yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=120).splitlines():
        out.print(line)  # a text is one line to the console, which shows line feeds in it


def _importing_app(name: str) -> App:
    app = app_named(name, APPS)
    if app.training is None:
        takes = ", ".join(one.name for one in APPS if one.training is not None)
        raise TesseraError(
            f"{app.name} takes no model that was made elsewhere.",
            expected=f"one of {takes}",
            todo="Choose another one.",
        )
    return app


def _newest(app: App, ports: Ports) -> Any:
    days = ports.lake.days(app.features)
    if not days:
        raise TesseraError(
            f"There are no features of {app.name} to evaluate a model on.",
            expected="a home that holds some history",
            todo=f"Run `tessera run {app.name}_nightly` first.",
        )
    return days[-1]


def _unreadable(folder: Path, why: str) -> TesseraError:
    return TesseraError(f"The package {folder} cannot be shown: {why}.", expected="a package", todo="Fetch it anew.")
