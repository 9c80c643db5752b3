"""Tables as people read them: published scores and quarantined rows, for the command line and notebooks."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.ingestion.completeness_log import logged_table, quarantine_of
from models.contracts import CONTRACTS, DELIVERED_ON, QUARANTINE_SCHEMA
from models.errors import TesseraError, choose_from
from resources.lake.port import Lake


def for_users(rows: pa.Table, day: date) -> pa.Table:
    """Return scores as users read them: the day, keys and payload, and the version that made them."""
    kept = rows.drop_columns(["model_package", "feature_version"])
    return kept.append_column("day", pa.array([day] * rows.num_rows, pa.date32()))


def quarantine_tables(table: str) -> tuple[str, ...]:
    """Return the lake tables with refused rows of a contracted table: of its source, and of events."""
    return quarantine_of(table), quarantine_of(logged_table(table))


def quarantined(lake: Lake, table: str, day: date | None = None) -> pa.Table:
    """Return the table's rows in quarantine that were delivered on a day, or all, the newest delivery first.

    Raises:
        TesseraError: there is no contracted table of that name.
    """
    if table not in CONTRACTS:
        raise TesseraError(
            f"There is no contracted table {table!r}.", expected=choose_from(table, CONTRACTS), todo="Correct the name."
        )
    chosen = None if day is None else pc.field(DELIVERED_ON) == day
    names = [name for name in quarantine_tables(table) if lake.exists(name)]
    parts = [lake.scan(name).to_table(filter=chosen).cast(QUARANTINE_SCHEMA) for name in names]
    rows = pa.concat_tables([QUARANTINE_SCHEMA.empty_table(), *parts])
    return rows.sort_by([(DELIVERED_ON, "descending"), ("original", "ascending")])
