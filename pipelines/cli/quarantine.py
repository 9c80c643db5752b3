"""`tessera quarantine`: rows that broke their contract."""

import re
from collections import Counter
from pathlib import Path

import pyarrow as pa

from assets.stages.reading import quarantine_tables, quarantined
from models.contracts import DELIVERED_ON
from pipelines.cli.arguments import known_day
from pipelines.cli.console import counted, listing, out
from pipelines.cli.tables import print_json, write_table
from resources.stack.loader import active_stack
from resources.stack.ports import Ports

_SHOWN = 10


def show(table: str, day_text: str | None, file: Path | None = None, *, as_json: bool = False) -> None:
    """Show the table's quarantined rows (of one day), the newest first: reasons with counts, and the first rows.

    With `file` or `as_json`, all of them are written.

    Raises:
        TesseraError: there is no such table, or the file cannot be written.
    """
    stack = active_stack()
    lake = Ports(stack).lake
    rows = quarantined(lake, table, None if day_text is None else known_day(day_text, stack))
    if file is not None:
        write_table(rows, file)
        out.print(f"{counted(rows.num_rows, 'row')} of {table} in quarantine written to {file}.")
    elif as_json:
        print_json(rows)
    elif not any(map(lake.exists, quarantine_tables(table))):
        out.print(f"Nothing of {table} is in quarantine.")
    else:
        _show(rows, table, day_text)


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
