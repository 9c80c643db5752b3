"""Exposures and outcomes that come as events: from the queue into the lake, each once.

They stand beside the tables that the source delivers, in `logged_exposures` and `logged_outcomes`, with their columns.
Rows are stored before their events are acknowledged, and known ids are left out: a crash in between changes nothing.
"""

# pyright: basic

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.ingestion.completeness_log import DayCounts, mark_complete
from models.contracts import CONTRACTS, DELIVERED_ON, EXPOSURES
from models.event_types import EXPOSURE_SHOWN, OUTCOME_HAPPENED
from models.experiments.exposure_events import rows_of_event
from resources.events.port import Delivered, Events
from resources.lake.port import Lake

#: Consumer group of the queue.
GROUP = "experiments"
_BATCH = 5000
_TYPES = (EXPOSURE_SHOWN, OUTCOME_HAPPENED)


@dataclass
class Logged:
    """Counts of what a run took from the queue.

    Attributes:
        events: that were read, those of other types included.
        rows: contracted table -> rows that were stored.
        known: rows whose id was stored before, or twice at once.
        refused: events that went to the dead letters.
    """

    events: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])
    known: int = 0
    refused: int = 0


def logged_table(table: str) -> str:
    """Return the lake table of a contracted table's rows that came as events."""
    return f"logged_{table}"


def store_events(events: Events, lake: Lake, day: date) -> Logged:
    """Store every waiting exposure and outcome, and mark the day as complete if the queue ever held one.

    A row counts as delivered on the day of the run, or on its own if that is later.

    Args:
        events: the queue.
        lake: where the rows go.
        day: of the run, UTC.
    """
    done = Logged()
    while delivered := events.read(GROUP, limit=_BATCH):
        refused = _store_batch(lake, delivered, day, done)
        for one, reason in refused:
            events.reject(GROUP, one, reason)
        kept = {one.offset for one in delivered} - {one.offset for one, _ in refused}
        events.acknowledge(GROUP, sorted(kept))
        done.events += len(delivered)
        done.refused += len(refused)
    exposures = logged_table(EXPOSURES.table)
    if lake.exists(exposures):
        with lake.lock(exposures):
            mark_complete(lake, exposures, {day: DayCounts(lake.rows_by_day(exposures).get(day, 0), 0)})
    return done


def _store_batch(lake: Lake, delivered: Sequence[Delivered], day: date, done: Logged) -> list[tuple[Delivered, str]]:
    """Store the rows of a batch; return the events that are refused, with the reason."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    refused: list[tuple[Delivered, str]] = []
    for one in delivered:
        if one.event.type not in _TYPES:
            continue
        try:
            table, found = rows_of_event(one.event)
        except ValueError as error:
            refused.append((one, f"no {one.event.type}: {error}"))
            continue
        rows[table] += [{**row, DELIVERED_ON: max(day, one.event.time.date())} for row in found]
    for table, found in rows.items():
        added = _append(lake, table, found)
        done.rows[table] = done.rows.get(table, 0) + added
        done.known += len(found) - added
    return refused


def _append(lake: Lake, table: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add rows whose key is new, and return their number."""
    contract, name = CONTRACTS[table], logged_table(table)
    by_key = {row[contract.key]: row for row in reversed(rows)}
    with lake.lock(name):
        known = _known(lake, name, contract.key, list(by_key))
        new = [row for key, row in by_key.items() if key not in known]
        for day in sorted({row[DELIVERED_ON] for row in new}):
            of_day = pa.Table.from_pylist([row for row in new if row[DELIVERED_ON] == day], contract.lake_schema())
            before = [lake.scan(name, first=day, last=day).to_table()] if lake.exists(name) else []
            together = pa.concat_tables([*(one.cast(of_day.schema) for one in before), of_day])
            lake.replace(name, together.sort_by(contract.key), by=DELIVERED_ON, first=day, last=day)
    return len(new)


def _known(lake: Lake, name: str, key: str, ids: Sequence[str]) -> set[str]:
    if not lake.exists(name):
        return set()
    found = lake.scan(name).to_table(columns=[key], filter=pc.field(key).isin(ids))
    return set(found[key].to_pylist())
