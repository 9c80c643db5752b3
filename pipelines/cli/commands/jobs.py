"""Commands that launch jobs, begin with tables of your own, and write the skeleton of an application."""

from pathlib import Path
from typing import Any, Literal

import click

from pipelines.cli.commands.root import APP, DATE, JSON, VERBOSE, app, tessera_command


@tessera_command
@click.argument("job")
@DATE
@click.option("--reingest", metavar="TABLE", multiple=True, help="Drop TABLE and what is made of it; ingest it anew.")
@VERBOSE
def run(job: str, date: str | None, reingest: tuple[str, ...], verbose: bool) -> None:
    """Run a JOB (churn_nightly, ...) for one day and show its card.

    The exit code is 0 only if the job did what it is for: for churn_nightly, the day's scores are published.
    """
    from pipelines.cli import run as running

    raise SystemExit(running.run(job, date, verbose=verbose, reingest=reingest))


@tessera_command
@click.argument("job")
@click.option("--from", "first", required=True, metavar="YYYY-MM-DD", help="First day.")
@click.option("--to", "last", required=True, metavar="YYYY-MM-DD", help="Last day, included.")
@VERBOSE
def backfill(job: str, first: str, last: str, verbose: bool) -> None:
    """Run a JOB for every day of a range, oldest first; days already done give the same rows again."""
    from pipelines.cli import run as running

    raise SystemExit(running.backfill(job, first, last, verbose=verbose))


@app.command()
@click.argument("table")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="PROFILE", help="Name of the profile; default: that of the file.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="CONTRACT=NAME",
    help="Name of the file's column for a column of the contract.",
)
@click.option("--currency", metavar="CODE", help="ISO 4217 code, where the file names no currency.")
@click.option(
    "--dates", type=click.Choice(["day-first", "month-first"]), help="Order of day and month, where both would fit."
)
@click.option("--replace", is_flag=True, help="Write the profile anew if there is one of that name.")
def init(table: str, file: Path, replace: bool, **wishes: Any) -> None:
    """Write a profile that reads your own orders from FILE. TABLE is `orders`."""
    from pipelines.cli import init as command

    command.init(table, file, command.Wishes(replace=replace, **wishes))


@app.command()
@APP
@click.option("--task", type=click.Choice(["binary", "regression"]), required=True, help="Kind of prediction.")
@click.option("--dry-run", is_flag=True, help="List what would be written.")
def new(app: str, task: Literal["binary", "regression"], dry_run: bool) -> None:
    """Write the skeleton of an application APP into this clone, with tests that pass before a line is changed."""
    from pipelines.cli import new as command

    command.new(app, task, dry_run=dry_run)


@tessera_command
@JSON
def check(as_json: bool) -> None:
    """Check every part of the profile; print ok, or the fault and its remedy."""
    from pipelines.cli import check as checking

    raise SystemExit(checking.check(as_json=as_json))
