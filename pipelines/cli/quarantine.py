"""`tessera quarantine`: rows that broke their contract."""

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from models.contracts import CONTRACTS, DELIVERED_ON, QUARANTINE_SCHEMA
from models.errors import TesseraError, choose_from
from pipelines.cli.arguments import known_day
from pipelines.cli.console import counted, listing, out
from pipelines.cli.tables import print_json, write_table
from resources.lake.port import Lake
from resources.stack.loader import active_stack

_SHOWN = 10


def show(table: str, day_text: str | None, file: Path | None = None, *, as_json: bool = False) -> None:
    """Show the table's quarantined rows (of one day), the newest first: reasons with counts, and the first rows.

    With `file` or `as_json`, all of them are written.

    Raises:
        TesseraError: there is no such table, or the file cannot be written.
    """
    if table not in CONTRACTS:
        raise TesseraError(
            f"There is no contracted table {table!r}.", expected=choose_from(table, CONTRACTS), todo="Correct the name."
        )
    stack = active_stack()
    lake: Lake = stack.open("lake")
    rows = _quarantined(lake, table, None if day_text is None else known_day(day_text, stack))
    if file is not None:
        write_table(rows, file)
        out.print(f"{counted(rows.num_rows, 'row')} of {table} in quarantine written to {file}.")
    elif as_json:
        print_json(rows)
    elif not lake.exists(f"quarantine_{table}"):
        out.print(f"Nothing of {table} is in quarantine.")
    else:
        _show(rows, table, day_text)


def _quarantined(lake: Lake, table: str, day: date | None) -> pa.Table:
    """Return the rows of a day, or of all, the newest delivery first; none if nothing was quarantined yet."""
    name = f"quarantine_{table}"
    if not lake.exists(name):
        return QUARANTINE_SCHEMA.empty_table()
    chosen = None if day is None else pc.field(DELIVERED_ON) == day
    rows = lake.scan(name).to_table(filter=chosen)
    return rows.sort_by([(DELIVERED_ON, "descending"), ("original", "ascending")])


def _show(rows: pa.Table, table: str, day_text: str | None) -> None:
    reasons = Counter(_kind(reason) for row in rows["reasons"].to_pylist() for reason in row)
    out.print(f"{rows.num_rows:,} rows of {table} are in quarantine{f' for {day_text}' if day_text else ''}.")
    for reason, count in reasons.most_common(_SHOWN):
        out.print(f"{count:>9,}  {reason}")
    shown = rows.slice(0, _SHOWN).to_pylist()
    cells = ((row[DELIVERED_ON], "; ".join(row["reasons"]), row["original"]) for row in shown)
    out.print(listing(("delivered_on", "reasons", "original"), cells))


def _kind(reason: str) -> str:
    """Return the reason without the row's own values, so that like ones count together."""
    without_value = re.sub(r"^(\w+) (?:'[^']*'|\S+) (is not|was|cannot|does not)", r"\1 \2", reason)
    return re.sub(r"(list price) \S+$", r"\1", without_value)
