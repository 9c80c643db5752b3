"""Commands for what was published: scores and their trace, costs, recommendations, answers, experiments."""

from pathlib import Path
from typing import Literal

import click

from pipelines.cli.commands.root import APP, DATE, JSON, VERBOSE, WHY, tessera_command


@tessera_command
@APP
@DATE
@click.option("--out", type=click.Path(path_type=Path), help="A .parquet or .csv file; default: show the highest.")
@JSON
def scores(app: str, date: str | None, out: Path | None, as_json: bool) -> None:
    """Show the published scores of APP for a day: one row per entity; all of them with --out or --json."""
    from pipelines.cli import publications

    publications.scores(app, date, out, as_json=as_json)


@tessera_command
@click.argument("app", metavar="ID|APP")
@click.argument("entity", metavar="[ENTITY]", required=False)
@DATE
@JSON
def trace(app: str, entity: str | None, date: str | None, as_json: bool) -> None:
    """Show the spans of a request, run or trace by its ID; or where the score of an ENTITY of APP comes from.

    With ENTITY: which model, features, inputs and run made its score, and who published it.
    """
    from pipelines.cli import spans
    from pipelines.cli import trace as tracing

    if entity is None:
        spans.show(app, as_json=as_json)
    else:
        tracing.trace(app, entity, date, as_json=as_json)


@tessera_command
@APP
@DATE
@WHY
@click.option("--even-if-refused", is_flag=True, help="Publish a set whose only fault is a shift of the scores.")
def publish(app: str, date: str | None, why: str | None, even_if_refused: bool) -> None:
    """Publish the waiting audited scores of APP for a day, or those that were last withdrawn.

    A published day keeps its scores when another champion scores it again; the new ones wait for this command.

    What the audit blocked is refused. If it blocked nothing but a shift against earlier scores, and the shift is real,
    --even-if-refused and --why publish it: the record keeps both, and `tessera scores` shows them.
    """
    from pipelines.cli import publications

    publications.publish(app, date, why, even_if_refused=even_if_refused)


@tessera_command
@APP
@DATE
@click.option("--why", default="withdrawn by hand", show_default=True, help="Kept in the history.")
def unpublish(app: str, date: str | None, why: str) -> None:
    """Withdraw the published scores of a day of APP; rows and history stay."""
    from pipelines.cli import publications

    publications.unpublish(app, date, why)


@tessera_command
@click.option("--from", "first", metavar="YYYY-MM-DD", help="First day (UTC); default: 29 days before the last.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="Last day, included; default: today.")
@click.option("--by", type=click.Choice(["day", "app", "run", "model"]), default="day", show_default=True)
@JSON
def costs(first: str | None, last: str | None, by: Literal["day", "app", "run", "model"], as_json: bool) -> None:
    """Show what calls to paid models cost: language models and embedders of other machines."""
    from pipelines.cli import costs as command

    command.costs(first, last, by, as_json=as_json)


@tessera_command
@click.argument("customer", metavar="CUSTOMER")
@click.option("--session", metavar="FILE", help="Events of this visit, the oldest first: JSON, one per line or a list.")
@JSON
def recommend(customer: str, session: str | None, as_json: bool) -> None:
    """Recommend products to CUSTOMER, by the same composition as at night, as of the day that was published last.

    Events of this visit change the list. A part that fails or is late is named, and the popular list stands in.
    """
    from pipelines.cli import recommend as recommending

    recommending.recommend(customer, session, as_json=as_json)


@tessera_command
@click.argument("text", required=False)
@click.option("--ticket", metavar="ID", help="Show what `tessera stream support` answered to this ticket.")
@click.option("--customer", metavar="ID", help="Who asks; default: a guest.")
@click.option("--order", metavar="ID", help="The order that it is about.")
@click.option("--at", metavar="MOMENT", help="When it was asked, UTC (2026-03-01T12:30:00); default: now.")
@JSON
def ask(
    text: str | None, ticket: str | None, customer: str | None, order: str | None, at: str | None, as_json: bool
) -> None:
    """Triage TEXT, a customer's message, by the same composition as at night.

    Prints intent, articles, the answer or the hand-off with its reasons, cost, and milliseconds per step.
    """
    from pipelines.cli import ask as asking

    if ticket is not None:
        asking.show_stored(ticket, text or customer or order or at, as_json=as_json)
        return
    asking.ask(text or "", customer, order, at, as_json=as_json)


@tessera_command
@click.argument("name", required=False)
@click.option("--date", metavar="YYYY-MM-DD", help="UTC day; default: the newest one.")
@click.option("--evaluate", is_flag=True, help="Evaluate first, by exposures and outcomes that are ingested.")
@click.option("--resume", metavar="VARIANT", help="Show a variant of NAME again that a guardrail stopped.")
@click.option("--why", metavar="TEXT", help="Reason for --resume; it is kept.")
@VERBOSE
@JSON
def experiments(
    name: str | None,
    date: str | None,
    evaluate: bool,
    resume: str | None,
    why: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """List experiments with units, effect and verdict as of the newest day or DATE; NAME shows one in detail."""
    from pipelines.cli import experiments as command

    if resume is not None:
        command.resume(name, resume, why)
        return
    command.experiments(name, date, evaluate=evaluate, as_json=as_json, verbose=verbose)
