"""Faults of the machine, in a sentence: a full disk, a home that is read-only or gone, no file handles, no memory."""

import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from models.errors import TesseraError
from resources.masking import masked

_AGAIN = "Then run the same command again: what was finished stays, the rest is done anew."


@dataclass(frozen=True)
class _Fault:
    """A known fault as libraries report it: the operating system's message or number, or SQLite's text."""

    pattern: re.Pattern[str]
    what: str
    expected: str
    todo: str


def _fault(what: str, *, numbers: str, words: str, expected: str, todo: str) -> _Fault:
    pattern = re.compile(rf"\[Errno ({numbers})\]|\(os error ({numbers})\)|{words}", re.IGNORECASE)
    return _Fault(pattern, what, expected, todo)


_FAULTS = (
    _fault(
        "The disk is full",
        numbers="28|122",
        words="No space left on device|database or disk is full|Disk quota exceeded",
        expected="free space for the home and for temporary files",
        todo=f"Free some space. {_AGAIN}",
    ),
    _fault(
        "A file would become larger than this process may write",
        numbers="27",
        words="File too large",
        expected="no limit on the size of files",
        todo=f"Raise it: `ulimit -f unlimited`. {_AGAIN}",
    ),
    _fault(
        "The file system is read-only",
        numbers="30",
        words="Read-only file system|attempt to write a readonly database",
        expected="file systems that may be written, that of the home above all",
        todo="Mount it for writing, or use another home: TESSERA_HOME=/another/folder.",
    ),
    _fault(
        "Too many files are open",
        numbers="23|24",
        words="Too many open files",
        expected="room for some hundred open files",
        todo=f"Raise the limit: `ulimit -n 4096`. {_AGAIN}",
    ),
    _fault(
        "The file system of the home does not answer",
        numbers="5|6|19|107|112|116",
        words="Input/output error|disk I/O error|Stale file handle|Transport endpoint is not connected",
        expected="a home on a disk that is mounted",
        todo=f"Mount it again, and look at the system's log for errors of the disk. {_AGAIN}",
    ),
    _fault(
        "There is not enough memory",
        numbers="12",
        words="Cannot allocate memory|MemoryError|Out of Memory Error",
        expected="room for the engine's memory_limit_mb and a model",
        todo=f"End other programs, or lower memory_limit_mb in stack.yaml. {_AGAIN}",
    ),
    _fault(
        "A file or folder may not be read or written by this user",
        numbers="1|13",
        words="Permission denied|Operation not permitted",
        expected="a home of which this user owns every file",
        todo="Correct its permissions, or use another home: TESSERA_HOME=/another/folder.",
    ),
    _fault(
        "A file or folder is gone",
        numbers="2|20",
        words="No such file or directory|unable to open database file",
        expected="a home, and files of the source, that stay where they are while something works with them",
        todo=f"Mount or restore it; `tessera check` says which part is missing. {_AGAIN}",
    ),
    _fault(
        "A database of the home is damaged",
        numbers="117",
        words="database disk image is malformed|file is not a database|malformed database schema",
        expected="SQLite files as they were written",
        todo="`tessera check` names the part; docs/recovery.md says which files may be deleted, and which restored.",
    ),
)
_FULL, _TOO_LARGE, _READ_ONLY, _NO_HANDLES, _NO_ANSWER, _NO_MEMORY, *_ = _FAULTS
#: They never come of what a user wrote; a file that is missing or closed to this user often does.
_OF_THE_MACHINE = {fault.expected for fault in (_FULL, _TOO_LARGE, _READ_ONLY, _NO_HANDLES, _NO_ANSWER, _NO_MEMORY)}
#: SQLite says them of any trouble with a file.
_UNCLEAR = [fault for fault in _FAULTS if re.search("disk I/O error|unable to open", fault.pattern.pattern)]
_NOT_STORED = "Exception while writing logger call to event log"
_FEW_HANDLES = 256
#: With less, SQLite cannot make the file that it shares between processes.
_ROOM_BYTES = 1_000_000
UNEXPECTED = " (unexpected: --verbose shows where)"
_PATH = re.compile(r"['\"](/[^'\"]+)['\"]")


