"""`tessera check`: does every part of the profile answer?"""

from collections.abc import Callable

from rich.text import Text

from models.errors import TesseraError
from pipelines.cli.console import err, listing, literal, out
from pipelines.cli.sampled import sampled
from resources.health import Health
from resources.home import writable_home
from resources.source.port import Source
from resources.stack.loader import ADAPTERS, Stack, active_stack


def check() -> int:
    """Prints a line for each part; 0 if all are well, else 1."""
    stack = active_stack()
    answers = {"home": _asked(lambda: Health(True, str(writable_home(stack))))}
    answers |= {port: _asked(lambda port=port: stack.open(port).check()) for port in ADAPTERS}
    cells = ((_titled(part, stack), _mark(health), health.says, health.todo) for part, health in answers.items())
    out.print(f"profile {stack.name}")
    out.print(listing(("part", "", "says", "do this"), cells))
    well = all(health.ok for health in answers.values())
    return 0 if (not answers["source"].ok or _rows_are_well(stack)) and well else 1


def _rows_are_well(stack: Stack) -> bool:
    """Print a sample of each table through its contract; False if a night would stop for its quarantine."""
    source: Source = stack.open("source")
    limit, well = stack.settings.ingestion.max_quarantined_share, True
    for table in sorted(source.tables()):
        try:
            found = sampled(table, source)
        except TesseraError as error:
            err.print(f"{table}: {error.what} {error.todo}")
            well = False
            continue
        for line in found.lines():
            out.print(line)
        if found.share > limit:
            out.print(f"  too many: a night stops above {limit:.1%} (settings.ingestion.max_quarantined_share)")
            well = False
    return well


def _mark(health: Health) -> Text:
    return literal("ok", "green") if health.ok else literal("wrong", "red")


def _titled(part: str, stack: Stack) -> str:
    return part if part == "home" else f"{part}: {stack.kind(part)}"


def _asked(question: Callable[[], Health]) -> Health:
    """A part that cannot even be opened is not well either."""
    try:
        return question()
    except TesseraError as error:
        return Health(False, error.what, error.todo)
