"""Impressions with their labels, once these are mature, and the popularity bias of what is shown."""

# pyright: basic

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pyarrow as pa

from assets.stages import metadata_keys as keys
from assets.stages.experiments.log import days_of, rows_of
from assets.stages.experiments.report import POPULARITY_BIAS
from assets.stages.feature_days import missing_days
from models.contracts import DELIVERED_ON, EXPOSURES, ORDERS, OUTCOMES, PRODUCTS
from models.experiments.config import ExperimentsConfig
from models.experiments.impressions import labelled
from models.experiments.observations import SHOWN_AT
from models.experiments.popularity import PopularityBias, least_biased, popularity_bias
from resources.lake.port import Lake

#: Lake table of labelled impressions, by the day on which they were shown.
TABLE, SHOWN_ON = "impressions", "shown_on"
#: Exposures that are delivered late are labelled with their day if they come within so many days.
_LATE_DAYS = 7
_DAYS_AT_ONCE = 28


@dataclass(frozen=True)
class Labelled:
    """Outcome of labelling.

    Attributes:
        shown_on: newest day whose labels are mature.
        days: that were labelled now.
        impressions: of `shown_on`.
        clicked: of these.
        too_late: exposures delivered on the day of the run that come after their day was labelled; never labelled.
        bias: of the last days; None without impressions.
    """

    shown_on: date
    days: int
    impressions: int
    clicked: int
    too_late: int
    bias: PopularityBias | None

    def metadata(self) -> dict[str, Any]:
        """Return numbers that plot over the days."""
        rate = {keys.CLICK_RATE: self.clicked / self.impressions} if self.impressions else {}
        shown = {keys.SHOWN_ON: self.shown_on.isoformat(), keys.DAYS: self.days, keys.IMPRESSIONS: self.impressions}
        late = {keys.ROWS_LATE: self.too_late}
        return shown | rate | late | (_numbers(self.bias) if self.bias else {})

    def check(self, config: ExperimentsConfig) -> dg.AssetCheckResult:
        """Warn where the products that are shown became fewer or more popular than before."""
        risen = self.bias.risen(config.max_bias_rise) if self.bias else []
        return dg.AssetCheckResult(
            check_name=POPULARITY_BIAS,
            passed=not risen,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(risen) or _quiet(self.bias, config),
            metadata={keys.LIMIT: config.max_bias_rise, **(_numbers(self.bias) if self.bias else {})},
        )


def label_impressions(lake: Lake, config: ExperimentsConfig, as_of: date) -> Labelled:
    """Label the impressions whose window is over at the end of `as_of`, and earlier ones that have no labels.

    A labelled day gets the same labels again: outcomes are read as they were delivered until its window was over.
    """
    newest = as_of - timedelta(days=config.label_days)
    lost = {*lake.repair(TABLE)}
    shown = _shown_days(lake, config, newest)
    days: list[date] = sorted({*missing_days(lake, TABLE, shown), *lost} | ({newest} & {*shown}))
    for run in _consecutive(days):
        rows = pa.concat_tables([_of_day(lake, config, day) for day in run])
        lake.replace(TABLE, rows, by=SHOWN_ON, first=run[0], last=run[-1])
    clicks = _clicks(lake, newest) if newest in shown else []
    late = _too_late(lake, config, as_of)
    return Labelled(newest, len(days), len(clicks), sum(clicks), late, bias_of(lake, config, as_of))


def _shown_days(lake: Lake, config: ExperimentsConfig, newest: date) -> list[date]:
    """Return the days until `newest` of which impressions were delivered in time; those labelled before are not read.

    Whole days may be delivered late, so days of delivery are not the days on which lists were shown.
    """
    delivered = days_of(lake, EXPOSURES.table)
    if not delivered:
        return []
    late = timedelta(days=_in_time(config))
    span = (newest - (delivered[0] - late)).days + 1
    known = {*lake.days(TABLE)} - {newest}
    missing = [day for day in (newest - timedelta(days=n) for n in range(span)) if day not in known]
    found = {newest} & known
    for run in _consecutive(sorted(missing)):
        at = rows_of(lake, EXPOSURES.table, run[0], run[-1] + late, columns=[SHOWN_AT, DELIVERED_ON])
        found |= {*_in_time_days(at, _in_time(config))} & {*run}
    return sorted(found)


