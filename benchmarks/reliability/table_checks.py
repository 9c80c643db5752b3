"""Mutations of tables at the level of their checks: contract, quarantined share, assessment of the day."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.reliability.home import START_DAYS, Home, as_delivered, refused_rows
from benchmarks.reliability.mutation import Mutation, Outcome, Result, judged
from models.contracts import CONTRACTS, DELIVERED_ON, Contract
from models.ingestion import IngestionConfig
from models.watch.agreement import facts_of
from models.watch.assessment import Expectations
from models.watch.columns import NAMED, roles_of
from models.watch.config import WatchConfig
from models.watch.measures import MEASURES, Measure
from models.watch.measuring import Loaded, Refused, profiles
from models.watch.profile import DayProfile
from models.watch.repetition import LOOKBACK_DAYS

Said = tuple[Outcome, str, str]
USUAL = WatchConfig()


@dataclass(frozen=True)
class ChangedNight:
    """The night with a change, measured: `fixed` was said before anything was assessed."""

    fixed: Sequence[Said]
    profiles: Mapping[str, DayProfile]


def changed_night(home: Home, table: str, raw: pa.Table) -> ChangedNight:
    """Check and measure delivered rows of the night; of a register, measure also the tables that name its ids."""
    day, checked = home.day, home.checked(table, raw, home.day)
    refused = refused_rows(table, {day: raw}, checked.quarantined)
    found = {table: measured(home, table, checked.kept, refused, [day])[0]}
    if CONTRACTS[table].is_register:
        register = pa.concat_tables([home.tables[table].kept, checked.kept])
        for name in home.tables:
            if name != table and table in registers_of(home, name):
                found[name] = tonight(home, name, {table: register})
    return ChangedNight(_quarantined(home, table, refused.get(day, Refused(0, 0)), checked.reasons), found)


def mutated(home: Home, mutation: Mutation) -> ChangedNight:
    """Return the night with a mutation."""
    changed = mutation.change(home.tables[mutation.table].delivered(home.day))
    return changed_night(home, mutation.table, as_delivered(mutation.table, changed, home.day))


def said_of(
    home: Home, night: ChangedNight, watch: WatchConfig = USUAL, measures: Mapping[str, Measure] = MEASURES
) -> list[Said]:
    """Return what the checks say of a night: outcome, check, sentence."""
    said = list(night.fixed)
    for table, today in night.profiles.items():
        found = _expected(home, table, watch, measures).assess(today).findings
        said.extend((one.severity, f"{table}: {one.check}", one.sentence) for one in found)
    return said


def said_without_change(home: Home) -> list[Said]:
    """Return what is said of the night as it was delivered."""
    nights = [changed_night(home, table, days.raw[home.day]) for table, days in home.tables.items()]
    return [one for night in nights for one in said_of(home, night)]


def outcome(home: Home, mutation: Mutation, watch: WatchConfig = USUAL) -> Result:
    """Return the outcome of a mutation."""
    return judged(mutation.name, mutation.words, said_of(home, mutated(home, mutation), watch))


def measured(
    home: Home,
    table: str,
    kept: pa.Table,
    refused: Mapping[date, Refused],
    days: Sequence[date],
    changed: Mapping[str, pa.Table] = {},
) -> list[DayProfile]:
    """Measure days of a table beside what the home holds; `changed` are registers in place of the home's."""
    contract = CONTRACTS[table]
    registers = {
        column: _register(changed.get(name) or _held(home, name), column, roles_of(contract).categories)
        for name, column in registers_of(home, table).items()
    }
    _HOMES[id(home)] = home
    rows, before = pl.DataFrame(kept), _before(id(home), table, min(days))
    loaded = Loaded(contract, rows, before, refused, registers, _facts(home, contract))
    return profiles(loaded, days)


