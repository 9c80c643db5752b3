"""`tessera check`: does every part of the profile answer?"""

from collections.abc import Callable

from rich.table import Table

from models.errors import TesseraError
from pipelines.cli.console import out
from resources.health import Health
from resources.home import writable_home
from resources.stack import ADAPTERS, Stack, active_stack


def check() -> int:
    """Prints a line for each part; 0 if all are well, else 1."""
    stack = active_stack()
    answers = {"home": _asked(lambda: Health(True, str(writable_home(stack))))}
    answers |= {port: _asked(lambda port=port: stack.open(port).check()) for port in ADAPTERS}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("part", "", "says", "do this"):
        table.add_column(column, overflow="fold")
    for part, health in answers.items():
        mark = "[green]ok[/]" if health.ok else "[red]wrong[/]"
        table.add_row(_titled(part, stack), mark, health.says, health.todo)
    out.print(f"profile [bold]{stack.name}[/]")
    out.print(table)
    return 0 if all(health.ok for health in answers.values()) else 1


def _titled(part: str, stack: Stack) -> str:
    return part if part == "home" else f"{part}: {stack.kind(part)}"


def _asked(question: Callable[[], Health]) -> Health:
    """A part that cannot even be opened is not well either."""
    try:
        return question()
    except TesseraError as error:
        return Health(False, error.what, error.todo)
