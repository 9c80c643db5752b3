"""A process that answers a line with a line, with a time limit for each, and less than its parent may reach."""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Literal

import psutil

from models.errors import TesseraError
from resources.calls.failure import CallFailed

Network = Literal["allowed", "none_if_possible", "none"]
#: Variables that every command gets.
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")
#: A shell that becomes the command, after it left a process behind that waits for the end of our pipe, which comes when
#: we close it or die in any way, and then ends the session. (PR_SET_PDEATHSIG would follow the thread that started the
#: command, not the process, and would not reach what the command started.)
_WITH_US = """( read -r _ < "/dev/fd/$0"; kill -KILL -$$ ) < /dev/null > /dev/null 2>&1 & exec "$@" """
_NO_NETWORK = ("unshare", "--map-root-user", "--net", "--")
#: An answer longer than this is garbage.
_MOST_BYTES = 256 * 2**20
_STDERR_LINES = 20


class LineProcess:
    """The process, started by the first question; safe to use from several threads, which take turns.

    It runs in an empty folder, in a session of its own, with no variables but a few, without core dumps and with a
    limit on its memory. It reads and writes files with the rights of its user: only the network is taken away. It ends
    with this process, also when that is killed.
    """

    def __init__(self, argv: Sequence[str], *, network: Network, pass_env: Sequence[str], memory_mb: int) -> None:
        self._argv, self._network, self._pass_env = list(argv), network, (*_KEPT, *pass_env)
        self._memory_mb = memory_mb
        self._running: _Running | None = None
        self._lock = threading.Lock()
        self._spent = 0.0
        self._last_words: Sequence[str] = ()

    def ask(self, line: str, seconds: float) -> str:
        """Return the next line that it writes after it was given `line`.

        Raises:
            CallFailed: it cannot be started, ended, or gave no line in time; it is stopped then.
        """
        with self._lock:
            running = self._running or self._start()
            try:
                return running.ask(line, seconds)
            except CallFailed:
                self._end()
                raise

    def stop(self) -> None:
        """Stop it and everything that it started; the next question starts it anew."""
        with self._lock:
            self._end()

    def cpu_seconds(self) -> float:
        """Return the CPU time that it took so far, in seconds."""
        return self._spent + (self._running.cpu_seconds() if self._running else 0.0)

    def last_words(self) -> str:
        """Return what it wrote to stderr last, as a sentence; "" if nothing."""
        said = "\n".join(self._running.stderr if self._running else self._last_words)
        return f" It wrote to stderr: {said[-1000:]}" if said else ""

    def _start(self) -> _Running:
        try:
            if shutil.which(self._argv[0]) is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            self._running = _Running([*self._prefix(), *self._argv], self._environment(), self._memory_mb)
        except OSError as error:
            raise TesseraError(
                f"{self._argv[0]} cannot be started: {error.strerror}.",
                expected="a program that can be run",
                todo="Correct `runs.argv` in the contract.",
            ) from None
        return self._running

    def _prefix(self) -> Sequence[str]:
        if self._network == "allowed":
            return ()
        if can_take_network():
            return _NO_NETWORK
        if self._network == "none":
            raise TesseraError(
                "The kernel gives this user no network namespace: the command cannot run without network.",
                expected="`unshare --map-root-user --net true` to work",
                todo="Allow user namespaces, or say `network: none_if_possible`, and take the network away otherwise.",
            )
        return ()

    def _environment(self) -> dict[str, str]:
        return {name: os.environ[name] for name in self._pass_env if name in os.environ}

    def _end(self) -> None:
        if self._running is not None:
            self._spent += self._running.cpu_seconds()
            self._last_words = tuple(self._running.stderr)
            self._running.stop()
            self._running = None


class _Running:
    def __init__(self, argv: Sequence[str], environment: dict[str, str], memory_mb: int) -> None:
        self.folder, self._argv = tempfile.mkdtemp(prefix="tessera-"), list(argv)
        limited = ("prlimit", f"--as={memory_mb * 10**6}", "--core=0", "--") if shutil.which("prlimit") else ()
        watched, ours = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603 - the command that was imported, its files checked
                ["/bin/sh", "-c", _WITH_US, str(watched), *limited, *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env={**environment, "HOME": self.folder, "TMPDIR": self.folder},
                start_new_session=True,
                pass_fds=(watched,),
            )
        except OSError:
            os.close(ours)
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        finally:
            os.close(watched)
        self.lines: queue.Queue[bytes | None] = queue.Queue(maxsize=4)
        self.stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        assert self.process.stdout and self.process.stderr  # noqa: PT018, S101 - for the type checker
        _in_background(_pump, self.process.stdout, self.lines)
        self._listener = _in_background(_remember, self.process.stderr, self.stderr)
        self.stop = weakref.finalize(self, _ended, self.process, self.folder, ours)

    def ask(self, line: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        written: queue.Queue[bool] = queue.Queue()
        _in_background(_write, self.process.stdin, line.encode() + b"\n", written)
        try:
            found = self.lines.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            raise CallFailed(
                f"{self._name} gave no answer within {seconds:g} s.{self._words()}", is_temporary=True
            ) from None
        if found is None:
            code = self._code()
            self._listener.join(timeout=1)  # what it wrote last may still be on its way
            raise CallFailed(f"{self._name} ended ({code}) without an answer.{self._words()}", is_temporary=True)
        if not found.endswith(b"\n"):
            raise CallFailed(f"{self._name} gives a line without an end.", is_temporary=False)
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise CallFailed(f"{self._name} answers bytes that are no UTF-8.", is_temporary=False) from None

    @property
    def _name(self) -> str:
        return " ".join(self._argv)[-120:]

    def _code(self) -> str:
        try:
            code = self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it closed its stdout"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _words(self) -> str:
        said = "\n".join(self.stderr)
        return f" It wrote to stderr: {said[-1000:]}" if said else ""

    def cpu_seconds(self) -> float:
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return times.user + times.system + times.children_user + times.children_system


def _ended(process: subprocess.Popen[bytes], folder: str, ours: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    os.close(ours)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):  # what the dead process did not read
                stream.close()
    shutil.rmtree(folder, ignore_errors=True)


def _in_background(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _write(stream: IO[bytes], line: bytes, written: queue.Queue[bool]) -> None:
    try:
        stream.write(line)
        stream.flush()
        written.put(True)
    except (OSError, ValueError):  # it ended: reading says so
        written.put(False)


def _pump(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with suppress(OSError, ValueError):
        while found := stream.readline(_MOST_BYTES):
            lines.put(found)
    lines.put(None)


def _remember(stream: IO[bytes], said: deque[str]) -> None:
    with suppress(OSError, ValueError):
        while found := stream.readline(4096):
            said.append(found.decode(errors="replace").rstrip())


@cache
def can_take_network() -> bool:
    """Return True if the kernel lets this user run a program without network."""
    program = shutil.which("unshare")
    if program is None:
        return False
    found = subprocess.run([program, *_NO_NETWORK[1:], "true"], capture_output=True, check=False)  # noqa: S603 - fixed
    return found.returncode == 0


def environment_digest(program: str) -> str:
    """Return the sha256 of the names and versions of the packages of the program's virtual environment; "" of none."""
    venv = Path(program).absolute().parent.parent
    if not (venv / "pyvenv.cfg").is_file():
        return ""
    names = sorted(path.name for path in venv.glob("lib*/python*/site-packages/*.dist-info") if path.is_dir())
    return hashlib.sha256("\n".join([(venv / "pyvenv.cfg").read_text(), *names]).encode()).hexdigest()
