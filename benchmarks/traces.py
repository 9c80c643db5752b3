"""CPU of trace spans: one span, one request, one night, each in turn with and without recording.

python -m benchmarks.traces [--repeats 5] [--home FOLDER] [--dry]

A span is counted with everything: made, queued, written to SQLite by the thread in the background. The night is that of
churn on a home with a champion, run once more for its day, in a process of its own. Writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import replace_section
from models.observability import TraceSettings
from models.tracing import span
from resources.stack.loader import ROOT, load_stack
from resources.traces.port import recorded

_SPANS, _REQUESTS, _ROUNDS = 5_000, 2_000, 7
_OFF = "TESSERA_BENCHMARK_WITHOUT_TRACES"
_DAY = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
#: What a span may take, microseconds, and what all of a night may, as a share of it.
_GOAL_US, _GOAL_SHARE = 40, 0.03
_NOTE = "Spans are made as fast as one thread can, beside the thread that writes them. Goals are for an idle machine."


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
    with tempfile.TemporaryDirectory(prefix="tessera-traces-") as folder:
        place = Path(folder)
        tables = [*_of_spans(place / "spans"), *_of_requests(place), *_of_nights(place, chosen)]
        body = "\n".join([*tables, "", _NOTE])
    sys.stdout.write(body + "\n")
    if not chosen.dry:
        replace_section("traces", body, libraries=["opentelemetry-sdk", "fastapi", "dagster"])


def _of_spans(home: Path) -> Iterator[str]:
    def spans() -> None:
        for number in range(_SPANS):
            with span("operation", {"tessera.rows": number, "tessera.app": "churn"}):
                pass

    recording, alone = _in_turn(home, spans, _SPANS)
    size = sum(file.stat().st_size for file in (home / "traces").iterdir()) / (_SPANS * _ROUNDS)
    yield "## Traces"
    yield ""
    yield "| what | without recording | with | difference |"
    yield "|---|---|---|---|"
    middle = statistics.median(recording)
    least = f"{min(recording):.0f} to {max(recording):.0f}"
    yield (
        f"| a span with two attributes, CPU us (goal: {_GOAL_US}) | {statistics.median(alone):.1f} | {middle:.1f} "
        f"({least}), {size:.0f} bytes on disk | {middle - statistics.median(alone):.1f} |"
    )


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


def _of_nights(place: Path, chosen: argparse.Namespace) -> Iterator[str]:
    home = chosen.home or place / "home"
    if chosen.home is None:
        _cpu_of_night(home, is_on=True)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(chosen.repeats):
        for is_on in (True, False) if number % 2 else (False, True):
            copy = place / "copy"
            shutil.copytree(home, copy)
            seconds[is_on].append(_cpu_of_night(copy, is_on=is_on))
            shutil.rmtree(copy)
    plain, traced = statistics.median(seconds[False]), statistics.median(seconds[True])
    shares = [with_it / without - 1 for with_it, without in zip(seconds[True], seconds[False], strict=True)]
    share = statistics.median(shares)
    spread = f"{min(shares):+.1%} to {max(shares):+.1%}"
    yield (
        f"| a night of churn, CPU s (goal: {_GOAL_SHARE:.0%}) | {plain:.2f} | {traced:.2f} | {share:+.1%}, median of "
        f"{chosen.repeats} pairs ({spread}) |"
    )


def _cpu_of_night(home: Path, *, is_on: bool) -> float:
    """Run the night in a process of its own, and return its CPU seconds."""
    environment = {**os.environ, "TESSERA_HOME": str(home), "TESSERA_PROFILE": "local", _OFF: "" if is_on else "1"}
    before = os.times()
    command = [sys.executable, "-m", "benchmarks.traces", "--child"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _night() -> None:
    from pipelines import run_traces
    from pipelines.cli.run import run

    if os.environ.get(_OFF):
        setattr(run_traces, "recorded", lambda home, settings: contextlib.nullcontext())  # noqa: B010, ARG005
    sys.exit(run("churn_nightly", _DAY, verbose=False))


if __name__ == "__main__":
    main()
