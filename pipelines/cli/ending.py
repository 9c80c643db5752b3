"""The end of a command: its exit code, and what it says if it did not get to its own end.

0: it did what it is for. 1: it could not. 2: a mistake in the command or in the settings. 130, 143: SIGINT, SIGTERM.
141: what it printed is no longer read (`tessera scores churn | head`).
"""

import io
import os
import sys
from collections.abc import Callable

from models.errors import TesseraError
from pipelines.cli.stopping import Stopped, check_stopped, ended_by_signals

_FAILED, _MISTAKE, _BROKEN_PIPE = 1, 2, 141
_STANDARD_ERROR = 2  # the number of its descriptor


def ended(command: Callable[[], object]) -> int:
    """Run the command and return its exit code. A bug keeps its traceback, everything else ends in plain lines."""
    try:
        with ended_by_signals():
            return _flushed(_code(command))
    except Stopped as stopped:
        _say(stopped.sentence())
        return stopped.code


def open_standard_streams() -> None:
    """Give a process that was started with closed streams some that lead nowhere.

    Else the next file that is opened, a database perhaps, would get the number to which libraries print. Letters that
    the terminal's encoding lacks are printed as escapes.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the process ends
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _code(command: Callable[[], object]) -> int:
    from pipelines.cli.console import complain
    from pipelines.faults import fault_of, machine_fault

    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except TesseraError as error:
        check_stopped()
        if machine := machine_fault(error):
            complain(machine)
            return _FAILED
        complain(error)
        return _MISTAKE
    except BrokenPipeError:
        return _broken_pipe()
    except Exception as error:
        check_stopped()  # libraries make errors of their own of a signal
        fault = fault_of(error)
        if fault is None:
            raise
        complain(fault)
        return _FAILED
    return 0


def _flushed(code: int) -> int:
    """`code`, once everything that was printed has left this process."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except OSError as error:
        _discard_output()
        _say(f"what it printed cannot be written: {error.strerror}.")
        return code or _FAILED
    return code


def _broken_pipe() -> int:
    """The reader of the output has gone: no mistake, and nothing to say."""
    _discard_output()
    return _BROKEN_PIPE


def _discard_output() -> None:
    """Discard output that is still buffered; otherwise Python reports an error when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _say(text: str) -> None:
    from pipelines.cli.console import say_stopped

    say_stopped(text)