def _in_time_days(rows: pl.DataFrame, late_days: int) -> list[date]:
    day = pl.col(SHOWN_AT).dt.date()
    inside = pl.col(DELIVERED_ON) <= day + timedelta(days=late_days)
    return rows.filter(inside).select(day)[SHOWN_AT].unique().to_list()


def _in_time(config: ExperimentsConfig) -> int:
    """Return the days after which an exposure may be delivered and still be labelled."""
    return min(_LATE_DAYS, config.label_days)


def _too_late(lake: Lake, config: ExperimentsConfig, as_of: date) -> int:
    """Return the number of exposures delivered on `as_of` whose day was labelled without them."""
    rows = rows_of(lake, EXPOSURES.table, as_of, as_of, columns=[SHOWN_AT])
    return rows.filter(pl.col(SHOWN_AT).dt.date() < as_of - timedelta(days=_in_time(config))).height


def _consecutive(days: Sequence[date]) -> Iterator[list[date]]:
    """Yield runs of days that follow each other, at most four weeks each: one commit of the lake writes one."""
    run: list[date] = []
    for day in days:
        if run and (day - run[-1] > timedelta(days=1) or len(run) == _DAYS_AT_ONCE):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def _clicks(lake: Lake, day: date) -> list[bool]:
    return lake.scan(TABLE, first=day, last=day).to_table(columns=["clicked"])["clicked"].to_pylist()


def _of_day(lake: Lake, config: ExperimentsConfig, day: date) -> pa.Table:
    mature = day + timedelta(days=config.label_days)
    exposures = rows_of(lake, EXPOSURES.table, day, day + timedelta(days=_in_time(config)))
    outcomes = rows_of(lake, OUTCOMES.table, day, mature)
    rows = labelled(exposures, outcomes, day, config.label_days).to_arrow()
    return rows.append_column(pa.field(SHOWN_ON, pa.date32()), pa.array([day] * rows.num_rows, pa.date32()))


def bias_of(lake: Lake, config: ExperimentsConfig, as_of: date) -> PopularityBias | None:
    """Return the bias of the last `bias_days`, beside earlier periods of as many days that were all logged."""
    span = timedelta(days=config.bias_days)
    shown = _shown(lake, as_of - span, as_of)
    if not shown:
        return None
    first, numbers = min(days_of(lake, EXPOSURES.table)), range(1, config.bias_periods + 1)
    ends = [end for number in numbers if first <= (end := as_of - number * span) - span + timedelta(days=1)]
    before = [each for end in ends if (each := _shown(lake, end - span, end))]
    bought = _counts(rows_of(lake, ORDERS.table, as_of - span + timedelta(days=1), as_of, columns=["product_id"]))
    # Products that are no longer shown are part of what could be, also where the lake has no catalogue.
    catalogue = max(_catalogue(lake, as_of), len({*shown, *bought}.union(*before)))
    earlier = [popularity_bias(each, {}, catalogue) for each in before]
    return popularity_bias(shown, bought, catalogue, least_biased(earlier) if earlier else None)


def _shown(lake: Lake, after: date, last: date) -> Mapping[str, int]:
    return _counts(rows_of(lake, EXPOSURES.table, after + timedelta(days=1), last, columns=["product_id"]))


def _counts(rows: pl.DataFrame) -> dict[str, int]:
    return dict(rows["product_id"].value_counts().iter_rows())


def _catalogue(lake: Lake, as_of: date) -> int:
    """Return the number of products that existed; 0 where the lake has no catalogue."""
    if not lake.exists(PRODUCTS.table):
        return 0
    return lake.scan(PRODUCTS.table, last=as_of).count_rows()


def _numbers(bias: PopularityBias) -> dict[str, Any]:
    lift = {} if bias.lift is None else {keys.POPULARITY_LIFT: bias.lift}
    return {keys.SHOWN_COVERAGE: bias.coverage, keys.GINI: bias.gini, keys.TOP_SHARE: bias.top_share, **lift}


def _quiet(bias: PopularityBias | None, config: ExperimentsConfig) -> str:
    if bias is None:
        return f"no impressions in the last {config.bias_days} days"
    says = f"{bias.products:,} products shown, Gini coefficient {bias.gini:.3f}"
    return says if bias.before else f"{says}; not compared: no impressions of the {config.bias_days} days before"
