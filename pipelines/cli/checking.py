"""`tessera check`: does every part of the profile answer?"""

from collections.abc import Callable

from rich.text import Text

from models.errors import TesseraError
from pipelines.cli.console import listing, literal, out
from resources.health import Health
from resources.home import writable_home
from resources.stack import ADAPTERS, Stack, active_stack


def check() -> int:
    """Prints a line for each part; 0 if all are well, else 1."""
    stack = active_stack()
    answers = {"home": _asked(lambda: Health(True, str(writable_home(stack))))}
    answers |= {port: _asked(lambda port=port: stack.open(port).check()) for port in ADAPTERS}
    cells = ((_titled(part, stack), _mark(health), health.says, health.todo) for part, health in answers.items())
    out.print(f"profile {stack.name}")
    out.print(listing(("part", "", "says", "do this"), cells))
    return 0 if all(health.ok for health in answers.values()) else 1


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
