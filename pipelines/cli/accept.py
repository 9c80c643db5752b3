"""`tessera accept`: a blocked day of a table is let through, with a reason that is kept."""

import getpass

from assets.apps import APPS
from assets.stages.watch.acceptance import let_through
from models.contracts import CONTRACTS
from models.errors import TesseraError, choose_from
from pipelines.cli.arguments import known_day
from pipelines.cli.console import counted, literal, out
from pipelines.cli.hints import runnable
from resources.stack.loader import active_stack
from resources.stack.ports import Ports


def accept(table: str, day_text: str | None, why: str | None) -> None:
    """Let the findings through that block a day of a table, and show them.

    Raises:
        TesseraError: there is no such table, no reason, or nothing that blocks the day.
    """
    stack = active_stack()
    if table not in CONTRACTS:
        raise TesseraError(
            f"There is no contract for a table {table!r}.", expected=choose_from(table, CONTRACTS), todo="Name one."
        )
    if not (why or "").strip():
        raise TesseraError(
            "A day is let through without a reason.",
            expected="a sentence that the home keeps and the check shows",
            todo='Add `--why "..."`.',
        )
    day = known_day(day_text, stack)
    found = let_through(Ports(stack).lake, table, day, who=getpass.getuser(), why=str(why).strip())
    out.print(f"{counted(len(found), 'finding')} of {table} on {day} let through:")
    for finding in found:
        out.print(literal(f"  {finding.sentence}"))
    jobs = " and ".join(f"`tessera run {app.name}_nightly --date {day}`" for app in APPS if table in app.made_from)
    out.print(runnable(f"The next run for {day} goes on: {jobs}." if jobs else f"The next run for {day} goes on."))
