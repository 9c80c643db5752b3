"""The check `performance` over nights whose outcomes have come: false alarms of faultless nights, hits of worse ones.

Published rows are changed as they are read, so that nights are scored once and measured many times.
"""

# pyright: basic

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from assets.demand import assets as demand
from assets.fraud import performance as fraud
from assets.stages.cutoff_quality import PerformanceRun
from assets.stages.realized_performance import PERFORMANCE
from assets.support import performance as support
from benchmarks.reliability import scored_home, support_home
from benchmarks.reliability.alarms import upper_bound
from benchmarks.reliability.kept_home import kept_home
from benchmarks.reliability.mutation import NightApp
from benchmarks.reliability.scored_home import ScoredHome
from models.features.fraud_definitions import LABEL_DELAY_DAYS
from models.publishing import Publication

Change = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Worse:
    """A change of published rows that makes them worse."""

    name: str
    change: Change


def _moved(*columns: str, share: float = 1.0) -> Change:
    """Return a change that puts these columns, together, onto other rows, in a share of the rows."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        if rows.is_empty():
            return rows
        chosen = pl.int_range(pl.len()) % 100 < 100 * share
        moved = [pl.when(chosen).then(pl.col(f"{name}_moved")).otherwise(pl.col(name)).alias(name) for name in columns]
        # One order for all columns, so that intervals hold their predictions.
        order = rows.with_row_index("_place").select(pl.col("_place").shuffle(seed=7))["_place"]
        others = rows.select(columns)[order].rename({name: f"{name}_moved" for name in columns})
        return pl.concat([rows, others], how="horizontal").with_columns(moved).select(rows.columns)

    return change


def _scaled(factor: float, *columns: str) -> Change:
    return lambda rows: rows.with_columns(pl.col(columns) * factor)


def _narrow(rows: pl.DataFrame) -> pl.DataFrame:
    """Intervals of a third of their width around the prediction."""
    centre = pl.col("prediction")
    ends = {name: centre + (pl.col(name) - centre) / 3 for name in ("lower", "upper")}
    return rows.with_columns(**ends)


_NUMBERS = ("prediction", "lower", "upper")
WORSE: dict[NightApp, tuple[Worse, ...]] = {
    "churn": (
        Worse("scores of other customers", _moved("score")),
        Worse("half of the scores of other customers", _moved("score", share=0.5)),
        Worse("scores turned round", lambda rows: rows.with_columns(score=1 - pl.col("score"))),
    ),
    "fraud": (
        Worse("scores of other payments", _moved("score")),
        Worse("half of the scores of other payments", _moved("score", share=0.5)),
        Worse("scores turned round", lambda rows: rows.with_columns(score=1 - pl.col("score"))),
    ),
    "demand": (
        Worse("predictions of other products", _moved(*_NUMBERS)),
        Worse("predictions doubled", _scaled(2.0, *_NUMBERS)),
        Worse("predictions of dozens", _scaled(1 / 12, *_NUMBERS)),
        Worse("intervals of a third of their width", _narrow),
    ),
    "support": (
        Worse("intents of other tickets", _moved("intent")),
        Worse("a third of the intents of other tickets", _moved("intent", share=0.33)),
        Worse("all out of scope", lambda rows: rows.with_columns(intent=pl.lit("oos"))),
    ),
}
#: Nights that are published, and their number of days before the last ingested day; of churn 90 days pass first.
_NIGHTS: dict[NightApp, int] = {"churn": 30, "fraud": 50, "demand": 50, "support": 50}
_WAIT: dict[NightApp, int] = {"churn": 90, "fraud": LABEL_DELAY_DAYS, "demand": 7, "support": 7}
_LAST = date(2025, 9, 30)
_CUSTOMERS: dict[NightApp, int] = {"churn": 3000, "fraud": 3000, "demand": 3000, "support": 12_000}


class ChangedSink:
    """A sink whose published rows are read with a change."""

    def __init__(self, sink: Any, change: Change) -> None:
        self._sink, self._change = sink, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def published_rows(self, publication: Publication) -> Iterator[pa.RecordBatch]:
        """Return the rows of a publication with the change."""
        return iter(self._changed(pa.Table.from_batches(self._sink.published_rows(publication))).to_batches())

    def scores(self, app: str, day: date) -> tuple[Publication, pa.RecordBatchReader]:
        """Return the publication of a day and its rows with the change."""
        publication, rows = self._sink.scores(app, day)
        return publication, self._changed(rows.read_all()).to_reader()

    def _changed(self, table: pa.Table) -> pa.Table:
        return self._change(pl.DataFrame(table)).to_arrow().cast(table.schema)


@dataclass(frozen=True)
class Shops:
    """Shops whose nights are measured.

    Attributes:
        seeds: one of each shop.
        nights: published nights of each; None: `_NIGHTS`.
        customers: active ones of each; None: as many as other homes have.
        kept: folder that keeps the homes, for a measurement in pieces; None: homes are temporary.
    """

    seeds: Sequence[int]
    nights: int | None = None
    customers: int | None = None
    kept: Path | None = None


def measured(app: NightApp, shops: Shops) -> dict[str, Any]:
    """Return counts of nights, and of those that were warned of: without a fault and for each change."""
    nights, warned, odd = 0, 0, list[str]()
    hits: dict[str, list[int]] = {one.name: [0, 0] for one in WORSE[app]}
    for seed in shops.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            home, days = _home(app, (shops.kept or Path(scratch)) / f"performance-{app}-{seed}", seed, shops)
            for says in _checked(app, home, days, lambda rows: rows):
                nights += 1
                warned += bool(says)
                odd += [f"seed {seed}, {says}"] if says else []
            for one in WORSE[app]:
                found = [bool(says) for says in _checked(app, home, days, one.change)]
                hits[one.name][0] += sum(found)
                hits[one.name][1] += len(found)
    return {
        "app": app,
        "seeds": [*shops.seeds],
        "customers": shops.customers or _CUSTOMERS[app],
        "nights": nights,
        "warned": warned,
        "at_most": upper_bound(warned, nights),
        "odd": odd,
        "hits": hits,
    }


def _home(app: NightApp, folder: Path, seed: int, shops: Shops) -> tuple[Any, list[date]]:
    """Return a home with published nights, the last of which has its outcomes on the last day, and these nights."""
    wait, customers = _WAIT[app], shops.customers or _CUSTOMERS[app]
    back = (shops.nights or _NIGHTS[app]) + wait - 1
    days = [_LAST - timedelta(days=n) for n in range(back, wait - 1, -1)]
    # The champion is made before the nights: of as much history as that of other homes.
    history = back + (support_home.HISTORY_DAYS if app == "support" else scored_home.HISTORY_DAYS[app])

    def opened(place: Path) -> Any:
        return support_home.SupportHome(place, _LAST) if app == "support" else ScoredHome(app, place, _LAST)

    def make(place: Path) -> Any:
        size: Any = {"seed": seed, "customers": customers, "first_night": wait, "history_days": history}
        if app == "support":
            return support_home.made(place, _LAST, back, **size)
        return scored_home.made(app, place, _LAST, back, **size)

    return kept_home(folder, opened, make), days


def _checked(app: NightApp, home: Any, days: Sequence[date], change: Change) -> Iterator[str]:
    """Yield for each night with measured outcomes the sentence of a failed check; "" if it passed."""
    sink: Any = ChangedSink(home.sink, change)
    for day in days:
        found = next(one for one in _checks(app, home, sink, day) if one.check_name == PERFORMANCE)
        if found.metadata:
            yield "" if found.passed else str(found.description)


def _checks(app: NightApp, home: Any, sink: Any, day: date) -> Sequence[Any]:
    as_of = day + timedelta(days=_WAIT[app])
    if app == "support":
        own = support_home.SETTINGS.support
        return support.realized_day(
            home.lake, home.registry, own, support.measure(home.lake, sink, own, as_of)
        ).checks()
    settings = home.settings
    if app == "fraud":
        stores = (home.lake, home.engine, home.registry, sink, _NoAlerts())
        return fraud.measure(*stores, settings.fraud, as_of).checks()  # pyright: ignore[reportArgumentType]
    own = settings.churn if app == "churn" else settings.demand
    plan = scored_home.churn_training.cutoff_plan(own) if app == "churn" else demand.cutoff_plan(settings)
    return PerformanceRun(home.lake, home.engine, home.registry, sink, plan, own, own.gate).measure(as_of).checks()


class _NoAlerts:
    """A store without alerts: the check goes by scores."""

    def find(self, *_: object) -> Sequence[Any]:
        """Return nothing."""
        return ()
