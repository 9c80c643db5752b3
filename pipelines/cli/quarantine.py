"""`tessera quarantine`: rows that broke their contract."""

import re
from collections import Counter

import pyarrow.compute as pc

from models.contracts import CONTRACTS, DELIVERED_ON
from models.errors import TesseraError, choose_from
from pipelines.cli.arguments import known_day
from pipelines.cli.console import listing, out
from resources.lake.port import Lake
from resources.stack.loader import active_stack

_SHOWN = 10


def show(table: str, day_text: str | None) -> None:
    """Prints how many rows of the table (of one day) are in quarantine, by reason, and the first few of them.

    Raises:
        TesseraError: there is no such table.
    """
    if table not in CONTRACTS:
        raise TesseraError(
            f"There is no contracted table {table!r}.", expected=choose_from(table, CONTRACTS), todo="Correct the name."
        )
    stack = active_stack()
    lake: Lake = stack.open("lake")
    name = f"quarantine_{table}"
    if not lake.exists(name):
        out.print(f"Nothing of {table} is in quarantine.")
        return
    chosen = None if day_text is None else pc.field(DELIVERED_ON) == known_day(day_text, stack)
    rows = lake.scan(name).to_table(filter=chosen)
    reasons = Counter(_kind(reason) for row in rows["reasons"].to_pylist() for reason in row)
    out.print(f"{rows.num_rows:,} rows of {table} are in quarantine{f' for {day_text}' if day_text else ''}.")
    for reason, count in reasons.most_common(_SHOWN):
        out.print(f"{count:>9,}  {reason}")
    shown = rows.slice(0, _SHOWN).to_pylist()
    cells = ((row[DELIVERED_ON], "; ".join(row["reasons"]), row["original"]) for row in shown)
    out.print(listing(("delivered_on", "reasons", "original"), cells))


def _kind(reason: str) -> str:
    """The reason without the row's own values, so that like ones count together."""
    without_value = re.sub(r"^(\w+) (?:'[^']*'|\S+) (is not|was|cannot|does not)", r"\1 \2", reason)
    return re.sub(r"(list price) \S+$", r"\1", without_value)
