"""docs/recovery.md, made of benchmarks/recovery/results.json: each measured kill and fault with its way back."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.stack.loader import ROOT

RESULTS = Path(__file__).resolve().parent / "results.json"
PAGE = ROOT / "docs" / "recovery.md"
_HEAD = """# Recovery

What happens when a process is killed, a disk is full or a file is damaged, and the way back. Written by
`TMPDIR=/dev/shm python -m benchmarks.recovery --count 200` (in parts: `--seconds 400 --base FOLDER`, again and again)
from measurements on a small simulated shop (700 customers, 120 days), in `benchmarks/recovery/results.json`. CPU
seconds depend on the machine and on what else it does; compare them within a row.
"""
_KILLS = """## Killed by SIGKILL at random times

Each kill strikes a new copy of one home, at a time drawn evenly from the duration of an undisturbed run. Then the same
command runs again, and everything that readers see is compared with the undisturbed run: published rows, champions,
every table of the lake; of `rollback` the ledger, of `forget` every file that holds the id. Of two stream workers that
are killed together it is compared that each payment was scored once: two workers do not fix the order of customers at
one terminal, and scores depend on it, without kills too (`benchmarks/stream_kills.py` compares the scores of one
worker). *Recovery* is CPU seconds of the rerun over those of the undisturbed run: below 1 where finished steps are
kept; "-" where CPU was not measured.

| work | kills | ended before | different afterwards | clean run, CPU s | recovery, median (largest) | command |
|---|---|---|---|---|---|---|
"""
_FAULTS = """## Damage

Each fault strikes a new copy of the home before the night; *seen* is what the night says. Then the way back is taken,
the same night runs again, and is compared as above.

| fault | seen (exit code) | way back | lost | afterwards | CPU seconds of the night after the way back (clean) |
|---|---|---|---|---|---|
"""


#: What adds up over the calls, of kills.
_SUMS, _LISTS = ("kills", "missed"), ("times", "recovery", "different", "said")


def measured() -> dict[str, dict[str, Any]]:
    """Return what was measured so far, by work or fault."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


#: What is tried in process and has no seconds.
_STREAMS = Path(__file__).with_name("streams_and_clock.md")
_NOTICES = """## From fault to notice

Seconds until a receiver over HTTP has the notice, measured by `python -m benchmarks.recovery --only "notice: "`: of
runs from the end of the run, of what `tessera watch` finds from its start (add its interval), of a receiver that was
down from its return, for a notice of the outage's first and one of its last minute. Sensors of `tessera dev` look as
often as said; what they add was not measured.

| fault | found by | seconds, each time |
|---|---|---|
"""


def write_result(name: str, found: Mapping[str, Any]) -> None:
    """Add kills to those of the same work before, or put a fault in place of the one before; write the page."""
    known = measured()
    before = known.get(name, {}) if name.startswith("kill: ") else {}
    added = {key: before.get(key, 0) + found[key] for key in _SUMS if key in found}
    added |= {key: [*before.get(key, []), *found[key]] for key in _LISTS if name.startswith("kill: ")}
    known[name] = {**found, **added}
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(known))


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page."""
    kills = [one for name, one in results.items() if name.startswith("kill: ")]
    faults = [one for name, one in results.items() if name.startswith("fault: ")]
    notices = [one for name, one in results.items() if name.startswith("notice: ")]
    total, different = sum(one["kills"] for one in kills), sum(len(one["different"]) for one in kills)
    said = f"\n{total} kills in all; after {different} of them something was different.\n"
    return "\n".join(
        [
            _HEAD,
            _KILLS + "\n".join(map(_kill_row, kills)) + "\n" + said,
            _FAULTS + "\n".join(map(_fault_row, faults)) + "\n",
            _STREAMS.read_text() + "\n" + _NOTICES + "\n".join(map(_notice_row, notices)) + "\n",
        ]
    )


def _kill_row(one: Mapping[str, Any]) -> str:
    ratios, clean = one["recovery"], one["clean_cpu"]
    recovery = f"{statistics.median(ratios):.2f} ({max(ratios):.2f})" if ratios else "-"
    different = "none" if not one["different"] else "; ".join(one["different"]).replace("|", "/")
    cpu = f"{clean:.1f}" if clean else "-"
    cells = (one["work"], one["kills"], one["missed"], different, cpu, recovery, f"`{one['command']}`")
    return _row(cells)


def _fault_row(one: Mapping[str, Any]) -> str:
    said = re.sub(r"/\S*/fault-[^/\s]+", "HOME", re.sub(r"[│\s]+", " ", one["seen"])).strip().removeprefix("stopped ")
    seen = f"{said or 'as after an undisturbed run'} ({one['code']})"
    after = "the same" if not one["different"] else "; ".join(one["different"])
    seconds = f"{one['cpu_seconds']:.1f} ({one['clean_cpu']:.1f})" if one["clean_cpu"] else "-"
    return _row((one["name"], seen, one["way_back"], one["lost"], after, seconds))


def _notice_row(one: Mapping[str, Any]) -> str:
    return _row((one["name"], one["found_by"], ", ".join(f"{seconds:g}" for seconds in one["seconds"])))


def _row(cells: tuple[object, ...]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |"
