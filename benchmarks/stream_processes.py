"""The processes of `benchmarks.fraud_stream`: one that prepares, one that publishes at a steady rate, and the worker.

Each is `python -m benchmarks.stream_processes NAME HOME ...`; the worker and the publisher obey lines of JSON on their
input, and answer each with one. The home is one of profile `fraud-handbook`: every part is what `tessera` opens there.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmarks.handbook import FIRST, LAST, filled

if TYPE_CHECKING:
    from models.events import Event
    from resources.stack.loader import Stack

_PROFILE = "fraud-handbook"
_TRAINED_AS_OF = date(2018, 8, 21)
_AT_ONCE = 5_000
#: How often a publisher looks what is due, and a worker whether something came, as the queue does when it waits.
_TICK_SECONDS, _POLL_SECONDS = 0.005, 0.002
#: Columns of a worker's log, one row per batch: what it did, when, and for how long, ns; `working` is CPU time.
LOG = ("position", "events", "started", "committed", "reading", "committing", "collecting", "working")


def main() -> None:
    """Be one of them."""
    name, home, *more = sys.argv[1:]
    {"history": history, "queue": queue, "model": model, "worker": worker, "publisher": publisher}[name](
        opened(Path(home)), *more
    )


def opened(home: Path) -> Stack:
    """Return the stack of that home."""
    from resources.stack.loader import ROOT, load_stack

    return load_stack(ROOT / "stack.yaml", _PROFILE, str(home), os.environ)


def history(stack: Stack) -> None:
    """Write the lake, and every payment and every fraud that became known, in that order, as rows of a file."""
    import pyarrow.compute as pc

    from models.fraud.replay import payment_history

    lake = filled(stack.home / "lake")
    frauds = lake.scan("payment_labels").to_table(filter=pc.field("is_fraud"))
    tables = {"payments": lake.scan("payments"), "labels": frauds}
    rows = stack.open("engine").query(payment_history, tables, first=FIRST, last=LAST)
    with pa.OSFile(str(_file(stack)), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)


def queue(stack: Stack, count: str) -> None:
    """Publish the first `count` events to the queue."""
    events = stack.open("events")
    for first in range(0, int(count), _AT_ONCE):
        events.publish(_events(stack, first, min(_AT_ONCE, int(count) - first)))


def model(stack: Stack, quick: str = "") -> None:
    """Register a champion as the job `fraud_training` does; when `quick`, of few trees."""
    from assets.fraud.training import task, training_set
    from assets.stages.training import judged
    from resources.trainer.xgboost import XGBoostTrainerConfig

    registry, settings = stack.open("registry"), stack.settings.fraud
    trainer = XGBoostTrainerConfig(max_rounds=20, folds=2) if quick else XGBoostTrainerConfig()
    rows = training_set(stack.open("lake"), stack.open("engine"), settings, _TRAINED_AS_OF)
    found = judged(task(rows, settings), [trainer.open()], registry, _TRAINED_AS_OF)
    registry.set_champion(
        "fraud", found.version, action="promote", why="benchmark", who="benchmark", run_id="", metrics=found.metrics
    )


def publisher(stack: Stack) -> None:
    """For `{"first", "count", "rate"}`: says when these events are ready, and after the next line offers them."""
    events = stack.open("events")
    for asked in _asked():
        given = _events(stack, asked["first"], asked["count"])
        _say({})
        sys.stdin.readline()
        started, sent = time.monotonic(), 0
        while sent < len(given):
            due = min(int((time.monotonic() - started) * asked["rate"]) + 1, len(given))
            if due > sent:
                events.publish(given[sent:due])
                sent = due
            time.sleep(max(min(_TICK_SECONDS, started + sent / asked["rate"] - time.monotonic()), 0.0005))
        _say({"seconds": time.monotonic() - started})


def worker(stack: Stack) -> None:
    """For `{"through", "limit", "log"}`: scores until that offset is committed, and says what it took."""
    from assets.fraud.stream.champion import FraudChampion
    from assets.fraud.stream.lake_context import fraud_processor
    from assets.fraud.stream.state import FraudState

    events, store, champion = stack.open("events"), stack.open("state_store"), FraudChampion(stack.open("registry"))
    store = FraudState(store, stack.open("alert_store"))
    stream = fraud_processor(events, store, stack.open("lake"), stack.open("engine"), stack.settings.fraud)
    watch = _Watch(events, store)
    for asked in _asked():
        rows, alerts, payments = [], 0, 0
        started, before = time.perf_counter(), getrusage(RUSAGE_SELF)
        while watch.position < asked["through"]:
            champion.refresh()
            with watch.batch() as row:
                step = stream.process(champion, limit=asked["limit"])
            if step.events:
                alerts, payments = alerts + len(step.alerts), payments + step.payments
                rows.append((watch.position, step.events, *row))
            else:
                time.sleep(_POLL_SECONDS)
        seconds, after = time.perf_counter() - started, getrusage(RUSAGE_SELF)
        if asked["log"]:
            np.save(asked["log"], np.array(rows, dtype=np.int64))
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        done = {"events": sum(row[1] for row in rows), "payments": payments, "alerts": alerts}
        _say({**done, "seconds": seconds, "cpu_s": cpu_s, "rss_mb": _resident_mb()})


class _Watch:
    """Times at which batches were requested, read and committed (ns), and the duration of garbage collection."""

    def __init__(self, events: Any, store: Any) -> None:
        self.position = store.position()[0]
        self._reading = self._committing = self._committed = self._working = 0
        self._collecting = self._collecting_since = 0
        events.read, store.commit = (
            self._timed(events.read, "_reading"),
            self._timed(self._noted(store.commit), "_committing"),
        )
        gc.callbacks.append(self._collected)

    @contextmanager
    def batch(self) -> Iterator[list[int]]:
        """Provide the columns of `LOG` from `started` on, filled in at the end."""
        started, cpu, collecting = time.time_ns(), time.thread_time_ns(), self._collecting
        row: list[int] = []
        yield row
        row += [started, self._committed, self._reading, self._committing]
        row += [self._collecting - collecting, self._working - cpu]

    def _timed(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            started = time.perf_counter_ns()
            try:
                return call(*given, **named)
            finally:
                setattr(self, name, time.perf_counter_ns() - started)

        return timed

    def _noted(self, commit: Callable[[Any], None]) -> Callable[[Any], None]:
        def noted(batch: Any) -> None:
            commit(batch)
            self.position, self._committed, self._working = batch.position, time.time_ns(), time.thread_time_ns()

        return noted

    def _collected(self, phase: str, _info: object) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter_ns()
        else:
            self._collecting += time.perf_counter_ns() - self._collecting_since


def _file(stack: Stack) -> Path:
    return stack.home / "history.arrow"


def _events(stack: Stack, first: int, count: int) -> list[Event]:
    """Those events of the history, counted from 0."""
    from models.fraud.replay import events_of

    with pa.memory_map(str(_file(stack))) as source:
        rows = pa.ipc.open_file(source).read_all().slice(first, count)
        return [event for batch in rows.to_batches() for event in events_of(batch)]


def _asked() -> Iterator[dict[str, Any]]:
    while line := sys.stdin.readline():
        yield json.loads(line)


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _resident_mb() -> float:
    """MiB in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
