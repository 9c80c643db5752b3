"""`tessera` or `dg` in a process of its own that need not import anything: for tests that kill, signal or watch one."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from in_process import exit_code

from tests.fork_server import PROCESSES


class Forked:
    """A command that runs while the test goes on, with what tests use of `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._said = Path(tempfile.mkdtemp(prefix="tessera-forked-"))
        for name in ("out", "err"):  # one that is killed at once has said nothing
            (self._said / name).touch()
        self._process = PROCESSES.Process(target=_run, args=(command, environment, self._said), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds that it and its children took, after it has ended by itself."""
        return float((self._said / "cpu").read_text())

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said on both streams, when it has ended."""
        self._process.join(timeout)
        assert self.returncode is not None, f"it has not ended after {timeout} s"
        return (self._said / "out").read_text(), (self._said / "err").read_text()


def _run(command: Sequence[str], environment: Mapping[str, str], said: Path) -> None:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(said / name, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.path[:0] = environment.get("PYTHONPATH", "").split(os.pathsep)
    before = sum(os.times()[:4])
    try:
        sys.exit(exit_code(command, environment))
    finally:
        (said / "cpu").write_text(f"{sum(os.times()[:4]) - before:.3f}")
