"""Delivered rows of one table into the lake, under its contract; plain functions, usable without Dagster.

Lake tables beside each contracted table: `quarantine_<table>`, `arrivals_<table>` (when its files were first seen),
`fingerprint_<table>` (what filled it) and `ingested_<table>`, the record of the days that are complete. A day that is
not in the record is read again by the next run, and a day leaves the record before anything of it is written: so a
crash at any moment is repaired by running again.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from assets.stages.ingestion.arrivals import Arrival, Arrivals, Night, arrivals_of, goes_on, look, record, recorded
from assets.stages.ingestion.completeness_log import (
    DayCounts,
    complete_days,
    mark_incomplete,
    quarantine_of,
    record_of,
    uneven_days,
)
from assets.stages.ingestion.fingerprint import Fingerprint, fingerprint, keep, refuse_changed, standing, start_over
from models.contracts import CONTRACTS, Contract
from models.contracts.identifiers import trim_ids
from models.errors import TesseraError, choose_from
from models.ingestion import IngestionConfig
from models.tracing import traced
from resources.lake.port import Lake
from resources.source.port import Holdings, Identity, Source

if TYPE_CHECKING:
    from assets.stages.ingestion.table import DaysIngested

#: Rows that one step of a bulk ingestion aims at; it bounds memory (about 1 kB per row at the peak).
CHUNK_ROWS = 250_000
_FIRST_CHUNK_DAYS = 8
_MOST_CHUNK_DAYS = 400


@dataclass
class Ingested:
    """Result of one ingestion. `provided` is false when the source has no such table; counts are rows.

    Attributes:
        days: days read.
        rows_late: kept rows that were delivered on a later day than they happened.
        rows_held: rows read that the lake holds already (delivered again in another file); they count in `rows_in`.
        rows_excluded: rows of the source's files that the profile's `where` excludes.
        rows_waiting: rows of the source's files that are delivered on a later night.
        rows_before: rows of the source's files that lie before the history that this home keeps.
        new_units: files, or pieces of files, that were seen for the first time.
        vanished: names of files whose rows were ingested and that the source no longer holds as they were.
        rows_forgotten: delivered rows of entities that were forgotten, dropped at the door; in no other count.
        ids_trimmed: ids that had blanks around them.
        reasons: quarantined rows by reason; a row with two reasons counts in both.
        holdings: all that the source holds of the table, and what is odd about it.
        share_of_newest: share of quarantined rows over the newest `redelivery_days`.
        share_of_window: share of quarantined rows over everything ingested up to the day, not only the days read.
    """

    table: str
    provided: bool
    days: int = 0
    rows_in: int = 0
    rows_kept: int = 0
    rows_quarantined: int = 0
    rows_late: int = 0
    rows_held: int = 0
    rows_excluded: int = 0
    rows_waiting: int = 0
    rows_before: int = 0
    new_units: int = 0
    vanished: list[str] = field(default_factory=list)
    rows_forgotten: int = 0
    ids_trimmed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    holdings: Holdings = field(default_factory=Holdings)
    share_of_newest: float | None = None
    share_of_window: float = 0.0
    seconds: float = 0.0

    def add(self, chunk: "DaysIngested") -> None:
        """Add the result of one step to the report."""
        self.days += chunk.days
        self.rows_in += chunk.checked.kept.num_rows + chunk.checked.quarantined.num_rows + chunk.rows_held
        self.rows_kept += chunk.checked.kept.num_rows
        self.rows_quarantined += chunk.checked.quarantined.num_rows
        self.rows_late += chunk.rows_late
        self.rows_held += chunk.rows_held
        self.rows_forgotten += chunk.rows_forgotten
        self.ids_trimmed += chunk.ids_trimmed
        self.reasons.update(chunk.checked.reasons)

    def take(self, arrivals: Arrivals, night: date, complete: AbstractSet[date]) -> None:
        """Count what the source's files hold beside the rows of the days that were read."""
        counts = arrivals.counts(night, complete)
        self.rows_excluded, self.rows_waiting = counts["excluded"], counts["waiting"]
        self.rows_before, self.new_units = counts["before"], arrivals.new_units
        self.vanished = arrivals.vanished()

    @property
    def share(self) -> float:
        """Share of the rows read that went to quarantine, 0..1."""
        return self.rows_quarantined / self.rows_in if self.rows_in else 0.0

    def breaks(self, config: IngestionConfig) -> bool:
        """Return True if the quarantined share exceeds the limit in this run or window (so a re-run cannot pass)."""
        read = self.share if self.share_of_newest is None else self.share_of_newest
        return max(read, self.share_of_window) > config.max_quarantined_share


@dataclass(frozen=True)
class Filling:
    """Options for filling a table, beside the source's own.

    Attributes:
        settings: the source's identity where the adapter has none of its own: its settings.
        reingest: drop the table and ingest it from the start.
        dependants: lake tables that are made of the table; they are dropped with it.
    """

    settings: Identity = Identity({})  # noqa: RUF009 - frozen
    reingest: bool = False
    dependants: tuple[str, ...] = ()


