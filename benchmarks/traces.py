"""CPU of trace spans: one span, one request, one night, each with and without recording.

python -m benchmarks.traces [--repeats 5] [--home FOLDER] [--dry]

A span is counted with everything: made, queued, written to SQLite by the thread in the background. Garbage is collected
as rarely as by every command: by Python's own limits a full collection, 0.2 s, falls into some rounds and not into
others, since spans that wait to be written are alive. The night is that of churn on a home with a champion, run once
more for its day; both of a pair run at the same time, each on a core of its own, so that what else the machine does
meets both. Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.processes import usage_of
from benchmarks.report import replace_section
from models.observability import TraceSettings
from models.tracing import span
from pipelines.garbage import collect_rarely
from resources.stack.loader import ROOT, load_stack
from resources.traces.port import recorded

_SPANS, _REQUESTS, _ROUNDS = 5_000, 2_000, 7
_OFF = "TESSERA_BENCHMARK_WITHOUT_TRACES"
_DAY = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
#: What a span may take, microseconds, and what all of a night may, as a share of it.
_GOAL_US, _GOAL_SHARE = 40, 0.03
_NOTE = (
    "Spans are made as fast as one thread can, beside the thread that writes them. Garbage is collected as rarely as "
    "by every command. Goals are for an idle machine."
)


def main() -> None:
    """Measure and write the section, or be one of the measured nights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--home", type=Path, help="with a champion of churn; default: a new one")
    parser.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    parser.add_argument("--child", action="store_true")
    chosen = parser.parse_args()
    if chosen.child:
        _night()
        return
    collect_rarely()
    with tempfile.TemporaryDirectory(prefix="tessera-traces-") as folder:
        place = Path(folder)
        spans, span_us = _of_spans(place / "spans")
        body = "\n".join([*spans, *_of_requests(place), *_of_nights(place, chosen, span_us), "", _NOTE])
    sys.stdout.write(body + "\n")
    if not chosen.dry:
        replace_section("traces", body, libraries=["opentelemetry-sdk", "fastapi", "dagster"])


def _of_spans(home: Path) -> tuple[list[str], float]:
    """Return the first lines of the table, and what recording a span takes, CPU us."""

    def spans() -> None:
        for number in range(_SPANS):
            with span("operation", {"tessera.rows": number, "tessera.app": "churn"}):
                pass

    recording, alone = _in_turn(home, spans, _SPANS)
    size = sum(file.stat().st_size for file in (home / "traces").iterdir()) / (_SPANS * _ROUNDS)
    middle, plain = statistics.median(recording), statistics.median(alone)
    least = f"{min(recording):.0f} to {max(recording):.0f}"
    line = (
        f"| a span with two attributes, CPU us (goal: {_GOAL_US}) | {plain:.1f} | {middle:.1f} "
        f"({least}), {size:.0f} bytes on disk | {middle - plain:.1f} |"
    )
    head = ["## Traces", "", "| what | without recording | with | difference |", "|---|---|---|---|"]
    return [*head, line], middle - plain


def _of_requests(place: Path) -> Iterator[str]:
    from pipelines.service.build import build_service
    from resources.conformance import score_sets

    stack = load_stack(ROOT / "stack.yaml", "local", str(place / "service"), os.environ)
    limits = stack.settings.service.model_copy(update={"requests_per_second": 1e9, "burst": 10**9})
    stack.settings = stack.settings.model_copy(update={"service": limits})
    rows = score_sets.some_rows(3)
    sink, attempt = stack.open("sink"), score_sets.digest(rows)[:16]
    sink.write_attempt("churn", score_sets.DAY, attempt, score_sets.reader(rows))
    score_sets.audit_and_publish(sink, score_sets.publication(attempt, rows, day=score_sets.DAY))
    service: Any = build_service(stack)
    head = [(b"host", b"127.0.0.1:8000")]
    path = "/v1/churn/scores/c000001"
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "scheme": "http",
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def asked() -> None:
        async def send(message: dict[str, Any]) -> None:
            assert message.get("status", 200) == 200, message

        for _ in range(_REQUESTS):
            await service(
                {**scope, "headers": head, "http_version": "1.1", "server": ("127.0.0.1", 8000)}, receive, send
            )

    recording, alone = _in_turn(stack.home, lambda: asyncio.run(asked()), _REQUESTS)
    plain, traced = statistics.median(alone), statistics.median(recording)
    share = (traced - plain) / plain
    what = "| `GET /v1/churn/scores/ID` in process, CPU us |"
    yield f"{what} {plain:.0f} | {traced:.0f} | {traced - plain:.0f} ({share:.1%}) |"


