"""The worker of the fraud stream in its process: latency, rate, memory and state, on SQLite, over real payments.

The history of the fraud handbook as events: every payment, and a week later that it was fraud, if it was. The worker is
`tessera stream fraud` without its console: the same parts of profile `fraud-handbook`, a model chosen and registered as
the training job does, batches of at most 100 events, `OMP_NUM_THREADS=1` as `make` sets it.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import replace_section
from benchmarks.stream_processes import LOG

LIMIT = 100
#: The state is looked at when so many events are done; then events come at these rates for so many seconds.
MARKS, QUICK_MARKS = (100_000, 300_000, 500_000, 750_000, 1_000_000), (5_000, 20_000)
PHASES, QUICK_PHASES = ((200, 30), (1_000, 20), (5_000, 10)), ((200, 5), (1_000, 3))
P99_BUDGET_MS, RATE_BUDGET, FLAT_BUDGET = 10, 1_000, 1.05


@dataclass(frozen=True)
class State:
    """Size of the worker and its store after so many events: resident MiB, MiB of the file, rows, bytes per key."""

    events: int
    rss_mb: float
    store_mb: float
    payments: int
    scored: int
    keys: Mapping[str, tuple[int, float, int]]


@dataclass(frozen=True)
class Latency:
    """One rate: events offered and done per second; ms per event from reading and from publication to its commit."""

    offered: int
    published_rate: float
    done_rate: float
    cpu_us: float
    batch: float
    read: Mapping[str, float]
    published: Mapping[str, float]
    slowest: str


def main() -> None:
    """Measure and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true", help="a small history, short; the section is printed")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    home = Path(tempfile.mkdtemp(prefix="tessera-fraud-stream-"))
    try:
        body = _measured(home, quick=options.quick)
    finally:
        shutil.rmtree(home)
    print(body)
    if not (options.dry or options.quick):
        replace_section("fraud-stream", body, libraries=["xgboost", "numpy", "pyarrow", "pydantic"])


def _measured(home: Path, *, quick: bool) -> str:
    marks, phases = (QUICK_MARKS, QUICK_PHASES) if quick else (MARKS, PHASES)
    _prepare(home, marks[-1], quick=quick)
    with _process("worker", home) as worker:
        drained, states, done = [], [], 0
        for mark in marks:
            drained.append(worker({"through": mark, "limit": LIMIT, "log": None}))
            states.append(_state(home, mark, drained[-1]["rss_mb"]))
            print(states[-1], drained[-1], file=sys.stderr)
        done, latencies = marks[-1], []
        for rate, seconds in phases:
            latencies.append(_offered(home, worker, done, rate, rate * seconds))
            done += rate * seconds
            print(latencies[-1], file=sys.stderr)
    return _section(drained, states, latencies)


def _prepare(home: Path, count: int, *, quick: bool) -> None:
    """Payments first; then a model is trained while the queue is filled."""
    _finished([_started("history", home)])
    _finished([_started("queue", home, str(count)), _started("model", home, *(["quick"] if quick else []))])


def _finished(processes: list[subprocess.Popen[str]]) -> None:
    try:
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if any(codes):
        raise SystemExit(f"A process that prepares failed: {codes}")


