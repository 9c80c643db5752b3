"""Exposures and outcomes that come as events: from the queue into the lake, each once, by the contract.

They stand beside the tables that the source delivers, in `logged_exposures` and `logged_outcomes`, with their columns;
rows that break the contract are in `quarantine_logged_exposures` and `quarantine_logged_outcomes`. Rows are stored
before their events are acknowledged, and known ids are left out: a crash in between changes nothing.
"""

# pyright: basic

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.ingestion.completeness_log import DayCounts, logged_table, mark_complete, quarantine_of
from assets.stages.ingestion.erased_rows import without_erased
from models.contracts import CONTRACTS, DELIVERED_ON, EXPOSURES, ORIGINAL, QUARANTINE_SCHEMA
from models.contracts.checking import check_rows
from models.contracts.contract import Contract
from models.event_types import EXPOSURE_SHOWN, OUTCOME_HAPPENED
from models.experiments.exposure_events import rows_of_event
from resources.events.port import Delivered, Events
from resources.lake.port import Lake

#: Consumer group of the queue.
GROUP = "experiments"
_BATCH = 5000
_TYPES = (EXPOSURE_SHOWN, OUTCOME_HAPPENED)
#: Clocks of services may be ahead by so much; what lies further in the future breaks the contract.
_AHEAD = timedelta(days=1)
_NUMBER = "_number"


@dataclass
class Logged:
    """Counts of what a run took from the queue.

    Attributes:
        events: that were read, those of other types included.
        rows: contracted table -> rows that were stored.
        quarantined: rows that break their contract, and were not in quarantine yet.
        known: rows whose id was stored before, or twice at once; those of erased customers are in no count.
        refused: events that went to the dead letters.
    """

    events: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])
    quarantined: int = 0
    known: int = 0
    refused: int = 0


def store_events(
    events: Events, lake: Lake, day: date, *, run_id: str = "", now: datetime | None = None, batch: int = _BATCH
) -> Logged:
    """Store every waiting exposure and outcome, and mark the day as complete if the queue ever held one.

    A row counts as delivered on the day of the run, or on its own if that is later.

    Args:
        events: the queue.
        lake: where the rows go.
        day: of the run, UTC.
        run_id: kept with rows in quarantine.
        now: the time, UTC; None: that of the clock. Rows of more than a day later break the contract.
        batch: events that are read, stored and acknowledged at once.
    """
    done = Logged()
    arrival = _Arrival(lake, day, max(day, ((now or datetime.now(UTC)) + _AHEAD).date()), run_id, done)
    while delivered := events.read(GROUP, limit=batch):
        refused = arrival.store(delivered)
        for one, reason in refused:
            events.reject(GROUP, one, reason)
        kept = {one.offset for one in delivered} - {one.offset for one, _ in refused}
        events.acknowledge(GROUP, sorted(kept))
        done.events += len(delivered)
        done.refused += len(refused)
    arrival.mark_complete()
    return done


@dataclass(frozen=True)
class _Arrival:
    """Rows of events on their way into the lake."""

    lake: Lake
    day: date
    latest: date
    run_id: str
    done: Logged

    def store(self, delivered: Sequence[Delivered]) -> list[tuple[Delivered, str]]:
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
            else:
                rows[table] += found
        for table, found in rows.items():
            self._add(CONTRACTS[table], found)
        return refused

    def _add(self, contract: Contract, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows that keep the contract, and the others to its quarantine, unless they are there."""
        name, done = logged_table(contract.table), self.done
        with self.lake.lock(name):
            new = self._unknown(contract, rows)
            rows_in = [self._arrived(contract, row) for row in new]
            raw = _as_delivered(contract, rows_in)
            of_others = without_erased(self.lake, raw)
            checked, erased = check_rows(contract, of_others), raw.num_rows - of_others.num_rows
            refused = self._not_yet_refused(quarantine_of(name), _with_originals(checked.quarantined, rows_in))
            self.lake.append(quarantine_of(name), refused, by=DELIVERED_ON)
            self.lake.append(name, checked.kept, by=DELIVERED_ON)
        done.quarantined += refused.num_rows
        done.rows[contract.table] = done.rows.get(contract.table, 0) + checked.kept.num_rows
        done.known += len(rows) - checked.kept.num_rows - refused.num_rows - erased

    def _arrived(self, contract: Contract, row: Mapping[str, Any]) -> dict[str, Any]:
        own = row[str(contract.event)].date()
        return {**row, DELIVERED_ON: own if self.day < own <= self.latest else self.day}

    def _unknown(self, contract: Contract, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the first row of each key that is not stored; a key has one time, so only its days are looked at."""
        name, key = logged_table(contract.table), contract.key
        by_key = {row[key]: row for row in reversed(rows)}
        if not self.lake.exists(name):
            return list(reversed(by_key.values()))
        first = min(self.day, *(row[str(contract.event)].date() for row in rows))
        known = self.lake.scan(name, first=first).to_table(columns=[key], filter=pc.field(key).isin(list(by_key)))
        stored = set(known[key].to_pylist())
        return [row for each, row in reversed(by_key.items()) if each not in stored]

    def _not_yet_refused(self, name: str, refused: pa.Table) -> pa.Table:
        rows = refused.append_column("run_id", pa.array([self.run_id] * refused.num_rows, pa.string()))
        rows = rows.cast(QUARANTINE_SCHEMA)
        if not rows.num_rows or not self.lake.exists(name):
            return rows
        same = pc.field("original").isin(rows["original"].combine_chunks())
        standing = set(self.lake.scan(name).to_table(columns=["original"], filter=same)["original"].to_pylist())
        return rows.filter(pa.array([one not in standing for one in rows["original"].to_pylist()], pa.bool_()))

    def mark_complete(self) -> None:
        """Mark the day as complete, if an exposure ever came as an event."""
        name = logged_table(EXPOSURES.table)
        both = (name, quarantine_of(name))
        if any(map(self.lake.exists, both)):
            with self.lake.lock(name):
                counted = [self.lake.rows_by_day(one).get(self.day, 0) for one in both]
                mark_complete(self.lake, name, {self.day: DayCounts(*counted)})


def _as_delivered(contract: Contract, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a source delivers them; the original of each is its number, which is quicker to read."""
    schema = contract.lake_schema()
    table = pa.Table.from_pylist(list(rows), pa.schema([field.with_nullable(True) for field in schema]))
    return table.append_column(ORIGINAL, pa.array([f'{{"{_NUMBER}":{n}}}' for n in range(len(rows))], pa.string()))


def _with_originals(refused: pa.Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return refused rows with what came as their originals, in the place of the numbers of `rows`."""
    numbers = [json.loads(text)[_NUMBER] for text in refused["original"].to_pylist()]
    came = [{name: value for name, value in rows[n].items() if name != DELIVERED_ON} for n in numbers]
    originals = pa.array([json.dumps(row, default=str) for row in came], pa.string())
    return refused.set_column(refused.column_names.index("original"), "original", originals)
