"""Exposures, outcomes and order lines as they were known at the end of a day, from the lake."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from assets.stages.ingestion.completeness_log import complete_days, logged_table
from models.contracts import CONTRACTS, EXPOSURES, ORDERS, OUTCOMES
from models.errors import TesseraError
from models.experiments.config import ExperimentSettings
from models.experiments.observations import SHOWN_AT
from resources.lake.port import Lake

_LINE_COLUMNS = ("customer_id", "ordered_at", "quantity", "unit_price")
#: Column of exposures that the log of one experiment needs, beside those of its unit.
_UNIT_COLUMNS = ("exposure_id", "experiment", "variant", SHOWN_AT)


@dataclass(frozen=True)
class ExperimentLog:
    """Rows that an experiment is evaluated by.

    Attributes:
        exposures: of the experiment.
        outcomes: since its first day.
        named: `exposure_id` and `shown_at` of the exposures that the outcomes name, of whatever list.
        lines: order lines of the days before it; none if the lake has no orders.
    """

    exposures: pl.DataFrame
    outcomes: pl.DataFrame
    named: pl.DataFrame
    lines: pl.DataFrame


def last_day(lake: Lake) -> date:
    """Return the newest day of which exposures and outcomes are completely ingested.

    Raises:
        TesseraError: there is none.
    """
    if known := known_days(lake):
        return max(known)
    raise TesseraError(
        "The lake holds no day of exposures and outcomes.",
        expected="a source that delivers `exposures` and `outcomes`, or events of both, and a night that stored them",
        todo="Run `tessera run experiments_nightly`.",
    )


def experiment_log(lake: Lake, name: str, settings: ExperimentSettings, until: date) -> ExperimentLog:
    """Return the rows that an experiment is evaluated by, delivered until a day.

    Exposures are matched with outcomes by id, so that memory holds those of one experiment and not the whole log.
    """
    unit = f"{settings.unit}_id"
    exposures = rows_of(
        lake,
        EXPOSURES.table,
        settings.first_day,
        until,
        columns=[*_UNIT_COLUMNS, unit],
        where=pc.match_substring_regex(pc.field("experiment"), rf"(^|\+){name}(\+|$)"),
    )
    columns = ["kind", "exposure_id", unit, "value", "happened_at"]
    outcomes = rows_of(lake, OUTCOMES.table, settings.first_day, until, columns=columns)
    ids = outcomes["exposure_id"].drop_nulls().unique().to_arrow()
    named = rows_of(
        lake,
        EXPOSURES.table,
        None,
        until,
        columns=["exposure_id", SHOWN_AT],
        where=pc.field("exposure_id").isin(ids.cast(pa.string())),
    )
    return ExperimentLog(exposures, outcomes, named, _lines_before(lake, settings))


def rows_of(
    lake: Lake,
    table: str,
    first: date | None,
    last: date,
    *,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
) -> pl.DataFrame:
    """Return rows of a contracted table that were delivered on these days, by the source or as events, each key once.

    Of rows with one key that of the source counts, then the first that came as an event.
    """
    schema, key = CONTRACTS[table].lake_schema(), CONTRACTS[table].key
    chosen = list(columns or schema.names)
    read = list(dict.fromkeys([*chosen, key]))
    parts = [
        lake.scan(name, first=first, last=last).to_table(columns=read, filter=where)
        for name in (table, logged_table(table))
        if lake.exists(name)
    ]
    empty = pa.schema([schema.field(name) for name in read]).empty_table()
    rows = pl.DataFrame(pa.concat_tables([empty, *(part.cast(empty.schema) for part in parts)]))
    came_as_events = len(parts) > 1 or not lake.exists(table)
    once = rows.unique(key, keep="first", maintain_order=True) if came_as_events else rows
    return once.select(chosen)


def days_of(lake: Lake, table: str) -> list[date]:
    """Return the days on which rows of a contracted table were delivered, by the source or as events, ascending."""
    return sorted({*lake.days(table), *lake.days(logged_table(table))})


def known_days(lake: Lake) -> set[date]:
    """Return the days of which exposures and outcomes are complete: from the source, or from the queue."""
    delivered = [set(complete_days(lake, contract.table)) for contract in (EXPOSURES, OUTCOMES)]
    return set.intersection(*delivered) | set(complete_days(lake, logged_table(EXPOSURES.table)))


def _lines_before(lake: Lake, settings: ExperimentSettings) -> pl.DataFrame:
    first = settings.first_day - timedelta(days=max(settings.covariate_days, 1))
    return rows_of(lake, ORDERS.table, first, settings.first_day - timedelta(days=1), columns=_LINE_COLUMNS)
