"""Commands for tables: their quarantine, odd days, features, and what is erased."""

from pathlib import Path

import click

from pipelines.cli.commands.root import APP, DATE, JSON, tessera_command


@tessera_command
@click.argument("table")
@click.option("--date", metavar="YYYY-MM-DD", help="UTC day of delivery; default: all days.")
@click.option("--out", type=click.Path(path_type=Path), help="A .parquet or .csv file with all of them.")
@JSON
def quarantine(table: str, date: str | None, out: Path | None, as_json: bool) -> None:
    """List quarantined rows of TABLE, newest first, with their count, reasons and original text."""
    from pipelines.cli import quarantine as quarantined

    quarantined.show(table, date, out, as_json=as_json)


@tessera_command
@click.argument("table")
@DATE
@click.option("--why", metavar="TEXT", help="The reason, kept in the home and shown by the check.")
def accept(table: str, date: str | None, why: str | None) -> None:
    """Let a day of TABLE through that the check `anomalies` stopped; the next run for that day then goes on."""
    from pipelines.cli import accept as accepting

    accepting.accept(table, date, why)


@tessera_command
@APP
@click.option("--entities", type=click.Path(path_type=Path), help="churn: customer_id and event_timestamp.")
@click.option("--from", "first", metavar="YYYY-MM-DD", help="fraud: first day.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="fraud: last day, included.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--online", is_flag=True, help="What is served now; `--entities` needs no event_timestamp then.")
def features(app: str, entities: Path | None, first: str | None, last: str | None, out: Path, online: bool) -> None:
    """Write features of APP: churn by entity, as known at its timestamp; fraud by payment, for a range of days."""
    from pipelines.cli import features as featuring

    featuring.features(app, entities, first, last, out, online=online)


@tessera_command
@click.argument("entity")
@click.argument("id")
@click.option("--why", default="asked to be forgotten", show_default=True, help="Kept in the proof; names no one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--even-if-unknown", is_flag=True, help="Erase an id that no row has yet.")
@click.option("--named-by", metavar="FIELD", multiple=True, help="A field of events that names such entities, too.")
@click.option("--not-named-by", metavar="FIELD", multiple=True, help="A field of events with another meaning.")
def forget(
    entity: str,
    id: str,
    why: str,
    yes: bool,
    even_if_unknown: bool,
    named_by: tuple[str, ...],
    not_named_by: tuple[str, ...],
) -> None:
    """Erase the ENTITY (customer) with this ID everywhere and for good, and write a proof.

    Its rows leave every table, the online store, published scores, events and the stream; a tombstone keeps them out.
    """
    from assets.maintenance.erasure_scope import EventFields
    from pipelines.cli import forget as forgetting

    fields = EventFields(named_by, not_named_by)
    forgetting.forget(entity, id, why, yes=yes, even_if_unknown=even_if_unknown, fields_of_events=fields)
