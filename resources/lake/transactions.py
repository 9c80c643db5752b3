"""Versions of a Delta table: which files are added and removed by a commit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date

import pyarrow.fs as pa_fs
from deltalake import CommitProperties, DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from resources.lake.manifest import Manifest
from resources.lake.open_tables import OpenTable
from resources.lake.parts import Part, digest_of, is_intact
from resources.lake.removal import Rewritten


def listing(manifest: Manifest, first: date, last: date) -> dict[date, dict[str, int]]:
    """Size in bytes of each file, by day and by path relative to the table."""
    found: dict[date, dict[str, int]] = {}
    for path, file in manifest.files.items():
        if first <= file.day <= last:
            found.setdefault(file.day, {})[path] = file.size
    return found


def commit_days(
    standing: DeltaTable,
    files: pa_fs.FileSystem,
    by: str,
    replaced: Mapping[date, Mapping[str, int]],
    parts: Mapping[date, Sequence[Part]],
) -> bool:
    """Commit a version in which the days of `replaced` and `parts` hold exactly `parts`; False: they did already."""
    adds: list[AddAction | RemoveAction] = []
    removes: list[AddAction | RemoveAction] = []
    now_ms = int(time.time() * 1000)
    for day in sorted({*replaced, *parts}):
        old, new = replaced.get(day, {}), parts.get(day, [])
        same = [digest_of(path) for path in sorted(old)] == [part.digest for part in new]
        if same and all(is_intact(files, path, size) for path, size in old.items()):
            for part in new:
                files.delete_file(part.path)
            continue
        adds += [added(part.path, part.size, part.rows, part.day, by) for part in new]
        removes += [RemoveAction(path, True, now_ms, old[path], {by: day.isoformat()}) for path in sorted(old)]
    if adds or removes:
        _transact(standing, by, [*adds, *removes], {*replaced, *parts})
    return bool(adds or removes)


def commit_added(standing: DeltaTable, by: str, parts: Mapping[date, Sequence[Part]]) -> bool:
    """Commit a version in which days hold `parts` beside what they held; False: there are none."""
    actions: list[AddAction | RemoveAction] = [
        added(part.path, part.size, part.rows, part.day, by) for day in sorted(parts) for part in parts[day]
    ]
    if actions:
        _transact(standing, by, actions, parts.keys())
    return bool(actions)


def commit_rewritten(standing: OpenTable, rewritten: Sequence[Rewritten]) -> None:
    """Commit a version in which each of these files is replaced by what was written without the removed rows."""
    by, sizes = standing.manifest.by, {path: file.size for path, file in standing.manifest.files.items()}
    now_ms = int(time.time() * 1000)
    parts = [change.part for change in rewritten if change.part]
    actions: list[AddAction | RemoveAction] = [added(p.path, p.size, p.rows, p.day, by) for p in parts]
    for change in rewritten:
        partition: dict[str, str | None] = {by: change.day.isoformat()}
        actions.append(RemoveAction(change.path, True, now_ms, sizes[change.path], partition))
    _transact(standing.delta, by, actions, {change.day for change in rewritten})


def commit_without(standing: OpenTable, days: AbstractSet[date]) -> None:
    """Commit a version without any file of `days`."""
    by, now_ms = standing.manifest.by, int(time.time() * 1000)
    actions: list[AddAction | RemoveAction] = [
        RemoveAction(path, True, now_ms, file.size, {by: file.day.isoformat()})
        for path, file in sorted(standing.manifest.files.items())
        if file.day in days
    ]
    _transact(standing.delta, by, actions, days)


def added(path: str, size: int, rows: int, day: date, by: str) -> AddAction:
    """Return the entry of Delta's log for a file of a day."""
    # No limits of columns: with limits for some columns, `to_pyarrow_dataset` of deltalake 1.6.6 takes the limits of
    # the others for null, and a filter on one of those silently finds no rows.
    statistics = json.dumps({"numRecords": rows})
    return AddAction(path, size, {by: day.isoformat()}, int(time.time() * 1000), True, statistics)


def _transact(standing: DeltaTable, by: str, actions: list[AddAction | RemoveAction], days: AbstractSet[date]) -> None:
    span = f"{min(days)}..{max(days)}"
    properties = CommitProperties(custom_metadata={"days": span})
    standing.create_write_transaction(actions, "append", standing.schema(), [by], commit_properties=properties)
    standing.update_incremental()
