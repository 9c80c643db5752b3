"""Mutations as whole nights: ingestion, contract, watch, features, scores and audit, on the stores of a home."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa

from assets.stages.ingestion.run import ingest
from assets.stages.watch.checks import watched
from benchmarks.reliability.home import CUSTOMERS, TABLES, as_delivered
from benchmarks.reliability.mutation import AppName, Delivered, Mutation, Outcome, Result, judged
from benchmarks.reliability.scored_home import ScoredHome
from models.contracts import CONTRACTS, ORIGINAL
from models.ingestion import IngestionConfig
from models.simulation.defects import DefectShares
from models.simulation.shop import Shop
from models.watch.config import WatchConfig
from resources.lake.delta import DeltaLake
from resources.source.simulated import SimulatedSource

Said = tuple[Outcome, str, str]


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


def ingested(app: AppName, folder: Path, day: date, days: int, seed: int = 7) -> None:
    """Fill a home with `days` days up to the one before `day`, each of them watched."""
    first = date.fromordinal(day.toordinal() - days)
    source = SimulatedSource(_shop(app, seed, first), first)
    lake, last = DeltaLake(str(folder / "lake")), date.fromordinal(day.toordinal() - 1)
    for table in TABLES[app]:
        ingest(table, source, lake, last, IngestionConfig(history_days=days), "benchmark")
        watched(lake, CONTRACTS[table], last, WatchConfig())


def night_said(
    app: AppName, folder: Path, day: date, days: int, mutation: Mutation | None, then: ScoredHome | None = None
) -> list[Said]:
    """Return what a night says, as far as it goes.

    Args:
        app: the application.
        folder: its home, as `ingested` left it; the night is written there.
        day: the night.
        days: days that the home holds.
        mutation: of the day; None: none.
        then: computes features and scores if nothing stopped the night; None: the night ends with the tables.
    """
    first = date.fromordinal(day.toordinal() - days)
    shop = _shop(app, 7, first)
    shop.mutation, shop.changed_day = mutation, day
    source, lake = SimulatedSource(shop, first), DeltaLake(str(folder / "lake"))
    said: list[Said] = []
    for table in TABLES[app]:
        config = IngestionConfig(history_days=days)
        report = ingest(table, source, lake, day, config, "night")
        if report.breaks(config):
            reasons = "; ".join(reason for reason, _ in report.reasons.most_common(3))
            said.append(("block", f"{table}: contract", reasons))
        for check in watched(lake, CONTRACTS[table], day, WatchConfig()):
            if not check.passed:
                severity: Outcome = "block" if check.severity.value == "ERROR" else "warn"
                said.append((severity, f"{table}: {check.check_name}", str(check.description)))
    if then is not None and not any(one[0] == "block" for one in said):
        then.compute(day)
        said += _scored(then, day)
    return said


def outcome(app: AppName, folder: Path, day: date, days: int, mutation: Mutation) -> Result:
    """Return the outcome of a mutation as a whole night up to the tables' checks."""
    return judged(mutation.name, mutation.words, night_said(app, folder, day, days, mutation))


def _scored(home: ScoredHome, day: date) -> list[Said]:
    made = home.scored(day)
    said: list[Said] = [(one.severity, f"audit: {one.name}", one.says) for one in made.audit.checks if not one.passed]
    return [*said, ("warn", "drift", made.drifted)] if made.drifted else said


def _shop(app: AppName, seed: int, first: date, customers: Mapping[AppName, int] = CUSTOMERS) -> MutatedShop:
    return MutatedShop(customers[app], seed, first, DefectShares())


def _frame(rows: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(rows.drop_columns([ORIGINAL, "delivered_on"]))


def _days_before(day: date, count: int) -> list[date]:
    return [date.fromordinal(day.toordinal() - back) for back in range(count, 0, -1)]
