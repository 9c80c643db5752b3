"""The command line in the test's own process: what a new process would do, without paying for its start.

Whatever a process ends with is undone: environment, folder, signal handlers, umask, warning filters, the active stack.
"""

import contextlib
import io
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from resources.stack.loader import ROOT, active_stack

#: Python's own filters, which a process starts with.
_SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
#: Reads the stack when it is imported.
_DEFINITIONS = "pipelines.definitions"


@dataclass(frozen=True)
class Said:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str


def tessera(arguments: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> Said:
    """Run `tessera` in `folder` with exactly this environment; an exception that it lets through is raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = exit_code(["tessera", *arguments], environment, folder)
    return Said(code, out.getvalue(), err.getvalue())


def exit_code(command: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> int:
    """Run `tessera`, or Dagster's `dg`, on this process's own streams."""
    with _as_a_process(list(command), environment, folder), _stack_of(environment):
        try:
            _program(command[0])()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def _program(name: str) -> Callable[[], object]:
    if name == "dg":
        from dagster_dg_cli.cli import main as dg

        return lambda: _with_own_definitions(dg)
    from pipelines.cli import main

    return main


def _with_own_definitions(dg: Callable[[], object]) -> None:
    """Run Dagster's command on the definitions of the active stack, not on those that this process imported before."""
    known = sys.modules.pop(_DEFINITIONS, None)
    try:
        dg()
    finally:
        sys.modules.pop(_DEFINITIONS, None)
        if known is not None:
            sys.modules[_DEFINITIONS] = known


@contextlib.contextmanager
def _as_a_process(argv: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    kept, arguments, temporary = dict(os.environ), sys.argv, tempfile.tempdir
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)}
    umask = os.umask(0o022)
    try:
        with contextlib.chdir(folder), warnings.catch_warnings():
            warnings.resetwarnings()
            for category in _SILENT:
                warnings.simplefilter("ignore", category)
            _replace_environment(environment)
            sys.argv, tempfile.tempdir = argv, None
            yield
    finally:
        _replace_environment(kept)
        sys.argv, tempfile.tempdir = arguments, temporary
        os.umask(umask)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _replace_environment(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


@contextlib.contextmanager
def _stack_of(environment: Mapping[str, str]) -> Iterator[None]:
    """The stack and the width of terminal that a process with this environment would have."""
    from pipelines.cli import console

    before = console.out._width, console.err._width
    console.out._width = None if "COLUMNS" in environment else 140
    console.err._width = None
    active_stack.cache_clear()
    try:
        yield
    finally:
        active_stack.cache_clear()
        console.out._width, console.err._width = before