def _started(name: str, home: Path, *more: str, **pipes: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.stream_processes", name, str(home), *more]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, env={**os.environ, **threads}, text=True, **pipes)


@contextmanager
def _process(name: str, home: Path) -> Iterator[Any]:
    """Provide a process that answers lines of JSON; called with one, gives the answer; it is gone afterwards."""
    process = _started(name, home, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(what: Mapping[str, Any]) -> None:
        process.stdin.write(f"{json.dumps(what)}\n")
        process.stdin.flush()

    def heard() -> dict[str, Any]:
        if not (line := process.stdout.readline()):
            raise SystemExit(f"{name} ended with exit code {process.wait()}")
        return json.loads(line)

    def asked(what: Mapping[str, Any]) -> dict[str, Any]:
        tell(what)
        return heard()

    asked.tell, asked.heard = tell, heard
    try:
        yield asked
    finally:
        process.kill()
        process.wait()


def _offered(home: Path, worker: Any, done: int, rate: int, count: int) -> Latency:
    """Return the next `count` events at that rate, while the worker works."""
    log = home / f"{rate}.npy"
    with _process("publisher", home) as publisher:
        publisher({"first": done, "count": count, "rate": rate})
        worker.tell({"through": done + count, "limit": LIMIT, "log": str(log)})
        publisher.tell({})
        publisher.heard()
        took = worker.heard()
    batches = dict(zip(LOG, np.load(log).T, strict=True))
    committed = np.repeat(batches["committed"], batches["events"])
    with sqlite3.connect(home / "events.db") as connection:
        query = "SELECT published_us FROM event WHERE number > ? AND number <= ? ORDER BY number"
        published = np.array(connection.execute(query, (done, done + count)).fetchall())[:, 0]
    assert len(committed) == count
    return Latency(
        offered=rate,
        published_rate=float((count - 1) / (published[-1] - published[0]) * 1e6),
        done_rate=float(count / (committed[-1] - published[0] * 1000) * 1e9),
        cpu_us=took["cpu_s"] / count * 1e6,
        batch=count / len(batches["events"]),
        read=_quantiles(np.repeat(batches["committed"] - batches["started"], batches["events"]) / 1e6),
        published=_quantiles(committed / 1e6 - published / 1e3),
        slowest=_slowest(batches),
    )


def _quantiles(ms: np.ndarray) -> dict[str, float]:
    return {"p50": float(np.quantile(ms, 0.5)), "p99": float(np.quantile(ms, 0.99)), "max": float(ms.max())}


def _slowest(batches: Mapping[str, np.ndarray]) -> str:
    """Break down the time of the slowest hundredth of batches, beside the median of all batches."""
    total = batches["committed"] - batches["started"]
    late = total >= np.quantile(total, 0.99)
    parts = {"reading": batches["reading"], "committing": batches["committing"], "garbage": batches["collecting"]}
    parts["features and model"] = total - sum(parts.values())
    said = [f"{name} {part[late].mean() / 1e6:.1f} ({np.median(part) / 1e6:.1f})" for name, part in parts.items()]
    working = batches["working"]
    waited = f"on the CPU {working[late].mean() / 1e6:.1f} of {total[late].mean() / 1e6:.1f}"
    return f"{', '.join(said)}; {waited} ({np.median(working) / 1e6:.1f} of {np.median(total) / 1e6:.1f})"


def _state(home: Path, events: int, rss_mb: float) -> State:
    file = home / "streams.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        counts = "SELECT (SELECT count(*) FROM fraud_payment), (SELECT count(*) FROM fraud_scored)"
        payments, scored = connection.execute(counts).fetchone()
        query = "SELECT key, count(*), avg(length(packed)), max(length(packed)) FROM fraud_history GROUP BY key"
        keys = {key: (count, mean, most) for key, count, mean, most in connection.execute(query)}
    connection.close()
    return State(events, rss_mb, file.stat().st_size / 2**20, payments, scored, keys)


def _section(drained: list[dict[str, Any]], states: list[State], latencies: list[Latency]) -> str:
    events, cpu_s, wall_s = (sum(one[name] for one in drained) for name in ("events", "cpu_s", "seconds"))
    alerts = sum(one["alerts"] for one in drained)
    slow, full = latencies[0], states[len(states) // 2]
    growth = states[-1].rss_mb / full.rss_mb
    return "\n".join(
        [
            "## Fraud: the stream's worker",
            "",
            (__doc__ or "").split("\n\n", 1)[1].strip(),
            "",
            "### A full queue",
            "",
            f"{events:,} events ({sum(one['payments'] for one in drained):,} payments scored, {alerts:,} alerts with "
            f"exact reasons) in {wall_s:.0f} s, {cpu_s:.0f} CPU s: {cpu_s / events * 1e6:.0f} CPU µs per event.",
            "",
            f"- {_verdict(events / wall_s >= RATE_BUDGET)} {events / wall_s:,.0f} events per second "
            f"({events / cpu_s:,.0f} per CPU second; one process, one thread; budget {RATE_BUDGET:,}).",
            "",
            "| events done | worker's RSS MiB | store's file MiB | payments kept | scored kept "
            "| bytes per customer, mean / largest | bytes per terminal, mean / largest |",
            "|---|---|---|---|---|---|---|",
            *(_state_line(state) for state in states),
            "",
            f"- {_verdict(growth <= FLAT_BUDGET)} memory from {full.events:,} events on, when the windows (30 days, 7 "
            f"of delay, 7 for what is late) are full: {growth:.3f} of what it was (budget {FLAT_BUDGET}).",
            "",
            "### Events at a steady rate",
            "",
            "Another process publishes every 5 ms what is due; the worker looks every 2 ms. Each event's ms from the "
            "worker's asking for its batch to the commit of alerts, features and offset; and from its publication.",
            "",
            "| offered per s | published per s | done per s | events per batch | CPU µs per event "
            "| read to commit: p50 / p99 / max ms | publication to commit: p50 / p99 / max ms |",
            "|---|---|---|---|---|---|---|",
            *(_latency_line(one) for one in latencies),
            "",
            f"- {_verdict(slow.read['p99'] <= P99_BUDGET_MS)} p99 from reading to commit at {slow.offered}/s: "
            f"{slow.read['p99']:.1f} ms (budget {P99_BUDGET_MS}).",
            *(
                f"- Slowest 1 % of batches at {one.offered:,}/s, ms (median of all): {one.slowest}."
                for one in latencies
            ),
        ]
    )


def _state_line(state: State) -> str:
    keys = " | ".join(f"{state.keys[key][1]:,.0f} / {state.keys[key][2]:,}" for key in ("customer_id", "terminal_id"))
    return (
        f"| {state.events:,} | {state.rss_mb:.0f} | {state.store_mb:.0f} | {state.payments:,} | {state.scored:,} "
        f"| {keys} |"
    )


def _latency_line(one: Latency) -> str:
    times = " | ".join(f"{ms['p50']:.1f} / {ms['p99']:.1f} / {ms['max']:.0f}" for ms in (one.read, one.published))
    return (
        f"| {one.offered:,} | {one.published_rate:,.0f} | {one.done_rate:,.0f} | {one.batch:.1f} | {one.cpu_us:.0f} "
        f"| {times} |"
    )


def _verdict(met: bool) -> str:
    return "met:" if met else "**missed:**"


if __name__ == "__main__":
    main()