@traced("ingest")
def ingest(
    table: str,
    source: Source,
    lake: Lake,
    day: date,
    config: IngestionConfig,
    run_id: str,
    filling: Filling = Filling(),
) -> Ingested:
    """Bring the lake to hold all rows of `table` delivered up to `day`, and report what was done.

    Reads the days that are missing up to `day`, days that an earlier run left unfinished, and days of which the lake
    lost rows. Of a source without units of delivery it reads the newest `redelivery_days` in any case. The tables
    depend only on which days were ingested and on the night on which each unit was first seen.

    Raises:
        TesseraError: unknown table, `day` before the source's first day, another source, mapping or contract than the
            one that filled the table, rows that neither lake nor source hold any more, or what the source raises.
    """
    if table not in CONTRACTS:
        raise TesseraError(
            f"There is no contract for a table {table!r}.", expected=choose_from(table, CONTRACTS), todo="Name one."
        )
    if table not in source.tables():
        return Ingested(table, provided=False)
    from assets.stages.ingestion.table import TableIngestion

    started = time.monotonic()
    report = Ingested(table, provided=True)
    contract = CONTRACTS[table].since(source.earliest_day())
    with lake.lock(table):
        now = fingerprint(CONTRACTS[table], source.identity(table) or filling.settings, config.texts_of_no_id())
        _check_filling(table, source, lake, day, now, filling)
        damaged = _damaged_days(lake, table)
        arrivals = _arrived(contract, source, lake, day, config)
        _refuse_lost(table, damaged, arrivals)
        mark_incomplete(lake, table, damaged)
        start = _start(contract, source, arrivals, day, config)
        work = TableIngestion(contract, source, lake, run_id, arrivals, config.texts_of_no_id())
        waiting = days_to_read(contract, lake, start, day, config if arrivals is None else None)
        waiting |= damaged
        mark_incomplete(lake, table, waiting)
        size, alone = _FIRST_CHUNK_DAYS, arrivals.alone() if arrivals else set[date]()
        while waiting:
            chunk = _next_chunk(waiting, size, alone)
            rows_before = report.rows_in
            done = work.ingest_days(chunk[0], chunk[-1])
            report.add(done)
            waiting = (waiting - set(chunk)) | done.colliding
            size = _chunk_days(len(chunk), report.rows_in - rows_before)
        keep(lake, table, now, day)  # also the end of a reingestion
        if arrivals:
            report.take(arrivals, day, complete_days(lake, table).keys())
            if report.days <= config.redelivery_days:  # a single day of a small shop says little
                report.share_of_newest = _share_of(table, lake, day, config.redelivery_days - 1)
        report.share_of_window = _share_of(table, lake, day, config.history_days)
    report.holdings = source.holdings(table)
    report.seconds = time.monotonic() - started
    return report


def ingested_before(table: str, lake: Lake, day: date, config: IngestionConfig) -> Ingested:
    """Report what the lake holds of `table` for `day`, as it was ingested."""
    counts = complete_days(lake, table).get(day, DayCounts(0, 0))
    return Ingested(
        table,
        provided=lake.exists(record_of(table)),
        days=1,
        rows_in=counts.kept + counts.quarantined + counts.held,
        rows_kept=counts.kept,
        rows_quarantined=counts.quarantined,
        rows_held=counts.held,
        share_of_newest=_share_of(table, lake, day, config.redelivery_days - 1),
        share_of_window=_share_of(table, lake, day, config.history_days),
    )


def days_to_read(contract: Contract, lake: Lake, start: date, day: date, config: IngestionConfig | None) -> set[date]:
    """Return the days that ingesting `day` must read, `start` being the oldest that must be in the lake.

    With `config`, also the newest `redelivery_days` and all days since the first that is missing: a source without
    units of delivery does not tell what changed.
    """
    complete = complete_days(lake, contract.table)
    missing = [d for d in _span(start, day) if d not in complete]
    if config is not None:
        newest = max(start, day - timedelta(days=config.redelivery_days - 1))
        missing = _span(min([*missing, newest]), day)
    written = {*lake.days(contract.table), *lake.days(quarantine_of(contract.table))}
    return {*missing} | (written - complete.keys())


def _start(contract: Contract, source: Source, arrivals: Arrivals | None, day: date, config: IngestionConfig) -> date:
    """Return the oldest day that must be in the lake when `day` is ingested."""
    start = arrivals.first_day() if arrivals else None
    if start is None or day < start:  # other tables may begin earlier
        start = source.first_day()
    if day < start:
        raise TesseraError(
            f"{day} is before the source's first day.",
            expected=f"{start} or later",
            todo="Choose a later day, or correct the source's settings in stack.yaml.",
        )
    return start if contract.is_register else max(start, day - timedelta(days=config.history_days))


