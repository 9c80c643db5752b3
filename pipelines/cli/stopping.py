"""SIGINT and SIGTERM: the end of a command, or a flag for commands that work until a signal stops them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

#: They end a command; the parent process may have made it ignore SIGINT (a script with `&`).
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal ended the command. No `Exception`: nothing but the end of the command may catch it."""

    def __init__(self, number: int) -> None:
        self.number = signal.Signals(number)
        super().__init__(self.number.name)

    @property
    def code(self) -> int:
        """The exit code, as shells and service managers know it: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number

    def sentence(self) -> str:
        """Sentence that names the signal, and what remains to do."""
        by = "Ctrl-C (SIGINT)" if self.number == signal.SIGINT else self.number.name
        return f"by {by}; what was finished stays, and the same command again does the rest."


class Received:
    """Signals that arrived, also while a library had handlers of its own in place (Dagster does, during a run)."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._number: int | None = None

    def check(self) -> None:
        """End the command if a signal has asked it to stop.

        Raises:
            Stopped: it was.
        """
        with suppress(BlockingIOError):
            for number in os.read(self._reader, 256):
                if self._number is None and number in SIGNALS:
                    self._number = number
        if self._number is not None:
            raise Stopped(self._number)


#: Of the command that runs in this process.
_current: list[Received] = []


def check_stopped() -> None:
    """End the command if a signal arrived while a library caught it.

    Raises:
        Stopped: one did.
    """
    if _current:
        _current[-1].check()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block, the first signal raises `Stopped`; later ones are ignored, so that cleaning up can finish."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_stopped = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopped
        if not is_stopped:
            is_stopped = True
            raise Stopped(number)

    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _current.append(Received(reader))
    try:
        with _handled(stop):
            yield
    finally:
        _current.pop()
        signal.set_wakeup_fd(wakeup)
        os.close(reader)
        os.close(writer)


class StopFlag(threading.Event):
    """Set by Ctrl-C or SIGTERM; `signal` is the number of the first one, None before."""

    signal: int | None = None

    def stop(self, number: int) -> None:
        """Remember the first signal."""
        self.signal = self.signal or number
        self.set()


@contextmanager
def stopped_by_signals() -> Iterator[StopFlag]:
    """Provide a flag that Ctrl-C or SIGTERM sets, so that what is at work is finished."""
    flag = StopFlag()
    with _handled(lambda number, _: flag.stop(number)):
        yield flag


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
