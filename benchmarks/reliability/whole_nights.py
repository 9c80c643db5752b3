"""Mutations as whole nights: ingestion, contract, watch, features, scores and audit, on the stores of a home.

Nights of personalization end with the watch of its tables: its lists are not made.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Protocol

import dagster as dg
import polars as pl
import pyarrow as pa

from assets.stages import metadata_keys as keys
from assets.stages.attempt_info import AttemptInfo
from assets.stages.ingestion.run import ingest
from assets.stages.watch.checks import watched
from benchmarks.reliability import scored_home, support_home
from benchmarks.reliability.catalogue import MUTATIONS
from benchmarks.reliability.home import CUSTOMERS, TABLES, as_delivered
from benchmarks.reliability.kept_home import kept_home
from benchmarks.reliability.mutation import AppName, Delivered, Mutation, Outcome, Result, judged
from benchmarks.reliability.output_checks import of_attempt
from models.contracts import CONTRACTS, ORIGINAL
from models.ingestion import IngestionConfig
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.watch.config import WatchConfig
from resources.lake.delta import DeltaLake
from resources.source.simulated import SimulatedSource

Said = tuple[Outcome, str, str]
#: Nights that are published before the one that is changed.
_PUBLISHED = 24
#: Days of a home of tables alone.
_TABLES_DAYS = 150


class Scoring(Protocol):
    """The home of an application as the second half of a night needs it."""

    def compute(self, day: date, /) -> object:
        """Compute the features of a day."""
        ...

    def scored(self, day: date) -> AttemptInfo:
        """Score and audit a day."""
        ...

    def copied(self, folder: Path) -> Scoring:
        """Return a copy of the home in another folder."""
        ...


class MutatedShop(Shop):
    """A shop that delivers one day of one table with a change."""

    mutation: Mutation | None = None
    changed_day: date = date.max

    def delivered(self, table: str, day: date) -> pa.Table:
        """Return the rows of the day, changed if it is the one."""
        rows = super().delivered(table, day)
        if self.mutation is None or (table, day) != (self.mutation.table, self.changed_day):
            return rows
        before = {d: _frame(super(MutatedShop, self).delivered(table, d)) for d in _days_before(day, 3)}
        return as_delivered(table, self.mutation.change(Delivered(day, _frame(rows), before)), day)


@dataclass(frozen=True)
class TablesHome:
    """A home of ingested and watched tables alone."""

    folder: Path

    def copied(self, folder: Path) -> None:
        """Copy the home into another folder."""
        shutil.copytree(self.folder, folder)


def ingested(app: AppName, folder: Path, day: date, days: int, seed: int = 7) -> None:
    """Fill a home with `days` days up to the one before `day`, each of them watched."""
    first = date.fromordinal(day.toordinal() - days)
    source = SimulatedSource(_shop(app, seed, first), first)
    lake, last = DeltaLake(str(folder / "lake")), date.fromordinal(day.toordinal() - 1)
    for table in TABLES[app]:
        ingest(table, source, lake, last, IngestionConfig(history_days=days), "benchmark")
        watched(lake, CONTRACTS[table], last, WatchConfig())


def night_said(
    app: AppName,
    folder: Path,
    day: date,
    days: int,
    mutation: Mutation | None,
    then: Scoring | None = None,
    tables: Sequence[str] | None = None,
) -> list[Said]:
    """Return what a night says, as far as it goes.

    Args:
        app: the application.
        folder: its home, as `ingested` left it; the night is written there.
        day: the night.
        days: days that the home holds.
        mutation: of the day; None: none.
        then: computes features and scores if nothing stopped the night; None: the night ends with the tables.
        tables: that are ingested and watched, in this order; None: all that the application reads.
    """
    first = date.fromordinal(day.toordinal() - days)
    shop = _shop(app, 7, first)
    shop.mutation, shop.changed_day = mutation, day
    source, lake = SimulatedSource(shop, first), DeltaLake(str(folder / "lake"))
    said: list[Said] = []
    for table in tables or TABLES[app]:
        config = IngestionConfig(history_days=days)
        report = ingest(table, source, lake, day, config, "night")
        if report.breaks(config):
            reasons = "; ".join(reason for reason, _ in report.reasons.most_common(3))
            said.append(("block", f"{table}: contract", reasons))
        for check in watched(lake, CONTRACTS[table], day, WatchConfig()):
            if not check.passed or _is_noted(check):
                failed: Outcome = "block" if check.severity.value == "ERROR" else "warn"
                outcome = "note" if check.passed else failed
                said.append((outcome, f"{table}: {check.check_name}", str(check.description)))
    if then is not None and not any(one[0] == "block" for one in said):
        then.compute(day)
        said += of_attempt(then.scored, day)
    return said


def complete_home(app: AppName, folder: Path, day: date) -> Scoring | TablesHome:
    """Return a home whose days up to the one before `day` are ingested and watched; but for lists scored and published.

    It is made if the folder is not there.
    """
    last = day - timedelta(days=1)

    def opened(place: Path) -> Scoring | TablesHome:
        if app == "personalization":
            return TablesHome(place)
        return support_home.SupportHome(place, last) if app == "support" else scored_home.ScoredHome(app, place, last)

    def make(place: Path) -> None:
        if app == "personalization":
            ingested(app, place, day, history_days(app))
            return
        if app == "support":
            support_home.made(place, last, _PUBLISHED, tables=TABLES[app])
        else:
            scored_home.made(app, place, last, _PUBLISHED, tables=TABLES[app])
        lake = DeltaLake(str(place / "lake"))
        for table in TABLES[app]:
            watched(lake, CONTRACTS[table], last, WatchConfig())

    return kept_home(folder, opened, make)


def history_days(app: AppName) -> int:
    """Return the days that a complete home holds."""
    if app == "personalization":
        return _TABLES_DAYS
    return 1 + (support_home.HISTORY_DAYS if app == "support" else scored_home.HISTORY_DAYS[app])


def whole_nights(app: AppName, day: date, folder: Path, chosen: Sequence[Mutation | None]) -> Iterator[Result]:
    """Yield the outcome of each mutation, all steps from delivery to audit.

    None among them: the night without a fault, named `no fault`, which names its cause if nothing is said.

    Args:
        app: the application.
        day: that is changed.
        folder: of the home until the day before; made if it is not there.
        chosen: the mutations.
    """
    home = complete_home(app, folder, day)
    for mutation in chosen:
        with tempfile.TemporaryDirectory() as place:
            copy = home.copied(Path(place) / "home")
            said = night_said(app, Path(place) / "home", day, history_days(app), mutation, copy)
        if mutation is None:
            alarms = [one for one in said if one[0] != "note"]
            yield Result("no fault", *(alarms[0] if alarms else ("silent", "", "")), names_the_cause=not alarms)
        else:
            yield judged(mutation.name, mutation.words, said)


def evenly(app: AppName, count: int | None) -> Sequence[Mutation]:
    """Return `count` mutations of an application, evenly spaced over its list; None: all of them."""
    every = MUTATIONS[app]
    if count is None or count >= len(every):
        return every
    return [every[place * len(every) // count] for place in range(count)]


def _is_noted(check: dg.AssetCheckResult) -> bool:
    """Return True if a check that passed has findings: notes, of which no notice is sent."""
    found = check.metadata.get(keys.FINDINGS)
    return isinstance(found, dg.TableMetadataValue) and bool(found.records)


def _shop(app: AppName, seed: int, first: date, customers: Mapping[AppName, int] = CUSTOMERS) -> MutatedShop:
    return MutatedShop(customers[app], seed, first, DefectShares())


def _frame(rows: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(rows.drop_columns([ORIGINAL, "delivered_on"]))


def _days_before(day: date, count: int) -> list[date]:
    return [date.fromordinal(day.toordinal() - back) for back in range(count, 0, -1)]
