"""Realized quality of applications that learn at past cut-offs: predictions whose horizon has ended.

The predictions of a day are compared with what was ordered in the days after it, as far as it was delivered by the day
of the run: by the same rule that labels the rows of a hold-out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.stages import metadata_keys as keys
from assets.stages.cutoff_training import CutoffPlan
from assets.stages.realized_performance import Accepted, Arrived, RealizedDay, accepted_version, nothing_measured
from assets.stages.replacement.plan import MaturedLabels
from models.gates.config import GateConfig
from models.publishing import Publication
from models.settings import CutoffSettings
from resources.engine.port import Engine
from resources.lake.port import Lake
from resources.registry.port import Registry
from resources.sink.port import DamagedScores, Sink

if TYPE_CHECKING:
    from models.evaluation.realized import Realized

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Partition column of the table `<app>_quality`, which has a row per metric of each day that was measured.
DAY = "scored_on"
_SCHEMA = pa.schema(
    [
        (DAY, pa.date32()),
        ("judged_on", pa.date32()),
        ("model_version", pa.string()),
        ("metric", pa.string()),
        ("rows", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("promised", pa.float64()),
        ("kept", pa.bool_()),
        ("labelled_share", pa.float64()),
    ]
)
#: Weeks before the horizon whose rows say how many a day usually has.
_WEEKS_BEFORE = timedelta(weeks=9)
#: Columns of a prediction interval.
_INTERVAL = ("lower", "upper")


def quality_table(app: str) -> str:
    """Return the lake table of an application's realized quality."""
    return f"{app}_quality"


def measured_and_stored(
    lake: Lake, table: str, horizon: timedelta, measured: Callable[[date], RealizedDay], as_of: date
) -> RealizedDay:
    """Return what is measured of the day whose horizon ended with `as_of`, and store it, and days that the lake lost.

    Args:
        lake: holds the table.
        table: of realized quality.
        horizon: after which outcomes are known.
        measured: measures the day whose horizon ended with a day.
        as_of: the day.
    """
    for lost in lake.repair(table):
        store_quality(lake, table, measured(lost + horizon), lost + horizon)
    found = measured(as_of)
    store_quality(lake, table, found, as_of)
    return found


@dataclass(frozen=True)
class PerformanceRun:
    """Stores of a profile, and what an application promises about its predictions.

    Attributes:
        lake: holds orders and the table of realized quality.
        engine: counts outcomes.
        registry: knows what the gate accepted.
        sink: holds published predictions.
        plan: says how outcomes are counted.
        settings: horizon and limits.
        gate: names the metric.
    """

    lake: Lake
    engine: Engine
    registry: Registry
    sink: Sink
    plan: CutoffPlan
    settings: CutoffSettings
    gate: GateConfig

    def measure(self, as_of: date) -> RealizedDay:
        """Measure the day whose horizon ended with `as_of`; write its rows to the lake if it was published.

        Rows of other days that the lake lost are written again.
        """
        horizon = timedelta(days=self.settings.horizon_days)
        return measured_and_stored(self.lake, quality_table(self.plan.app.name), horizon, self._measured, as_of)

    def _measured(self, as_of: date) -> RealizedDay:
        day, limits = as_of - timedelta(days=self.settings.horizon_days), self.settings.performance
        try:
            publication = self.sink.published(self.plan.app.name, day)
            rows = self._with_outcomes(publication, as_of) if publication else None
        except DamagedScores as error:
            return nothing_measured(day, f"the predictions of {day} cannot be read: {error.what}")
        if publication is None or rows is None:
            return nothing_measured(day, f"nothing was published for {day}, whose horizon ends now")
        arrived = orders_arrived(self.lake, day, as_of, limits.min_labelled_share)
        if not rows.num_rows:
            return RealizedDay(day, publication.model_version, arrived, unmeasured=f"no row of {day} is published")
        accepted = accepted_version(self.registry, publication)
        one = self._realized(rows, accepted)
        coverage = self._coverage(rows, accepted)
        label, score = self.plan.label, self.plan.app.contract.score
        means = {"mean_outcome": _mean(rows[label]), "mean_prediction": _mean(rows[score])}
        return RealizedDay(
            day,
            publication.model_version,
            arrived,
            [found for found in (one, coverage) if found],
            "" if one else f"too few outcomes of {day} to measure {self.gate.metric}",
            means,
            knew=accepted.as_of is not None and accepted.as_of > day,
        )

    def _realized(self, rows: pa.Table, accepted: Accepted) -> Realized | None:
        from models.evaluation.realized import realized
        from models.tasks.named import task_of

        task = task_of(self.plan.kind)
        metric = task.metric(self.gate.metric)
        return realized(
            metric,
            rows[self.plan.label].to_numpy().astype(task.label_type),
            rows[self.plan.app.contract.score].to_numpy().astype(float),
            np.arange(rows.num_rows),
            accepted.promises.get(metric.name),
            max_drop=self.settings.performance.max_drop,
        )

    def _coverage(self, rows: pa.Table, accepted: Accepted) -> Realized | None:
        """Return the share of the outcomes inside of their interval, where there are intervals."""
        from models.evaluation.realized import realized_share

        (lower, upper), label = _INTERVAL, self.plan.label
        if lower not in rows.column_names:
            return None
        inside = pc.and_(pc.greater_equal(rows[label], rows[lower]), pc.less_equal(rows[label], rows[upper]))
        promise, words = accepted.promises.get(keys.COVERAGE), "coverage of the intervals"
        return realized_share(
            keys.COVERAGE,
            words,
            pc.sum(inside).as_py() or 0,
            rows.num_rows,
            promise,
            max_drop=self.settings.performance.max_coverage_drop,
        )

    def _with_outcomes(self, publication: Publication, as_of: date) -> pa.Table:
        """Return the published rows with the column `plan.label`, ascending by entity: one row each."""
        plan = self.plan
        rows = pa.Table.from_batches(self.sink.published_rows(publication), plan.app.contract.schema)
        payload = [name for name in (plan.entity, plan.app.contract.score, *_INTERVAL) if name in rows.column_names]
        entities = rows.select([plan.entity])
        horizon_days = self.settings.horizon_days
        outcomes = outcomes_of(self.lake, self.engine, plan, horizon_days, entities, publication.day, as_of)
        return rows.select(payload).join(outcomes, plan.entity, join_type="inner").sort_by(plan.entity)


