"""The terminal: one console for results, one for everything that is not a result; both print text as it is.

Customers, sellers and senders of events choose the text that ends up here. None of it is read as markup or emoji,
and none of it reaches the terminal as a control character.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from models.errors import TesseraError
from pipelines.cli.hints import runnable
from resources.log_lines import JsonLines
from resources.masking import masked, without_secrets

_log = logging.getLogger("tessera.cli")


def printable(text: str) -> str:
    r"""`text` on one line, control characters and the like visible: a raw escape becomes `\x1b`, a line feed `\n`."""
    text = without_secrets(text)
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def literal(value: object, style: str = "") -> Text:
    """`value` as it is, in one style: the way to put any value into a line, a table, a title or a panel."""
    return Text(printable(str(value)), style=style)


class _Console(Console):
    """Prints strings as they are; what other renderables hold is made printable, too, line feeds excepted."""

    @override
    def render_str(self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_: Any) -> Text:
        return Text(printable(text), style=style, justify=justify, overflow=overflow)

    @override
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            lines = segment.text.split("\n")
            yield segment if segment.control else segment._replace(text="\n".join(map(printable, lines)))

    @override
    def on_broken_pipe(self) -> None:
        """Leaves the exit code to `ended`; rich would end the process with 1."""
        raise BrokenPipeError


#: A pipe or a log file has no width of its own; rich would take 80 columns and fold what a person then reads.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140
#: Results: what a command was asked for; safe to pipe.
out = _Console(highlight=False, soft_wrap=True, width=_WIDTH)
#: Progress, notes and complaints.
err = _Console(stderr=True, highlight=False, soft_wrap=True)


def listing(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table without lines; a cell is any value, or a `Text` that brings its own style."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(literal(name), overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else literal(cell) for cell in row))
    return table


def say(text: str) -> None:
    """Print a line of a process that runs for long: as a log line where the log is JSON, else as it is."""
    if isinstance(getattr(next(iter(logging.getLogger().handlers), None), "formatter", None), JsonLines):
        _log.info("%s", text)
    else:
        err.print(text, markup=False)


def counted(number: int, what: str) -> str:
    """So many of `what`: `1 alert`, `2,000 alerts`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that `what` is being done: a spinner on a terminal, else a line before and a line with seconds after."""
    if err.is_terminal:
        with err.status(literal(what)):
            yield
        return
    started = time.monotonic()
    err.print(f"{what} ...")
    yield
    err.print(f"{what}: done in {time.monotonic() - started:.1f} s")


def complain(error: TesseraError) -> None:
    """Print what was wrong, what was expected and what to do: one line each, also if a library said it in several."""
    say_stopped(error.what)
    for title, text in (("Expected:", error.expected), ("Do this:", runnable(error.todo))):
        err.print(Text.assemble((title, "bold"), " ", literal(_one_line(text))))


def say_stopped(why: str) -> None:
    """Print in one line why a command ends before its end."""
    err.print(Text.assemble(("Stopped:", "bold red"), " ", literal(_one_line(why))))


def _one_line(text: str) -> str:
    return re.sub(r"[ \t\r\n]+", " ", masked(text)).strip()
