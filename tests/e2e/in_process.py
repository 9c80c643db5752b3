"""The command line in the test's own process: what a new process would do, without paying for its start.

`assets` and `pipelines` read the active stack when they are imported, so each stack gets its own copy of both; the
copies of the test run itself are put back afterwards. Whatever a process ends with is undone: environment, folder,
signal handlers, umask, warning filters.
"""

import contextlib
import io
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from resources.stack.loader import ROOT, active_stack

#: Python's own filters, which a process starts with.
_SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
_STACK_READERS = ("assets", "pipelines")
_copies: dict[object, dict[str, ModuleType]] = {}


@dataclass(frozen=True)
class Said:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str


def tessera(arguments: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> Said:
    """Run `tessera` in `folder` with exactly this environment; an exception that it lets through is raised."""
    out, err = io.StringIO(), io.StringIO()
    with (
        _as_a_process(["tessera", *arguments], environment, folder),
        _modules_of(environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _exit_code()
    return Said(code, out.getvalue(), err.getvalue())


def _exit_code() -> int:
    from pipelines.cli import main

    try:
        main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


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
def _modules_of(environment: Mapping[str, str]) -> Iterator[None]:
    """The modules that a process with this environment would import."""
    ours = _taken_out()
    key = _key(environment)
    sys.modules.update(_copies.get(key, {}))
    sys.modules.pop("pipelines.cli.console", None)  # its width is that of the process
    active_stack.cache_clear()
    try:
        yield
    finally:
        _copies.clear()  # one stack at a time: copies are large, and a stack's commands come in a row
        _copies[key] = _taken_out()
        sys.modules.update(ours)
        active_stack.cache_clear()


def _taken_out() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.split(".")[0] in _STACK_READERS]
    return {name: sys.modules.pop(name) for name in names}


def _key(environment: Mapping[str, str]) -> object:
    stack = Path(environment.get("TESSERA_STACK", ROOT / "stack.yaml"))
    return frozenset(environment.items()), stack.read_bytes() if stack.is_file() else b""
