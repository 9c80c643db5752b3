"""Commands that run in processes of their own, and what they take."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Usage:
    """CPU seconds (user + system) of an ended process and of the children that it waited for, and its peak MiB."""

    cpu_s: float
    peak_mb: float


def usage_of(command: Sequence[str], *, what: str, core: int | None = None, **options: Any) -> Usage:
    """Run a command and return what it took.

    Args:
        command: program and arguments.
        what: its name, if it fails.
        core: the only core that it runs on; None: any.
        options: of `subprocess.Popen`.

    Raises:
        SystemExit: it failed.
    """
    before = os.sched_getaffinity(0)
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})  # of this thread; a child has that of the thread that starts it
        process = subprocess.Popen(command, **options)
    finally:
        os.sched_setaffinity(0, before)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what} failed with exit code {process.returncode}")
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