def _in_turn(home: Path, work: Callable[[], None], times: int) -> tuple[list[float], list[float]]:
    """Return CPU us of one of so many, in rounds with recording and without; the first one warms up."""
    recording, alone = list[float](), list[float]()
    for number in range(_ROUNDS + 1):
        for values, is_on in ((alone, False), (recording, True)):
            began = time.process_time()
            with recorded(home, TraceSettings()) if is_on else contextlib.nullcontext():
                work()
            if number:
                values.append((time.process_time() - began) / times * 1e6)
    return recording, alone


def _of_nights(place: Path, chosen: argparse.Namespace, span_us: float) -> Iterator[str]:
    home = chosen.home or place / "home"
    cores = sorted(os.sched_getaffinity(0)) * 2
    if chosen.home is None:
        _cpu_of_night(home, cores[0], is_on=True)
    pairs, spans = list[tuple[float, float]](), 0
    for number in range(chosen.repeats):
        homes = [Path(shutil.copytree(home, place / name)) for name in ("without", "with")]
        before = _count(homes[1])
        with ThreadPoolExecutor(2) as pool:
            ran = [
                pool.submit(_cpu_of_night, homes[is_on], cores[(number + is_on) % 2], is_on=is_on)
                for is_on in (False, True)
            ]
            pairs.append((ran[0].result(), ran[1].result()))
        spans = _count(homes[1]) - before
        for each in homes:
            shutil.rmtree(each)
    plain, traced = (statistics.median(one) for one in zip(*pairs, strict=True))
    shares = [traced / plain - 1 for plain, traced in pairs]
    spread = f"{min(shares):+.1%} to {max(shares):+.1%}"
    yield (
        f"| a night of churn, CPU s (goal: {_GOAL_SHARE:.0%}) | {plain:.2f} | {traced:.2f} | "
        f"{statistics.median(shares):+.1%}, median of {chosen.repeats} pairs ({spread}) |"
    )
    share = spans * span_us / 1e6 / plain
    yield (
        f"| the {spans} spans of that night, each as costly as the one above, CPU s | | {spans * span_us / 1e6:.4f} | "
        f"{share:.2%} of the night |"
    )


def _count(home: Path) -> int:
    """Return the number of spans that are stored."""
    found = 0
    for file in (home / "traces").glob("*.db"):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            found += connection.execute("SELECT count(*) FROM span").fetchone()[0]
    return found


def _cpu_of_night(home: Path, core: int, *, is_on: bool) -> float:
    """Run the night in a process of its own on one core, and return its CPU seconds."""
    environment = {**os.environ, "TESSERA_HOME": str(home), "TESSERA_PROFILE": "local", _OFF: "" if is_on else "1"}
    command, nowhere = [sys.executable, "-m", "benchmarks.traces", "--child"], subprocess.DEVNULL
    what = f"the night in {home}"
    return usage_of(command, what=what, core=core, cwd=ROOT, env=environment, stdout=nowhere, stderr=nowhere).cpu_s


def _night() -> None:
    from pipelines import run_traces
    from pipelines.cli.run import run

    if os.environ.get(_OFF):
        setattr(run_traces, "recorded", lambda home, settings: contextlib.nullcontext())  # noqa: B010, ARG005
    sys.exit(run("churn_nightly", _DAY, verbose=False))


if __name__ == "__main__":
    main()
