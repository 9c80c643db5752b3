"""The command `tessera` itself, and the options that its commands share."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

import click

from models.errors import TesseraError


class _Commands(click.Group):
    """Turns a wrong command or option into the same three-part message as every other mistake."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.Abort as abort:
            if isinstance(abort.__cause__, EOFError):  # click takes any for the end of what a user types
                raise _cut_off(abort.__cause__) from None
            raise SystemExit(130) from None
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            raise SystemExit(2) from None
        except click.ClickException as error:
            called = "tessera"
            if isinstance(error, click.UsageError) and error.ctx is not None:
                called = error.ctx.command_path
            raise TesseraError(
                error.format_message(), expected=f"a command as in `{called} --help`", todo=f"See `{called} --help`."
            ) from None
        raise SystemExit(code if isinstance(code, int) else 0)


def _cut_off(error: EOFError) -> TesseraError:
    return TesseraError(
        f"A file ends too early: {error}.",
        expected="files that were written whole; a full disk cuts off what Python compiles, too",
        todo="Make room, delete the folders __pycache__ of this project and of .venv, and run the command again.",
    )


def _use(_context: click.Context, _option: click.Parameter, profile: str | None) -> None:
    """Set the profile of this process and of every process it starts."""
    if profile:
        os.environ["TESSERA_PROFILE"] = profile


PROFILE = click.option(
    "--profile", callback=_use, expose_value=False, is_eager=True, help="Profile of stack.yaml; else TESSERA_PROFILE."
)
DATE = click.option("--date", metavar="YYYY-MM-DD", help="UTC day; default: yesterday.")
VERBOSE = click.option("--verbose", is_flag=True, help="Show every event of Dagster.")
APP = click.argument("app", metavar="APP")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
WHY = click.option("--why", metavar="TEXT", help="The reason, kept in the ledger.")
EVEN_IF_REFUSED = click.option(
    "--even-if-refused", is_flag=True, help="Insist, with --why: every card shows it until the next promotion."
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tessera", message="%(prog)s %(version)s", prog_name="tessera")
def app() -> None:
    """Tessera: gated, published, monitored nightly batch scores; every part is one line of stack.yaml."""


def tessera_command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command of `tessera`, with the option `--profile`."""
    return app.command()(PROFILE(function))
