"""Profiles of the days that have none yet, or whose rows were written anew. Imports polars: only in asset bodies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

import polars as pl
import pyarrow.dataset as ds

from assets.stages.ingestion.completeness_log import DayCounts, quarantine_of
from assets.stages.ingestion.run import runs_of
from assets.stages.watch.profile_store import (
    StoredProfile,
    digest,
    files_by_day,
    store_profiles,
    stored_profiles,
    watched_days,
)
from models.contracts import DELIVERED_ON, Contract
from models.watch.agreement import facts_of, sampled
from models.watch.columns import NAMED, REGISTERS, roles_of
from models.watch.config import WatchConfig
from models.watch.measuring import MEASURED, Loaded, Refused, columns_of_reasons, profiles
from models.watch.profile import DayProfile
from models.watch.repetition import LOOKBACK_DAYS
from resources.lake.port import Lake

#: Rows that are profiled at once; it bounds memory.
_ROWS_AT_ONCE = 500_000
#: Days before a row in which the row of another table is looked for that it names.
_PARENT_DAYS = 35
#: Days before the first label in which the row is looked for that it is about.
_LABELLED_DAYS = 21


def current_profiles(
    lake: Lake, contract: Contract, day: date, config: WatchConfig, complete: Mapping[date, DayCounts]
) -> Mapping[date, StoredProfile]:
    """Return the profiles that an assessment of `day` needs; those that are missing or outdated are computed first.

    A profile is computed once: after a crash, or in a home that was filled before, the next call does what is left.
    The caller holds the lock of `profile_of` and gives the days that are completely ingested.
    """
    wanted = [each for each in watched_days(day, config.history_days) if each in complete]
    made_of = _MadeOf(lake, contract, complete)
    newest = day - timedelta(days=config.assessed_days - 1)
    stored = stored_profiles(lake, contract.table, wanted)
    outdated = [each for each in wanted if not made_of.fits(stored.get(each), each, each >= newest)]
    made = [
        StoredProfile(profile, made_of.content(profile.day), made_of.known(profile.day))
        for profile in _computed(lake, contract, outdated, complete)
    ]
    store_profiles(lake, contract.table, made)
    return dict(stored) | {one.profile.day: one for one in made}


class _MadeOf:
    """Digests of the inputs of profiles: the rows of a day, and the registers up to it."""

    def __init__(self, lake: Lake, contract: Contract, complete: Mapping[date, DayCounts]) -> None:
        self._complete, self._files = complete, files_by_day(lake, [contract.table])
        self._registers = sorted(files_by_day(lake, sorted(_named_tables(contract).values())).items())

    def fits(self, stored: StoredProfile | None, day: date, registers_count: bool) -> bool:
        """Return True if a stored profile holds what would be computed now.

        Registers count for the newest days alone: what came to them later changes nothing about an old day.
        """
        if stored is None or stored.content != self.content(day):
            return False
        return not registers_count or stored.known == self.known(day)

    def content(self, day: date) -> str:
        """Return a digest of the rows of a day."""
        return digest([MEASURED, *sorted(self._files.get(day, ())), repr(self._complete[day])])

    def known(self, day: date) -> str:
        """Return a digest of the registers at the end of a day."""
        return digest([name for each, names in self._registers if each <= day for name in sorted(names)])


def _computed(
    lake: Lake, contract: Contract, days: Sequence[date], complete: Mapping[date, DayCounts]
) -> Iterator[DayProfile]:
    """Yield the profiles of some days; many are computed by one scan of them and of the days before."""
    if not days:
        return
    rows = lake.rows_by_day(contract.table)
    tables = _named_tables(contract)
    registers = {
        column: _register(lake, contract, column, table, days[0], days[-1]) for column, table in tables.items()
    }
    registers = {column: found for column, found in registers.items() if found is not None}
    for chunk in _chunks(days, rows):
        first, last = chunk[0], chunk[-1]
        columns = _refused_columns(lake, contract, [day for day in chunk if complete[day].quarantined])
        refused = {day: _refused(complete[day], columns[day]) for day in chunk}
        held = _rows(lake, contract, first, last, [column.name for column in contract.columns])
        held = held.filter(pl.col(DELIVERED_ON).is_in(chunk))
        before = _rows(
            lake, contract, first - timedelta(days=LOOKBACK_DAYS), first - timedelta(days=1), roles_of(contract).short
        )
        facts = _facts(lake, contract, before, held)
        yield from profiles(Loaded(contract, held, before, refused, registers, facts), chunk)


def _chunks(days: Sequence[date], rows: Mapping[date, int]) -> Iterator[list[date]]:
    """Yield unbroken runs of the days, each with a bounded number of rows."""
    for first, last in runs_of(days):
        chunk: list[date] = []
        for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
            chunk.append(day)
            if sum(rows.get(each, 0) for each in chunk) >= _ROWS_AT_ONCE:
                yield chunk
                chunk = []
        if chunk:
            yield chunk


def _rows(lake: Lake, contract: Contract, first: date, last: date, columns: Sequence[str]) -> pl.DataFrame:
    names = list(dict.fromkeys((*columns, DELIVERED_ON)))
    schema = contract.lake_schema()
    if not lake.exists(contract.table):
        return pl.DataFrame(schema.empty_table().select(names))
    return pl.DataFrame(lake.scan(contract.table, first=first, last=last).to_table(columns=names))


def _register(lake: Lake, contract: Contract, column: str, table: str, first: date, last: date) -> pl.DataFrame | None:
    """Return the ids that another table lists, with columns that both have; None if the lake has no such table."""
    if not lake.exists(table):
        return None
    begin = None if column in REGISTERS else first - timedelta(days=_PARENT_DAYS)
    scanned = lake.scan(table, first=begin, last=last)
    shared = [name for name in roles_of(contract).categories if name in scanned.schema.names]
    return pl.DataFrame(scanned.to_table(columns=[column, *shared, DELIVERED_ON]))


def _facts(lake: Lake, contract: Contract, before: pl.DataFrame, held: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Return id column -> rows of the table that it names, of those rows whose labels are compared with them."""
    roles = roles_of(contract)
    wanted = {column: names for column, names in facts_of(roles).items() if lake.exists(NAMED[column])}
    rows = pl.concat([before, held.select(before.columns)]) if wanted else before
    if not wanted or rows.is_empty():
        return {}
    asked, found = sampled(rows, roles), dict[str, pl.DataFrame]()
    days = rows[DELIVERED_ON].unique()
    last = max(days)
    for column, names in wanted.items():
        first = None if column in REGISTERS else min(days) - timedelta(days=_LABELLED_DAYS)
        keys = ds.field(column).isin(asked[column].drop_nulls().unique().to_arrow())
        scanned = lake.scan(NAMED[column], first=first, last=last)
        found[column] = pl.DataFrame(scanned.to_table(columns=[column, *names, DELIVERED_ON], filter=keys))
    return found


def _named_tables(contract: Contract) -> dict[str, str]:
    """Return id column -> the other table that lists its ids."""
    names = [column.name for column in contract.columns]
    return {name: NAMED[name] for name in names if name in NAMED and NAMED[name] != contract.table}


def _refused_columns(lake: Lake, contract: Contract, days: Sequence[date]) -> Mapping[date, Mapping[str, int]]:
    """Return the number of quarantined rows of each day by the column that a reason is about, all columns listed."""
    found = defaultdict[date, Counter[str]](lambda: Counter({column.name: 0 for column in contract.columns}))
    if days and lake.exists(quarantine_of(contract.table)):
        rows = lake.scan(quarantine_of(contract.table), first=min(days), last=max(days))
        refused = rows.to_table(columns=[DELIVERED_ON, "reasons"])
        for day, reasons in zip(refused[DELIVERED_ON].to_pylist(), refused["reasons"].to_pylist(), strict=True):
            found[day].update(columns_of_reasons(contract, reasons))
    return found


def _refused(counts: DayCounts, columns: Mapping[str, int]) -> Refused:
    return Refused(counts.kept + counts.quarantined + counts.held, counts.quarantined, columns)
