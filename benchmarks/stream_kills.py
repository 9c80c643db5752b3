"""The fraud stream's worker killed by `kill -9` at random moments of a replay, against one that runs undisturbed.

Real payments of the fraud handbook and their frauds, a week later, at 1,000 of its terminals. Both work on the same
events, published alike. Each worker is killed up to 20 ms after it had passed an offset that was drawn; its successor
goes on. In the end everything the two stores say must be the same, row by row: payments, scores and features, alerts
with their payments and reasons, the windows' state of each customer and terminal, and how far each has read.
"""

import argparse
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.handbook import ROOT
from benchmarks.report import replace_section
from tests.faults.fraud_stream_kills import contents, histories, killed, published, workers
from tests.faults.fraud_stream_process import opened, work
from tests.unit.features.handbook import replayed

EVENTS, KILLS, TERMINALS, LIMIT = 100_000, 60, 1_000, 100
_QUICK_EVENTS, _QUICK_KILLS = 10_000, 10
_DELAY_SECONDS = 0.02
_SEED = 11


def main() -> None:
    """Kill, compare and write the section."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true", help="a short replay; the section is printed")
    arguments.add_argument("--dry", action="store_true", help="print the section instead of writing it")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tessera-stream-kills-"))
    try:
        body = _measured(folder, *((_QUICK_EVENTS, _QUICK_KILLS) if options.quick else (EVENTS, KILLS)))
    finally:
        shutil.rmtree(folder)
    print(body)
    if not (options.dry or options.quick):
        replace_section("stream-kills", body, libraries=["pydantic"])


def _measured(folder: Path, count: int, kills: int) -> str:
    data = Path(os.environ.get("TESSERA_DATA_DIR", ROOT / "../shared/data/fraud_handbook")).resolve()
    given = replayed(data.parent, count, terminals=TERMINALS)
    once, disturbed = folder / "once", folder / "disturbed"
    for place in (once, disturbed):
        published(place, given)
    work(once, LIMIT)
    print("the undisturbed worker is done", file=sys.stderr)
    started = time.perf_counter()
    moments = _killed(disturbed, count, kills)
    work(disturbed, LIMIT)
    seconds = time.perf_counter() - started
    backlog = sum(opened(place)[0].backlog("fraud") for place in (once, disturbed))
    return _section(len(given), moments, seconds, backlog, _everything(once), _everything(disturbed))


def _killed(folder: Path, count: int, kills: int) -> Counter[str]:
    """Kill a worker repeatedly and count the kills by stage of its batch."""
    draw = random.Random(_SEED)  # noqa: S311 - not for secrets
    offsets = sorted(draw.randrange(int(count * 0.97)) for _ in range(kills))
    moments: Counter[str] = Counter()
    with workers() as start:
        for beyond in offsets:
            while not killed(start, folder, LIMIT, beyond=beyond, seconds=draw.random() * _DELAY_SECONDS):
                print("a worker had ended before it was killed", file=sys.stderr)
            moments[_moment(folder)] += 1
    return moments


def _moment(folder: Path) -> str:
    with sqlite3.connect(folder / "events.db") as connection:
        (first,) = connection.execute("SELECT min(number) FROM delivery").fetchone()
    if first is None:
        return "between two batches"
    committed = first <= opened(folder)[1].position()[0]
    return "after the commit, before the events were acknowledged" if committed else "before the commit"


def _everything(folder: Path) -> dict[str, dict[Any, Any]]:
    """Table -> key -> row."""
    found = {name: {row[:2]: row for row in rows} for name, rows in contents(folder).items()}
    return {**found, "window state": dict(histories(folder))}


def _section(
    events: int,
    moments: Counter[str],
    seconds: float,
    backlog: int,
    once: dict[str, dict[Any, Any]],
    disturbed: dict[str, dict[Any, Any]],
) -> str:
    counted = {name: _compared(once[name], disturbed[name]) for name in once}
    met = not backlog and all(not any(numbers[1:]) for numbers in counted.values())
    lines = [f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |" for name, numbers in counted.items()]
    said = ", ".join(f"{number} {moment}" for moment, number in moments.most_common())
    return "\n".join(
        [
            "## Fraud: the stream's worker killed",
            "",
            (__doc__ or "").strip(),
            "",
            f"{events:,} events, {moments.total()} kills ({said}), {seconds:.0f} s with them; {backlog} events left.",
            "",
            "| | rows without kills | lost | added | different |",
            "|---|---|---|---|---|",
            *lines,
            "",
            f"- {'met:' if met else '**missed:**'} nothing lost, nothing doubled, nothing different "
            f"(wanted: at least 50 kills in 100,000 events).",
        ]
    )


def _compared(once: dict[Any, Any], disturbed: dict[Any, Any]) -> tuple[int, int, int, int]:
    lost, added = once.keys() - disturbed.keys(), disturbed.keys() - once.keys()
    different = [key for key in once.keys() & disturbed.keys() if once[key] != disturbed[key]]
    return len(once), len(lost), len(added), len(different)


if __name__ == "__main__":
    main()
