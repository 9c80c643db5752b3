"""Commands for keys of the servers, and for who read a score."""

from typing import Literal

import click

from pipelines.cli.commands.root import APP, JSON, PROFILE, app


@app.group()
def keys() -> None:
    """Create, list and revoke keys of `tessera serve` and `tessera dev`, and show who read a score."""


@keys.command("create")
@PROFILE
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), default="viewer", show_default=True)
@click.option("--app", metavar="APP", help="The only application that it may ask; default: all.")
def create_key(name: str, role: Literal["viewer", "operator", "admin"], app: str | None) -> None:
    """Create a key for NAME and print it, this once; only its digest is stored."""
    from pipelines.cli import keys as command

    command.create(name, role, app)


@keys.command("list")
@PROFILE
@JSON
def list_keys(as_json: bool) -> None:
    """List keys: name, role, application, when created and revoked."""
    from pipelines.cli import keys as command

    command.list_keys(as_json=as_json)


@keys.command("revoke")
@PROFILE
@click.argument("name")
def revoke_key(name: str) -> None:
    """Revoke the key of NAME; a server that runs refuses it within a second."""
    from pipelines.cli import keys as command

    command.revoke(name)


@keys.command("open")
@PROFILE
@click.option("--yes", is_flag=True, help="Do not ask.")
def open_without_keys(yes: bool) -> None:
    """Remove every key: servers on a loopback address serve programs of this machine without one again."""
    from pipelines.cli import keys as command

    command.open_without(yes=yes)


@keys.command("reads")
@PROFILE
@APP
@click.argument("entity")
@JSON
def reads_of(app: str, entity: str, as_json: bool) -> None:
    """Show who asked the service about ENTITY of APP, and when."""
    from pipelines.cli import keys as command

    command.reads(app, entity, as_json=as_json)