def fault_in(text: str) -> TesseraError | None:
    """Return the fault of the machine that a library's message describes; None if it describes none."""
    for fault in _FAULTS:
        if fault.pattern.search(text):
            if fault in _UNCLEAR and "sqlite3" in text:
                fault = _behind_sqlite() or fault
            named = _PATH.search(text)
            where = f" ({named.group(1)})" if named else ""
            return TesseraError(f"{fault.what}{where}.", expected=fault.expected, todo=fault.todo)
    return None


def said(error: Any) -> str:
    """Return what an error of a run says: our own sentence, whatever it was raised from; else the innermost cause."""
    while error.cls_name != "TesseraError" and error.cause is not None:
        error = error.cause
    says = " ".join(masked(error.message).split()).removeprefix("models.errors.").removeprefix("TesseraError: ")
    if error.cls_name == "TesseraError":
        return says
    fault = fault_in(says)
    return says + UNEXPECTED if fault is None else f"{fault.what} {fault.todo}"


def _behind_sqlite() -> _Fault | None:
    """Return limit behind an error that SQLite calls `disk I/O error` or `unable to open`; None if none is in sight."""
    from resources.stack.loader import active_stack

    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return _TOO_LARGE
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < _FEW_HANDLES:
        return _NO_HANDLES
    folders = [Path(tempfile.gettempdir())]
    with suppress(TesseraError):
        folders.append(active_stack().home)
    for folder in folders:
        with suppress(OSError):
            if os.statvfs(folder).f_flag & os.ST_RDONLY:
                return _READ_ONLY
            if shutil.disk_usage(folder).free < _ROOM_BYTES:
                return _FULL
    return None


def fault_of(error: BaseException) -> TesseraError | None:
    """Return the fault of the machine behind an exception, or behind what it was raised from; None if there is none."""
    for one in _chain(error):
        if isinstance(one, TesseraError):
            return one
        if isinstance(one, OSError) and (said := fault_in(f"[Errno {one.errno}] {one}")):
            return said
    machine = [one for one in _chain(error) if isinstance(one, MemoryError) or _is_storage(one)]
    return next((said for one in machine if (said := fault_in(f"{type(one).__name__}: {one}"))), None)


def machine_fault(error: TesseraError) -> TesseraError | None:
    """Return error in the words of the machine's fault that it was raised from; None if it came of no such fault."""
    causes = [one for one in _chain(error) if one is not error and not isinstance(one, TesseraError)]
    fault = fault_of(causes[0]) if causes else None
    if fault is None or fault.expected not in _OF_THE_MACHINE:
        return None
    return TesseraError(f"{fault.what} {error.what}", expected=fault.expected, todo=fault.todo)


@contextmanager
def without_lines_of_dagster() -> Iterator[None]:
    """Keep off the terminal what Dagster prints of each event that it cannot store; the run fails with that error."""
    with redirect_stderr(_Filtered(sys.stderr)):  # type: ignore[type-var] - all that is asked of a stream
        yield


class _Filtered:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text`, unless it is what Dagster says of an event."""
        return len(text) if text.startswith(_NOT_STORED) else self._stream.write(text)


def _is_storage(error: BaseException) -> bool:
    """Return True for errors of what keeps data, by the package of their class.

    Importing these packages takes seconds.
    """
    return type(error).__module__.split(".")[0] in {"sqlite3", "sqlalchemy", "deltalake", "duckdb", "pyarrow", "polars"}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, and those it was raised from or while; each once."""
    seen: list[BaseException] = []
    rest: BaseException | None = error
    while rest is not None and rest not in seen:
        seen.append(rest)
        yield rest
        rest = rest.__cause__ or rest.__context__
