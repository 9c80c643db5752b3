"""`tessera new APP --task binary|regression`: the skeleton of an application, with tests that pass unchanged."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from models.errors import TesseraError
from pipelines.cli.console import out
from pipelines.cli.skeleton.names import check_name
from pipelines.cli.skeleton.rendering import APPS, SETTINGS, TaskKind, changed_files, new_files
from pipelines.cli.skeleton.writing import alone, write_all
from resources.stack.loader import ROOT


def new(app: str, task: TaskKind, *, dry_run: bool) -> None:
    """Write the application's files, the lines in files that name all applications, and the generated pages.

    Raises:
        TesseraError: no such name, it is taken, or there is no clone of the project to write into.
    """
    clone = clone_of(Path.cwd())
    with alone(clone):
        _check_new(app, clone)
        files = new_files(app, task)
        unfinished = _unfinished(files, clone)
        if not unfinished:
            check_name(app, clone)
        changed = changed_files(app, task, clone)
        if not dry_run:
            pages = {f"docs/{file.name}": file.read_bytes() for file in sorted((clone / "docs").glob("*.md"))}
            write_all(clone, files | changed, lambda: _write_pages(clone), pages)
    _show(app, clone, files, dry_run=dry_run)


def clone_of(folder: Path) -> Path:
    """Return the clone of the project that holds the folder; else the one that this program runs from.

    Raises:
        TesseraError: the program was installed from a package, and the folder is not inside a clone.
    """
    for found in (folder, *folder.parents, ROOT):
        if all((found / path).is_file() for path in ("pyproject.toml", APPS, SETTINGS)):
            return found
    raise TesseraError(
        f"{str(folder)!r} is not inside a clone of the project, and this Tessera was installed from a package.",
        expected="a clone: an application is written into its folders assets, models, pipelines and tests",
        todo="Clone the project, run `make setup` in it, and call its .venv/bin/tessera.",
    )


def _check_new(app: str, clone: Path) -> None:
    if f"from assets.{app}.app import" in (clone / APPS).read_text(encoding="utf-8"):
        raise TesseraError(
            f"There is an application {app!r} already.",
            expected="a new name",
            todo=f"Change it in assets/{app}, or choose another name.",
        )


def _unfinished(files: dict[str, str], clone: Path) -> bool:
    """Return true if a killed run wrote some of these files: those that exist are as they would be written."""
    found = [path for path in files if (clone / path).exists()]
    return bool(found) and all((clone / path).read_text(encoding="utf-8") == files[path] for path in found)


def _write_pages(clone: Path) -> None:
    """Write the generated pages of the clone anew, in a process that imports the new application.

    Raises:
        TesseraError: the definitions cannot be loaded with it.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TESSERA_", "PYTHONPATH"))}
    command = [sys.executable, "-m", "pipelines.docs"]
    done = subprocess.run(  # noqa: S603 - this Python, and a module of the clone
        command, cwd=clone, env={**environment, "PYTHONPATH": str(clone)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        says = (done.stderr.strip() or "no message").splitlines()[-1]
        raise TesseraError(
            f"The project cannot be loaded with the new application: {says}.",
            expected="a project that loads",
            todo="Nothing was written. See `.venv/bin/python -m pipelines.docs`, correct that, and run this again.",
        )


def _show(app: str, clone: Path, files: Iterable[str], *, dry_run: bool) -> None:
    out.print(f"{'Would write' if dry_run else 'Wrote'} the application {app} into {clone}:")
    for path in files:
        out.print(f"  {path}")
    out.print(f"  {APPS} (one entry), {SETTINGS} (its settings), the generated pages of docs/")
    if not dry_run:
        out.print(f"next  .venv/bin/pytest tests/apps/{app}")
        out.print(f"then  .venv/bin/tessera run {app}_nightly")
