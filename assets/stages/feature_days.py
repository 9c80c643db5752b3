"""Features as of the end of a day: computed by an expression, one partition per day of a lake table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages import metadata_keys as keys
from models.tracing import traced
from resources.engine.port import Engine
from resources.lake.port import Lake

if TYPE_CHECKING:
    import ibis.expr.types as ir

#: The day of a feature row, and the column by which feature tables are partitioned.
DAY = "feature_date"
#: Days computed by one statement: bounds memory at days x entities x features, and keeps the plan shared.
_DAYS_AT_ONCE = 8


@dataclass(frozen=True)
class FeatureTable:
    """A lake table of daily features, and how a day of it is computed.

    Attributes:
        name: of the lake table.
        expression: builds the features from `orders` and `cutoffs` (one column `feature_date`).
        parameters: further arguments of the expression.
    """

    name: str
    expression: Callable[..., ir.Table]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WrittenFeatures:
    """Rows by day that a write left in the lake, and the table's version."""

    rows: dict[date, int]
    version: int
    features: int

    def metadata(self) -> dict[str, Any]:
        """Numbers for Dagster."""
        return {keys.ROW_COUNT: sum(self.rows.values()), keys.FEATURES: self.features, keys.LAKE_VERSION: self.version}


@traced("compute features")
def write_features(
    lake: Lake, engine: Engine, table: FeatureTable, days: Sequence[date], features: int
) -> WrittenFeatures:
    """Compute and store the features of `days`, and of each day whose features the lake has lost.

    A day's features use only rows that were delivered by its end.
    """
    rows: dict[date, int] = {}
    every = sorted({*days, *lake.repair(table.name)})
    version = lake.version(table.name)
    for group in (every[start : start + _DAYS_AT_ONCE] for start in range(0, len(every), _DAYS_AT_ONCE)):
        tables = {"orders": lake.refer("orders", last=group[-1]), "cutoffs": cutoff_table(group)}
        computed = engine.query(table.expression, tables, **table.parameters).read_all()
        for day in group:
            of_day = computed.filter(pc.field(DAY) == day)  # in the order of the expression: ascending by entity
            version = lake.replace(table.name, of_day, by=DAY, first=day, last=day)
            rows[day] = of_day.num_rows
    return WrittenFeatures(rows, version, features)


def cutoff_table(days: Sequence[date]) -> pa.Table:
    """Return the cut-off days as the expressions read them."""
    return pa.table({DAY: pa.array(days, pa.date32())})


def missing_days(lake: Lake, table: str, days: Iterable[date]) -> list[date]:
    """Days of `days` without features, ascending."""
    return sorted(set(days) - set(lake.days(table)))