@lru_cache(maxsize=64)
def _before(home_id: int, table: str, first: date) -> pl.DataFrame:
    """Return the rows of the days before a day that its rows are compared with, made once."""
    held = _HOMES[home_id].tables[table].kept
    dates = held[DELIVERED_ON]
    inside = pc.and_(
        pc.less(dates, pa.scalar(first, pa.date32())),
        pc.greater_equal(dates, pa.scalar(first - timedelta(days=LOOKBACK_DAYS), pa.date32())),
    )
    return pl.DataFrame(held.filter(inside))


@lru_cache(maxsize=64)
def _past(home_id: int, table: str) -> list[DayProfile]:
    home = _HOMES[home_id]
    held = home.tables[table]
    days = sorted(day for day in held.raw if day < home.day)
    refused = held.refused
    return [one for one in measured(home, table, held.kept, refused, days) if one.day >= days[START_DAYS]]


_HOMES: dict[int, Home] = {}


def past(home: Home, table: str) -> list[DayProfile]:
    """Return the profiles of the days before the night, made once."""
    _HOMES[id(home)] = home
    return _past(id(home), table)


def _expected(home: Home, table: str, watch: WatchConfig, measures: Mapping[str, Measure]) -> Expectations:
    """Return what the days before the night let expect of it: with the usual settings, estimated once."""
    if watch is USUAL and measures is MEASURES:
        _HOMES[id(home)] = home
        return _usually_expected(id(home), table)
    return Expectations(table, home.day, past(home, table), watch, measures)


@lru_cache(maxsize=64)
def _usually_expected(home_id: int, table: str) -> Expectations:
    home = _HOMES[home_id]
    return Expectations(table, home.day, past(home, table), USUAL)


def tonight(home: Home, table: str, changed: Mapping[str, pa.Table] = {}) -> DayProfile:
    """Return the profile of the night's own rows, unchanged, beside changed registers."""
    raw = home.tables[table].raw[home.day]
    checked = home.checked(table, raw, home.day)
    refused = refused_rows(table, {home.day: raw}, checked.quarantined)
    return measured(home, table, checked.kept, refused, [home.day], changed)[0]


def registers_of(home: Home, table: str) -> dict[str, str]:
    """Return the tables of the home that list ids which the table names, with the id column."""
    names = CONTRACTS[table].arrow_schema().names
    found = {name: column for column, name in NAMED.items() if column in names and name != table}
    return {name: column for name, column in found.items() if name in home.tables}


def _held(home: Home, table: str) -> pa.Table:
    _HOMES[id(home)] = home
    return _held_by(id(home), table)


@lru_cache(maxsize=64)
def _held_by(home_id: int, table: str) -> pa.Table:
    """Return the rows of a table up to the night, made once."""
    home = _HOMES[home_id]
    held = home.tables[table]
    return pa.concat_tables([held.kept, home.checked(table, held.raw[home.day], home.day).kept])


def _facts(home: Home, contract: Contract) -> Mapping[str, pl.DataFrame]:
    """Return the rows that labels are compared with."""
    return {
        column: pl.DataFrame(_held(home, NAMED[column]).select([column, *names, DELIVERED_ON]))
        for column, names in facts_of(roles_of(contract)).items()
        if NAMED[column] in home.tables
    }


def _register(rows: pa.Table, column: str, names: Sequence[str]) -> pl.DataFrame:
    shared = [name for name in rows.column_names if name in names and name != column]
    return pl.DataFrame(rows.select([column, *shared, DELIVERED_ON]))


def _quarantined(home: Home, table: str, refused: Refused, reasons: Mapping[str, int]) -> list[Said]:
    """Return the verdict of ingestion: the quarantined share of the days that a night reads."""
    config, held = IngestionConfig(), home.tables[table]
    days = [home.day - timedelta(days=back) for back in range(1, config.redelivery_days)]
    rows = refused.delivered + sum(len(held.raw[day]) for day in days)
    bad = refused.rows + sum(held.refused[day].rows for day in days if day in held.refused)
    if not rows or bad / rows <= config.max_quarantined_share:
        return []
    worst = sorted(reasons, key=lambda reason: -reasons[reason])[:3]
    return [("block", f"{table}: contract", f"{bad / rows:.0%} in quarantine: {'; '.join(worst)}")]