def outcomes_of(
    lake: Lake, engine: Engine, plan: CutoffPlan, horizon_days: int, entities: pa.Table, day: date, as_of: date
) -> pa.Table:
    """Return `plan.entity` and `plan.label` of entities that were scored on `day`, as known at the end of `as_of`."""
    from models.features.cutoffs import cutoff_moment

    moment = pa.scalar(cutoff_moment(day), pa.timestamp("us", "UTC"))
    dated = entities.append_column("event_timestamp", pa.repeat(moment, entities.num_rows))
    tables = {"orders": lake.refer("orders", first=day, last=as_of), "entities": dated}
    found = engine.query(plan.labels, tables, horizon_days=horizon_days, as_of=as_of).read_all()
    return found.select([plan.entity, plan.label])


def matured_labels(plan: CutoffPlan, horizon_days: int) -> MaturedLabels:
    """Return the labels of scored entities, for replacements."""

    def of(lake: Lake, engine: Engine, entities: pa.Table, day: date, as_of: date) -> pa.Table:
        return outcomes_of(lake, engine, plan, horizon_days, entities, day, as_of)

    return MaturedLabels(horizon_days, plan.entity, plan.label, of)


def _mean(column: pa.ChunkedArray) -> float:
    return float(pc.mean(column).as_py())


def orders_arrived(lake: Lake, day: date, as_of: date, limit: float) -> Arrived:
    """Return the share of the horizon's days on which orders were placed, where that weekday usually has some."""
    from models.evaluation.realized import undelivered_days

    first, days = day + timedelta(days=1), (as_of - day).days
    missing = undelivered_days(_orders_by_day(lake, first - _WEEKS_BEFORE, as_of), first, as_of)
    says = f"orders of {days - len(missing)} of the {days} days after {day} have arrived"
    if missing:
        named = ", ".join(one.isoformat() for one in missing[:3]) + (", ..." if len(missing) > 3 else "")
        says += f"; hardly any are of {named}"
    return Arrived(1 - len(missing) / days, says, limit)


def _orders_by_day(lake: Lake, first: date, last: date) -> dict[date, int]:
    """Count order lines by the day on which they were placed: late ones are there once they have come."""
    placed = lake.scan("orders", first=first, last=last).to_table(columns=["ordered_at"])["ordered_at"]
    counted = pc.value_counts(placed.cast(pa.date32()))
    found = Counter(dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)))
    return {day: rows for day, rows in found.items() if first <= day <= last}


def store_quality(lake: Lake, table: str, found: RealizedDay, as_of: date) -> None:
    """Write the metrics of a day to the lake, a row each; nothing where nothing was measured."""
    if not found.measured:
        return
    common = {
        DAY: found.day,
        "judged_on": as_of,
        "model_version": found.model_version,
        "labelled_share": found.arrived.share,
    }
    rows = [
        {
            **common,
            "metric": one.metric,
            "rows": one.rows,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "promised": one.promise.value if one.promise else None,
            "kept": one.is_kept,
        }
        for one in found.measured
    ]
    lake.replace(table, pa.Table.from_pylist(rows, _SCHEMA), by=DAY, first=found.day, last=found.day)
