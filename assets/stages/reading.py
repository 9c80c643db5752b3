"""Tables as people read them: published scores and quarantined rows, for the command line and notebooks."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from models.contracts import CONTRACTS, DELIVERED_ON, QUARANTINE_SCHEMA
from models.errors import TesseraError, choose_from
from resources.lake.port import Lake


def for_users(rows: pa.Table, day: date) -> pa.Table:
    """Return scores as users read them: the day, keys and payload, and the version that made them."""
    kept = rows.drop_columns(["model_package", "feature_version"])
    return kept.append_column("day", pa.array([day] * rows.num_rows, pa.date32()))


def quarantined(lake: Lake, table: str, day: date | None = None) -> pa.Table:
    """Return the table's rows in quarantine that were delivered on a day, or all, the newest delivery first.

    Raises:
        TesseraError: there is no contracted table of that name.
    """
    if table not in CONTRACTS:
        raise TesseraError(
            f"There is no contracted table {table!r}.", expected=choose_from(table, CONTRACTS), todo="Correct the name."
        )
    name = f"quarantine_{table}"
    if not lake.exists(name):
        return QUARANTINE_SCHEMA.empty_table()
    chosen = None if day is None else pc.field(DELIVERED_ON) == day
    rows = lake.scan(name).to_table(filter=chosen)
    return rows.sort_by([(DELIVERED_ON, "descending"), ("original", "ascending")])
