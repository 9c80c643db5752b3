"""The terminal: one console for results, one for everything that is not a result."""

from rich.console import Console

from models.errors import TesseraError

#: Results: what a command was asked for; safe to pipe.
out = Console(highlight=False, soft_wrap=True)
#: Progress, notes and complaints.
err = Console(stderr=True, highlight=False, soft_wrap=True)


def complain(error: TesseraError) -> None:
    """Prints what was wrong, what was expected and what to do: one line each, also if a library said it in several."""
    err.print(f"[bold red]Stopped:[/] {_plain(error.what)}")
    err.print(f"[bold]Expected:[/] {_plain(error.expected)}")
    err.print(f"[bold]Do this:[/] {_plain(error.todo)}")


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("[", r"\[")
