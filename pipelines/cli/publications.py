"""`tessera scores`, `publish` and `unpublish`: what stands published for a day."""

import getpass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

from models.errors import TesseraError
from models.publishing import Publication, last_set
from pipelines.cli.console import listing, out
from pipelines.cli.days import known_app, known_day
from pipelines.cli.tables import write_table
from resources.sink.port import Sink
from resources.stack import active_stack

_SHOWN = 10


def scores(app: str, day_text: str | None, file: Path | None) -> None:
    """Writes the published scores to `file`, or shows the highest ones.

    Raises:
        TesseraError: nothing is published for that day, or the file cannot be written.
    """
    stack = active_stack()
    day = known_day(day_text, stack)
    sink: Sink = stack.open("sink")
    publication, reader = sink.scores(known_app(app), day)
    rows = for_users(reader.read_all())
    if file is None:
        _show(rows, publication)
        return
    write_table(rows, file)
    out.print(f"{rows.num_rows:,} scores of {day} written to {file} (model version {publication.model_version}).")


def for_users(rows: pa.Table) -> pa.Table:
    """Scores as users read them: one row per `customer_id`."""
    names = ["customer_id" if name == "entity_id" else name for name in rows.column_names]
    return rows.rename_columns(names).select(["customer_id", "score", "decision", "reasons", "model_version"])


def publish(app: str, day_text: str | None) -> None:
    """Moves the pointer of the day back to what it last named.

    Raises:
        TesseraError: nothing was ever published for that day.
    """
    stack = active_stack()
    day = known_day(day_text, stack)
    sink: Sink = stack.open("sink")
    standing = sink.published(known_app(app), day)
    if standing is not None:
        out.print(f"{day} is published already: {standing.rows:,} rows of model version {standing.model_version}.")
        return
    earlier, _ = last_set(sink.history(app, day))
    if earlier is None:
        raise _nothing(app, day)
    again = {"published_at": datetime.now(UTC), "who": getpass.getuser(), "why": "published again by hand"}
    publication = sink.publish(earlier.model_copy(update=again))
    out.print(f"{day} is published: {publication.rows:,} rows of model version {publication.model_version}.")


def unpublish(app: str, day_text: str | None, why: str) -> None:
    """Withdraws the day.

    Raises:
        TesseraError: nothing is published for that day.
    """
    stack = active_stack()
    day = known_day(day_text, stack)
    sink: Sink = stack.open("sink")
    if sink.unpublish(known_app(app), day, why=why, who=getpass.getuser()) is None:
        raise _nothing(app, day)
    out.print(f"{day} is withdrawn; `tessera publish {app} --date {day}` brings it back.")


def _nothing(app: str, day: date) -> TesseraError:
    return TesseraError(
        f"No scores of {app} are published for {day}.",
        expected="a day whose nightly job has published",
        todo=f"Run `tessera run {app}_nightly --date {day}`.",
    )


def _show(rows: pa.Table, publication: Publication) -> None:
    top = rows.sort_by([("score", "descending"), ("customer_id", "ascending")]).slice(0, _SHOWN)
    cells = (
        (row["customer_id"], f"{row['score']:.3f}", row["decision"], "; ".join(row["reasons"] or []))
        for row in top.to_pylist()
    )
    out.print(f"{publication.app} {publication.day}: {publication.rows:,} scores, {publication.degradation}")
    out.print(listing(("customer_id", "score", "decision", "reasons"), cells))
