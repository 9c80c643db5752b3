"""Every command, its arguments and its help text. What a command does stands in the module it calls."""

import os
from pathlib import Path
from typing import Annotated

import click
import typer
from click.exceptions import Exit

from models.errors import TesseraError
from pipelines.cli.console import err

_Profile = Annotated[str | None, typer.Option("--profile", help="Profile of stack.yaml; default: TESSERA_PROFILE.")]
_Day = Annotated[str | None, typer.Option("--date", help="UTC day, YYYY-MM-DD; default: yesterday.")]
_Verbose = Annotated[bool, typer.Option("--verbose", help="Show every event of Dagster.")]
_App = Annotated[str, typer.Argument(help="An application, e.g. churn.")]


class _Commands(typer.core.TyperGroup):
    """Turns a wrong command or option into the same three-part message as every other mistake."""

    def main(self, *args: object, **kwargs: object) -> object:
        try:
            code = super().main(*args, **kwargs)  # pyright: ignore[reportArgumentType, reportCallIssue]
        except click.exceptions.Abort:
            err.print("Interrupted. Nothing half-done was published; run the same command again to go on.")
            raise SystemExit(130) from None
        except click.ClickException as error:
            raise TesseraError(
                error.format_message(), expected="a command of `tessera --help`", todo="See `tessera --help`."
            ) from None
        except Exit as exit_:
            raise SystemExit(exit_.exit_code) from None
        if isinstance(code, int) and code:
            raise SystemExit(code)
        return code


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _use(profile: str | None) -> None:
    """The profile of this process and of every process it starts."""
    if profile:
        os.environ["TESSERA_PROFILE"] = profile


@app.callback()
def _about() -> None:
    """Tessera: gated, published, monitored nightly batch scores; every part is one line of stack.yaml."""


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="A job, e.g. churn_nightly.")],
    date: _Day = None,
    profile: _Profile = None,
    verbose: _Verbose = False,
) -> None:
    """Run a job for one day and show its card. Exit code 0 only if the day's scores stand published."""
    _use(profile)
    from pipelines.cli import running

    raise SystemExit(running.run(job, date, verbose=verbose))


@app.command()
def backfill(
    job: Annotated[str, typer.Argument(help="A job, e.g. churn_nightly.")],
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last day, YYYY-MM-DD, included.")],
    profile: _Profile = None,
    verbose: _Verbose = False,
) -> None:
    """Run a job for every day of a range, oldest first; days already done give the same rows again."""
    _use(profile)
    from pipelines.cli import running

    raise SystemExit(running.backfill(job, first, last, verbose=verbose))


@app.command()
def scores(
    app: _App,
    date: _Day = None,
    out: Annotated[Path | None, typer.Option("--out", help="A .parquet or .csv file; default: show the top.")] = None,
    profile: _Profile = None,
) -> None:
    """The published scores of a day: one row per customer."""
    _use(profile)
    from pipelines.cli import publications

    publications.scores(app, date, out)


@app.command()
def models(app: _App, profile: _Profile = None) -> None:
    """Model versions, the champion, their metrics, and the ledger of every change."""
    _use(profile)
    from pipelines.cli import registry

    registry.models(app)


@app.command()
def rollback(
    app: _App,
    to: Annotated[str | None, typer.Option("--to", help="A version; default: the champion before this one.")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, kept in the ledger.")] = "rolled back by hand",
    profile: _Profile = None,
) -> None:
    """Put an older version in charge, after it was loaded and scored a golden set."""
    _use(profile)
    from pipelines.cli import registry

    registry.rollback(app, to, why)


@app.command()
def publish(app: _App, date: _Day = None, profile: _Profile = None) -> None:
    """Publish again what was last published for a day and then withdrawn."""
    _use(profile)
    from pipelines.cli import publications

    publications.publish(app, date)


@app.command()
def unpublish(
    app: _App,
    date: _Day = None,
    why: Annotated[str, typer.Option("--why", help="The reason, kept in the history.")] = "withdrawn by hand",
    profile: _Profile = None,
) -> None:
    """Withdraw the published scores of a day; rows and history stay."""
    _use(profile)
    from pipelines.cli import publications

    publications.unpublish(app, date, why)


@app.command()
def features(
    app: _App,
    entities: Annotated[Path, typer.Option("--entities", help="Parquet or CSV: customer_id and event_timestamp.")],
    out: Annotated[Path, typer.Option("--out", help="A .parquet or .csv file.")],
    profile: _Profile = None,
) -> None:
    """Features of each entity as they were known at its timestamp (point-in-time join)."""
    _use(profile)
    from pipelines.cli import joining

    joining.features(app, entities, out)


@app.command()
def quarantine(table: Annotated[str, typer.Argument(help="A table, e.g. orders.")], date: _Day = None,
               profile: _Profile = None) -> None:
    """Rows that broke their contract: how many, why, and what they said."""
    _use(profile)
    from pipelines.cli import quarantined

    quarantined.show(table, date)


@app.command()
def check(profile: _Profile = None) -> None:
    """Ask every part of the profile whether it works: ok, or what is wrong and what to do."""
    _use(profile)
    from pipelines.cli import checking

    raise SystemExit(checking.check())


@app.command()
def dev(
    port: Annotated[int, typer.Option("--port", help="Port of the UI on 127.0.0.1.")] = 3000,
    profile: _Profile = None,
) -> None:
    """Start the Dagster UI and the daemon for this profile's home, on 127.0.0.1."""
    _use(profile)
    from pipelines.cli import serving

    raise SystemExit(serving.dev(port))
