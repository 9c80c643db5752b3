"""`tessera keys`: who may ask the service, and who read a score."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from assets.apps import APPS
from models.errors import TesseraError
from pipelines.cli.arguments import known_app
from pipelines.cli.console import err, listing, literal, out, printable
from pipelines.cli.tables import print_json
from pipelines.gateway.holder import Role
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.reads import ReadLog
from resources.home import writable_home
from resources.stack.loader import active_stack


def create(name: str, role: Role, app: str | None) -> None:
    """Print a new key to stdout; it is shown this once.

    Raises:
        TesseraError: the name is taken, or there is no such application.
    """
    stack = active_stack()
    text = KeyFile(writable_home(stack)).create(name, role, None if app is None else known_app(app, APPS))
    err.print(f"Key {name!r}, role {role}, {app or 'all applications'}. It is shown this once:", markup=False)
    sys.stdout.write(f"{text}\n")


def list_keys(*, as_json: bool) -> None:
    """Show every key, revoked ones too, without what would open anything."""
    keys = KeyFile(active_stack().home).keys().values()
    shown = ("name", "role", "app", "created_at", "revoked_at")
    if as_json:
        print_json([{name: getattr(key, name) for name in shown} for key in keys])
        return
    if not keys:
        out.print("There is no key: `tessera keys create NAME --role viewer` makes one.")
        return
    cells = [(key.name, key.role, key.app or "all", _minute(key.created_at), _minute(key.revoked_at)) for key in keys]
    out.print(listing(("name", "role", "application", "created", "revoked"), cells))


def revoke(name: str) -> None:
    """Close the key.

    Raises:
        TesseraError: there is none of this name.
    """
    KeyFile(writable_home(active_stack())).revoke(name)
    out.print(f"Key {name!r} is revoked; a server that runs refuses it within a second.", markup=False)


def open_without(*, yes: bool) -> None:
    """Remove every key, after asking, so that servers on a loopback address need none.

    Raises:
        TesseraError: there is no terminal to ask at, or the home cannot be written.
    """
    stack = active_stack()
    if not yes:
        _ask(stack.home)
    removed = KeyFile(writable_home(stack)).open()
    out.print(literal(f"{removed} keys are removed. Servers of {stack.home} on loopback answer without a key."))


def _ask(home: Path) -> None:
    if not sys.stdin.isatty():
        raise TesseraError(
            f"Opening {home} to every program of this machine cannot be undone, and there is no terminal to ask at.",
            expected="a yes",
            todo="Pass --yes.",
        )
    click.confirm(f"Remove every key of {printable(str(home))} and open its servers to this machine", abort=True)


def reads(app: str, entity: str, *, as_json: bool) -> None:
    """Show who asked the service about an entity of an application.

    Raises:
        TesseraError: there is no such application, or the service never ran.
    """
    stack, app = active_stack(), known_app(app, APPS)
    if not (stack.home / "service" / "reads").exists():
        raise TesseraError(
            f"The home {stack.home} has no log of reads.",
            expected="a home whose service was asked for a score",
            todo="Run `tessera serve` first, or choose another profile or home.",
        )
    found = list(ReadLog(stack.home).about(app, entity))
    if as_json:
        print_json([{name: value for name, value in line.items() if name != "of"} for line in found])
        return
    out.print(listing(("at", "key", "route", "request", "certificate"), [_cells(line) for line in found]))


def _minute(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def _cells(line: dict[str, str]) -> tuple[str, ...]:
    return line["at"], line["who"], line["path"], line["request_id"], line.get("certificate", "")
