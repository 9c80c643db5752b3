"""Kill and damage everything that works in a home, and write how it recovers: docs/recovery.json and docs/recovery.md.

TMPDIR=/dev/shm python -m benchmarks.recovery --count 200     # the long mode: so many kills in all
python -m benchmarks.recovery --only rollback --count 5 --dry
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.handbook import ROOT
from benchmarks.recovery.damage import damaged
from benchmarks.recovery.faults import FAULTS
from benchmarks.recovery.home import made
from benchmarks.recovery.killing import killed
from benchmarks.recovery.page import write_results
from benchmarks.recovery.streams import killed_workers
from benchmarks.recovery.works import STREAM_SHARE, WORKS
from tests.unit.features.handbook import replayed

_SEED = 11
_EVENTS = 6_000


def main() -> None:
    """Measure what was asked for, and keep what was measured before of the rest."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=60, help="kills, spread evenly over the works")
    arguments.add_argument("--only", default="", help="works or faults whose name holds this")
    arguments.add_argument("--base", type=Path, help="a base home that was made before, or where to keep it")
    arguments.add_argument("--dry", action="store_true", help="print the results instead of writing them")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tessera-recovery-"))
    try:
        for name, result in _measured(options, folder):
            if options.dry:
                print(json.dumps({name: result}, indent=1))
            else:
                write_results({name: result})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    base = made(options.base or folder / "base")
    draw = random.Random(_SEED + options.count)  # noqa: S311 - not for secrets
    for work in WORKS:
        if options.only in f"kill: {work.name}":
            result = killed(work, base, folder, max(round(options.count * work.share), 1), draw)
            print(f"{work.name}: {result.kills} kills, {len(result.different)} different", file=sys.stderr)
            yield f"kill: {work.name}", result.as_json()
    if options.only in "kill: two fraud workers":
        yield "kill: two fraud workers", _streams(folder, round(options.count * STREAM_SHARE), draw)
    for fault in FAULTS:
        if options.only in f"fault: {fault.name}":
            print(f"{fault.name} ...", file=sys.stderr)
            yield f"fault: {fault.name}", damaged(fault, base, folder).as_json()


def _streams(folder: Path, count: int, draw: random.Random) -> Mapping[str, object]:
    data = Path(os.environ.get("TESSERA_DATA_DIR", ROOT / "../shared/data/fraud_handbook")).resolve()
    events = replayed(data.parent, _EVENTS, terminals=1_000)
    return killed_workers(events, folder / "stream", max(count // 2, 1), draw).as_json()


if __name__ == "__main__":
    main()
