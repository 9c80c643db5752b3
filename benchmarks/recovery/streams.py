"""Two workers of the fraud stream on one queue, both killed at random offsets, against one that is undisturbed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from benchmarks.recovery.killing import Killed
from models.events import Event
from tests.faults.fraud_stream_kills import Start, contents, published, workers
from tests.faults.fraud_stream_process import opened, work

_LIMIT, _DELAY_SECONDS, _POLL_SECONDS = 50, 0.02, 0.0005


def killed_workers(events: list[Event], folder: Path, pairs: int, draw: random.Random) -> Killed:
    """Kill `pairs` pairs of workers; the last pair is left to end."""
    once, disturbed = folder / "once", folder / "disturbed"
    for place in (once, disturbed):
        place.mkdir(parents=True)
        published(place, events)
    found = Killed("two fraud workers", "tessera stream fraud (twice)")
    started = time.perf_counter()
    work(once, _LIMIT)
    found.clean_seconds = round(time.perf_counter() - started, 2)
    offsets = sorted(draw.randrange(int(len(events) * 0.9)) for _ in range(pairs))
    with workers() as first, workers() as second:
        for beyond in offsets:
            _kill_both((first, second), disturbed, beyond, draw, found)
        for _, ended in [start(disturbed, _LIMIT) for start in (first, second)]:
            ended()
    _compare(once, disturbed, found)
    return found


def _kill_both(starts: tuple[Start, Start], folder: Path, beyond: int, draw: random.Random, found: Killed) -> None:
    store = opened(folder)[1]
    started = [start(folder, _LIMIT) for start in starts]
    moved_from = max(store.position()[0], beyond)
    while store.position()[0] <= moved_from:
        time.sleep(_POLL_SECONDS)
    for pid, ended in started:
        time.sleep(draw.random() * _DELAY_SECONDS)
        os.kill(pid, signal.SIGKILL)
        if ended() == -signal.SIGKILL:
            found.kills += 1
        else:
            found.missed += 1


def _compare(once: Path, disturbed: Path, found: Killed) -> None:
    """Compare which payments, scores and alerts of payments there are, each once.

    Scores are not compared: they depend on the order of payments of several customers at one terminal, which two
    workers do not keep (they keep that of each customer), killed or not.
    """
    if opened(disturbed)[0].backlog("fraud"):
        found.different.append("events are left in the queue")
    for table in ("fraud_payment", "fraud_scored"):
        wanted, now = ([row[:2] for row in contents(place)[table]] for place in (once, disturbed))
        if wanted != now:
            found.different.append(f"{table}: {len(wanted)} rows, now {len(now)}")
