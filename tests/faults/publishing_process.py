"""Processes that publish scores, and that can be told to die at the n-th thing they do to the disk.

For each line `FOLDER ATTEMPT SEED STEP` on its input it starts a process of its own that writes attempt ATTEMPT (the
rows of SEED), audits it as read back, and publishes it; ATTEMPT `-` unpublishes instead. That process kills itself with
SIGKILL right before its STEP-th change of the disk, counted from 0, or half-way through it where that is possible
(STEP -1: never). The answer is one line: its exit code as `subprocess` gives it, and what it did, one word per change.

Processes are forked, because importing everything 40 times takes minutes; nothing here has started a thread by then.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: F401 - pyarrow imports it on first use, in each process anew
import pyarrow.parquet as pq
from deltalake import DeltaTable
from output_contracts import CHURN

from models.scoring.audit import Expected, audit
from models.scoring.config import AuditConfig, ScoringConfig
from models.scoring.contacts import ContactAudit
from resources.conformance.score_sets import APP, DAY, audit_and_publish, package_of, publication, reader, some_rows
from resources.sink.delta_sink import DeltaSink


class Steps:
    """Counts changes of the disk, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self.done: list[str] = []
        self._last = last

    def watch(self, owner: Any, name: str, *, half: Callable[..., object] | None = None) -> None:
        """Count calls of `owner.name`; `half` does the first half of what it does."""
        real = getattr(owner, name)

        @functools.wraps(real)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._step(name)
            if half is not None:
                self._step(f"half-{name}", lambda: half(*args, **kwargs))
            return real(*args, **kwargs)

        setattr(owner, name, staticmethod(counted) if isinstance(owner.__dict__.get(name), classmethod) else counted)

    def _step(self, name: str, before_dying: Callable[[], object] = lambda: None) -> None:
        if len(self.done) == self._last:
            before_dying()
            os.kill(os.getpid(), signal.SIGKILL)
        self.done.append(name)

    def end(self) -> None:
        """The last boundary: after everything."""
        self._step("end")


def _half_text(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text[: len(text) // 2])


def _half_parquet(writer: pq.ParquetWriter, batch: Any, **_: Any) -> None:
    writer.file_handle.write(b"PAR1 and then nothing")
    writer.file_handle.flush()


def watched(last: int) -> Steps:
    """Every way in which the sink changes the disk, wrapped."""
    steps = Steps(last)
    steps.watch(os, "fsync")
    steps.watch(os, "mkdir")
    steps.watch(Path, "write_text", half=_half_text)
    steps.watch(Path, "replace")
    steps.watch(pq.ParquetWriter, "write_batch", half=_half_parquet)
    steps.watch(pq.ParquetWriter, "close")
    steps.watch(DeltaTable, "create")
    steps.watch(DeltaTable, "create_write_transaction")
    return steps


def publish(sink: DeltaSink, attempt: str, seed: int) -> str:
    """The run that made what is published afterwards."""
    rows = some_rows(seed, 20)
    sink.write_attempt(APP, DAY, attempt, reader(rows))
    ids = [batch.column(0) for batch in rows.to_batches()]
    report = audit(
        sink.read_attempt(APP, DAY, attempt),
        Expected(ids, package_of(str(seed)), "churn_v1"),
        CHURN,
        limits=AuditConfig(),
        earlier=None,
        rule=[ContactAudit(ScoringConfig(contact_budget=5, min_contact_score=0.0))],
    )
    assert report.passed, report
    record = publication(attempt, rows)
    assert record.digest == report.digest
    return audit_and_publish(sink, record).run_id


def work(folder: str, attempt: str, seed: int, step: int) -> list[str]:
    """The changes of the disk, if it lives to tell."""
    steps = watched(step)
    act(DeltaSink(folder, rows_per_file=11), attempt, seed)
    steps.end()
    return steps.done


def act(sink: DeltaSink, attempt: str, seed: int) -> None:
    """Publish the attempt, or unpublish the day."""
    if attempt == "-":
        sink.unpublish(APP, DAY, why="wrong", who="test")
    else:
        publish(sink, attempt, seed)


def forked(folder: str, attempt: str, seed: int, step: int) -> tuple[int, str]:
    """Exit code (negative: the signal that ended it) and the changes that were made."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        os.write(write, " ".join(work(folder, attempt, seed, step)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        changes = answer.read()
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), changes


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        folder, attempt, seed, step = line.split()
        code, changes = forked(folder, attempt, int(seed), int(step))
        sys.stdout.write(f"{code} {changes}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
