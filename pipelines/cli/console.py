"""The terminal: one console for results, one for everything that is not a result."""

import os
import sys

from rich.console import Console

from models.errors import TesseraError

#: A pipe or a log file has no width of its own; rich would take 80 columns and fold what a person then reads.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140
#: Results: what a command was asked for; safe to pipe.
out = Console(highlight=False, soft_wrap=True, width=_WIDTH)
#: Progress, notes and complaints.
err = Console(stderr=True, highlight=False, soft_wrap=True)


def counted(number: int, what: str) -> str:
    """So many of `what`: `1 alert`, `2,000 alerts`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def complain(error: TesseraError) -> None:
    """Prints what was wrong, what was expected and what to do: one line each, also if a library said it in several."""
    err.print(f"[bold red]Stopped:[/] {_plain(error.what)}")
    err.print(f"[bold]Expected:[/] {_plain(error.expected)}")
    err.print(f"[bold]Do this:[/] {_plain(error.todo)}")


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("[", r"\[")
