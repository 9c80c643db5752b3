"""Kill and damage everything that works in a home, and write how it recovers: docs/recovery.json and docs/recovery.md.

TMPDIR=/dev/shm python -m benchmarks.recovery --count 200     # the long mode: so many kills in all
python -m benchmarks.recovery --count 200 --seconds 400 --base FOLDER    # a part of it: call it until nothing is left
python -m benchmarks.recovery --only rollback --count 200 --dry

Kills add up over the calls, in benchmarks/recovery/results.json: delete that for a new measurement.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.handbook import ROOT
from benchmarks.recovery.damage import damaged
from benchmarks.recovery.faults import FAULTS
from benchmarks.recovery.home import made
from benchmarks.recovery.killing import killed
from benchmarks.recovery.notice_times import notice_times
from benchmarks.recovery.page import measured, write_result
from benchmarks.recovery.streams import killed_workers
from benchmarks.recovery.works import STREAM_COUNT, WORKS, Work
from tests.unit.features.handbook import replayed

_SEED = 11
_EVENTS = 6_000
#: Kills of the long mode, of which works have their counts.
_LONG = 200
_TWO = "kill: two fraud workers"


def main() -> None:
    """Measure what was asked for and is missing, and keep what was measured before."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=60, help="kills of all works together, with earlier calls'")
    arguments.add_argument("--only", default="", help="works or faults whose name holds this")
    arguments.add_argument("--base", type=Path, help="a base home that was made before, or where to keep it")
    arguments.add_argument("--seconds", type=float, default=float("inf"), help="after which nothing further begins")
    arguments.add_argument("--again", action="store_true", help="measure faults that were measured before, too")
    arguments.add_argument("--dry", action="store_true", help="print the results instead of writing them")
    options = arguments.parse_args()
    options.until = time.monotonic() + options.seconds
    folder = Path(tempfile.mkdtemp(prefix="tessera-recovery-"))
    try:
        for name, result in _measured(options, folder):
            if options.dry:
                print(json.dumps({name: result}, indent=1))
            else:
                write_result(name, result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    base, known = made(options.base or folder / "base"), measured()
    draw = random.Random(_SEED + sum(one.get("kills", 0) for one in known.values()))  # noqa: S311 - not for secrets
    asked = [work for work in WORKS if options.only in f"kill: {work.name}"]
    # The work that lacks most comes first, so that several short calls measure all of them.
    for work in sorted(asked, key=lambda work: _share(known, work)):
        name = f"kill: {work.name}"
        left = round(options.count * work.count / _LONG) - known.get(name, {}).get("kills", 0)
        for result in killed(work, base, folder, left, draw, options.until):
            print(f"{work.name}: {', '.join(result.different) or 'the same'}", file=sys.stderr)
            yield name, result.as_json()
    left = round(options.count * STREAM_COUNT / _LONG) - known.get(_TWO, {}).get("kills", 0)
    if options.only in _TWO and left > 1:
        yield _TWO, _streams(folder, left, draw)
    if options.only in "notice: " or options.only.startswith("notice: "):
        for told in notice_times(base, folder):
            yield f"notice: {told.name}", told.as_json()
    for fault in FAULTS:
        name = f"fault: {fault.name}"
        due = options.only in name and (options.again or name not in known)
        if due and time.monotonic() < options.until:
            print(f"{fault.name} ...", file=sys.stderr)
            yield name, damaged(fault, base, folder).as_json()


def _share(known: Mapping[str, Mapping[str, Any]], work: Work) -> float:
    return known.get(f"kill: {work.name}", {}).get("kills", 0) / work.count


def _streams(folder: Path, count: int, draw: random.Random) -> Mapping[str, Any]:
    data = Path(os.environ.get("TESSERA_DATA_DIR", ROOT / "../shared/data/fraud_handbook")).resolve()
    events = replayed(data.parent, _EVENTS, terminals=1_000)
    return killed_workers(events, folder / "stream", max(count // 2, 1), draw).as_json()


if __name__ == "__main__":
    main()