def _check_filling(table: str, source: Source, lake: Lake, day: date, now: Fingerprint, filling: Filling) -> None:
    """Start over if that was asked for, or begun and not ended; else refuse to mix two sources, mappings, contracts."""
    before = standing(lake, table)
    if filling.reingest or (before and before.pending):
        start_over(lake, table, now, day, filling.dependants)
        return
    if before:
        refuse_changed(lake, table, before, now, holds_all=lambda: _holds_all(table, source, lake))
    keep(lake, table, now, day)


def _holds_all(table: str, source: Source, lake: Lake) -> bool:
    """Return True if the source still holds each unit of delivery of the table that ever gave rows."""
    known = {row.unit for row in recorded(lake, table) if not row.unit.is_header}
    units = source.units(table, sorted(known)) if known else None
    return units is not None and known <= {*units.present}


def _damaged_days(lake: Lake, table: str) -> set[date]:
    """Days that must be written again: the lake lost rows of them, or holds others than were counted.

    Days whose record is lost are not complete any more, so they are read again in any case.
    """
    for name in (table, quarantine_of(table), record_of(table), arrivals_of(table)):
        lake.repair(name)
    return uneven_days(lake, table)


def _refuse_lost(table: str, damaged: set[date], arrivals: Arrivals | None) -> None:
    """Raise if rows are lost that the source does not hold any more; the record keeps the days as damaged."""
    for day in sorted(damaged) if arrivals else ():
        if arrivals and (gone := arrivals.gone(day)):
            raise TesseraError(
                f"The lake lost rows of {table!r} of {day}, and the source no longer holds {', '.join(gone[:3])}.",
                expected="the files that these rows came from, or a lake that is whole",
                todo=f"Put the files back, restore the lake from a backup, or go on without: `--reingest {table}`.",
            )


def _arrived(contract: Contract, source: Source, lake: Lake, day: date, config: IngestionConfig) -> Arrivals | None:
    """Record what the source holds now; None if it has no units. The caller holds the table's lock.

    A complete day that gets new rows (the newest one, run again) is marked incomplete before they are recorded: killed
    in between, the next run finds the same new rows.
    """
    table = contract.table
    complete = {*complete_days(lake, table), *lake.days(table), *lake.days(quarantine_of(table))}
    open_from = date.min if contract.is_register else day - timedelta(days=config.history_days)
    found = look(contract, source, lake, Night(day, open_from, max(complete, default=None)))
    if found is None:
        return None
    arrivals, new = found
    if complete and arrivals.are_swapped(new) and not goes_on(new, max(complete)):
        _refuse_other_files(contract, source, lake, arrivals, new)
    mark_incomplete(lake, table, {row.delivered_on for row in new if row.delivered_on})
    record(lake, table, arrivals, new)
    return arrivals


def _refuse_other_files(
    contract: Contract, source: Source, lake: Lake, arrivals: Arrivals, new: Sequence[Arrival]
) -> None:
    """Raise if all files are gone and no row of the new ones is in the lake: that is no rewritten export."""
    from assets.stages.ingestion.held_rows import HeldRows

    days = {row.delivered_on for row in new if row.delivered_on}
    rows = source.read_slices(contract.table, arrivals.slices(days)).read_all()
    if HeldRows(contract, lake).holds_any(trim_ids(contract, rows)[0]):
        return
    gone, names = arrivals.vanished(), sorted({row.unit.name for row in new})
    raise TesseraError(
        f"Table {contract.table!r} was filled by another source: of its {len(gone)} file(s) ({', '.join(gone[:3])}) "
        f"none is there any more, and no row of {', '.join(names[:3])} is in the lake.",
        expected="files that held rows of the table before, beside new ones: rows of two sources would be mixed",
        todo="Put the files back beside the new ones, choose another home (`TESSERA_HOME`), or run the job with "
        f"`--reingest {contract.table}`.",
    )


def runs_of(days: Iterable[date]) -> list[tuple[date, date]]:
    """First and last day of each unbroken run of `days`, ascending."""
    runs: list[tuple[date, date]] = []
    for day in sorted(days):
        if runs and runs[-1][1] + timedelta(days=1) == day:
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def _span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _next_chunk(waiting: set[date], size: int, alone: set[date]) -> list[date]:
    first, last = runs_of(waiting)[0]
    chunk = _span(first, min(last, first + timedelta(days=size - 1)))
    end = next((place for place, day in enumerate(chunk) if day in alone), len(chunk))
    return chunk[: max(end, 1)]


def _chunk_days(days: int, rows: int) -> int:
    return max(1, min(_MOST_CHUNK_DAYS, CHUNK_ROWS * days // max(rows, 1)))


def _share_of(table: str, lake: Lake, day: date, days_before: int) -> float:
    start = day - timedelta(days=days_before)
    inside = [counts for d, counts in complete_days(lake, table).items() if start <= d <= day]
    refused = sum(counts.quarantined for counts in inside)
    return refused / max(1, refused + sum(counts.kept + counts.held for counts in inside))
