"""Training rows at past cut-offs: daily features, labels that are mature, what the gate recomputes.

For applications whose features are a `FeatureTable` over `orders`, and whose labels look at a number of days after the
cut-off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.stages import metadata_keys as keys
from assets.stages.app import App
from assets.stages.feature_days import FeatureTable, cutoff_table, missing_days, write_features
from assets.stages.training_task import TrainingTask
from models.erasure.tombstones import ENTITIES
from models.errors import TesseraError
from models.gates.config import GateConfig
from models.settings import CutoffSettings
from models.tracing import traced
from resources.engine.port import Engine
from resources.lake.port import Lake

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from models.features.cutoffs import Cutoffs
    from models.features.leakage import Recomputed
    from models.scoring.growth import HomeHistory
    from models.tasks.task import TaskName
    from models.training.columns import Direction
    from models.training.computed_features import ComputedFeatures

AS_OF = "as_of"


@dataclass(frozen=True)
class CutoffPlan:
    """Training of one application at past cut-offs.

    Attributes:
        app: its record.
        kind: the kind of prediction.
        table: daily features, one row per entity and day.
        features: columns that the model learns from, numbers first.
        entity: key column of the entity.
        label: column of the labels.
        labels: expression of (`orders`, `entities`, `horizon_days`, `as_of`) that adds `label` to `entities`.
        baselines: name -> the one column that it goes by; the candidate must not be behind it.
        slices: columns whose parts of the hold-out the gate compares one by one.
        service: version of the features, as model cards and published rows name it.
        counts: further numbers of the training set for Dagster.
        directions: feature -> direction in which predictions may move as it grows.
        purchases: columns of purchase days, recency and tenure, where the features describe a purchase history.
        history: column of the days since the first event that is held of an entity; it grows with a young home.
        look_back_days: feature -> days of history that a home must hold before the feature looks as it will later.
    """

    app: App
    kind: TaskName
    table: FeatureTable
    features: Sequence[str]
    entity: str
    label: str
    labels: Callable[..., ir.Table]
    baselines: Mapping[str, str]
    slices: Sequence[str]
    service: str
    counts: Callable[[pa.Table], Mapping[str, float]] = lambda _: {}
    directions: Mapping[str, Direction] = field(default_factory=dict[str, "Direction"])
    purchases: tuple[str, str, str] | None = None
    history: str | None = None
    look_back_days: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class CutoffRows:
    """Labelled rows at past cut-offs.

    Attributes:
        rows: of the training cut-offs, the hold-out, and, for the refit, the cut-offs between them.
        cutoffs: days of the first two.
        tonight: feature rows of the day the set was made as of; their labels are not known yet.
        recomputed: some of the rows compared with the same features computed without any later row.
        first_day: first day of the lake's orders.
        counts: further numbers for Dagster.
    """

    rows: pa.Table
    cutoffs: Cutoffs
    tonight: pa.Table
    recomputed: Recomputed
    first_day: date
    counts: Mapping[str, float]

    def metadata(self) -> dict[str, Any]:
        """Numbers for Dagster."""
        days = [*self.cutoffs.train, self.cutoffs.holdout]
        return {
            keys.ROW_COUNT: self.rows.num_rows,
            keys.CUTOFFS: len(self.cutoffs.train),
            keys.HOLDOUT: self.cutoffs.holdout.isoformat(),
            **{name: round(value, 4) for name, value in self.counts.items()},
            keys.DAYS: ", ".join(day.isoformat() for day in days),
        }

    @property
    def newest(self) -> pa.Table:
        """Rows of the hold-out."""
        from models.features.cutoffs import cutoff_moment

        return self.rows.filter(pc.field("event_timestamp") == cutoff_moment(self.cutoffs.holdout))


def computed_features(plan: CutoffPlan) -> ComputedFeatures:
    """Return the features that this release computes by a plan."""
    from models.training.computed_features import ComputedFeatures

    return ComputedFeatures(plan.service, tuple(plan.features))


#: Joins features to labelled entities (entities, days -> rows); None: the rows of the feature table are labelled.
Join = Callable[[pa.Table, Sequence[date]], pa.Table]


@traced("training rows")
def cutoff_rows(
    lake: Lake, engine: Engine, plan: CutoffPlan, settings: CutoffSettings, as_of: date, join: Join | None = None
) -> CutoffRows:
    """Make the training rows as of the end of `as_of` and store them in the lake.

    Cut-offs without features get them first. Labels are mature at `as_of` and count only orders delivered by then, so
    the set stays the same whatever is delivered later.

    Raises:
        TesseraError: too few days of orders, or no entity at any cut-off.
    """
    from models.features.cutoffs import cutoffs_between, training_cutoffs

    known = lake.days("orders")
    if not known:
        raise _nothing_to_learn(f"There are no orders up to {as_of}.")
    cutoffs = training_cutoffs(
        as_of,
        known[0],
        horizon_days=settings.horizon_days,
        step_days=settings.cutoff_step_days,
        min_history_days=settings.min_history_days,
        max_cutoffs=settings.max_training_cutoffs,
    )
    between = cutoffs_between(cutoffs, settings.cutoff_step_days) if settings.refit.enabled else ()
    days = [*cutoffs.train, *between, cutoffs.holdout]
    missing = missing_days(lake, plan.table.name, [*days, as_of])
    write_features(lake, engine, plan.table, missing, len(plan.features))
    labelled = _labelled(lake, engine, plan, settings.horizon_days, days, as_of, only_keys=join is not None)
    if not labelled.num_rows:
        raise _nothing_to_learn(f"{plan.table.name} has no row at any cut-off: nothing was active before them.")
    rows = stored(lake, plan.app.training_set, join(labelled, days) if join else labelled, as_of)
    tonight = lake.scan(plan.table.name, first=as_of, last=as_of).to_table()
    again = recomputed_rows(lake, engine, plan, settings.recomputed_cutoffs, rows, days)
    return CutoffRows(rows, cutoffs, tonight, again, known[0], plan.counts(rows))


def cutoff_task(plan: CutoffPlan, found: CutoffRows, settings: CutoffSettings, gate: GateConfig) -> TrainingTask:
    """Build the training task of these rows: trained before the hold-out, evaluated on it, refit on all of them."""
    from models.tasks.named import task_of
    from models.training.columns import PurchaseHistory
    from models.training.dataset import split, whole

    holdout = found.cutoffs.holdout
    columns: dict[str, Any] = {
        "features": plan.features,
        "horizon_days": settings.horizon_days,
        "label": plan.label,
        "label_type": task_of(plan.kind).label_type,
        "entity": plan.entity,
    }
    return TrainingTask(
        app=plan.app.name,
        kind=plan.kind,
        service=plan.service,
        holdout=holdout.isoformat(),
        split=split(found.rows, holdout=holdout, slice_by=plan.slices, **columns),
        features=plan.features,
        newest=found.newest,
        baselines=plan.baselines,
        recomputed=found.recomputed,
        gate=gate,
        drift=settings.drift,
        refit=settings.refit,
        waits_for_replacement=settings.replacement.required,
        whole=lambda: whole(found.rows, **columns),
        tonight=found.tonight,
        history=home_history(plan, found.newest, holdout, settings.population_days, found.first_day),
        directions=plan.directions,
        purchases=PurchaseHistory(*plan.purchases, settings.horizon_days) if plan.purchases else None,
    )


def home_history(
    plan: CutoffPlan, rows: pa.Table, day: date, population_days: int, first_day: date
) -> HomeHistory | None:
    """Return the history behind feature rows of `day`: since `first_day`, or since an entity's first event before it.

    Orders that were delivered long after they were placed are older than the lake's first day. No feature looks as it
    will later before the home can hold entities that were last active `population_days` ago.
    """
    from models.scoring.growth import history_of

    if plan.history is None:
        return None
    longest = math.ceil(max(rows[plan.history].to_pylist(), default=0))
    look_back_days = {name: max(days, population_days) for name, days in plan.look_back_days.items()}
    return history_of(plan.history, look_back_days, day, max((day - first_day).days + 1, longest))


def stored(lake: Lake, table: str, rows: pa.Table, as_of: date) -> pa.Table:
    """Store a training set as of a day; return it as read back, without entities that were erased meanwhile."""
    dated = rows.append_column(AS_OF, pa.array([as_of] * rows.num_rows, pa.date32()))
    lake.repair(table)
    lake.replace(table, dated, by=AS_OF, first=as_of, last=as_of)
    return lake.scan(table, first=as_of, last=as_of).to_table(columns=rows.column_names)


def recomputed_rows(
    lake: Lake, engine: Engine, plan: CutoffPlan, count: int, rows: pa.Table, days: Sequence[date]
) -> Recomputed:
    """Compute the newest cut-off and some before it again, from nothing but the orders that were known at each."""
    from models.features.cutoffs import cutoff_moment
    from models.features.known import known_by, known_orders
    from models.features.leakage import Recomputed, recomputed, sampled

    persons = {column: kind for kind, column in ENTITIES.items()}
    erased = lake.forgotten(persons[plan.entity]) if plan.entity in persons else ()
    found, expression = Recomputed(), known_orders(plan.table.expression)
    for day in sampled(days, count):
        known = known_by(cutoff_moment(day), day)
        tables = {"orders": lake.refer("orders"), "cutoffs": cutoff_table([day]), "known": known}
        honest = engine.query(expression, tables, **plan.table.parameters).read_all()
        at_day = rows.filter(pc.field("event_timestamp") == cutoff_moment(day))
        found += recomputed(
            at_day, honest, key=plan.entity, features=plan.features, moment=day.isoformat(), leave_out=erased
        )
    return found


def golden_entities(rows: pa.Table, entity: str) -> list[str]:
    """Return the entities in the golden set of a model trained on this training set (one `as_of`)."""
    from models.training.golden import GOLDEN_ROWS

    if not rows.num_rows:
        return []
    newest = max(rows["event_timestamp"].unique().to_pylist())
    return sorted(rows.filter(pc.field("event_timestamp") == newest)[entity].to_pylist())[:GOLDEN_ROWS]


def _labelled(
    lake: Lake,
    engine: Engine,
    plan: CutoffPlan,
    horizon_days: int,
    days: Sequence[date],
    as_of: date,
    *,
    only_keys: bool,
) -> pa.Table:
    entities = lake.refer(plan.table.name, days=days)
    entities = entities.only(plan.entity, "event_timestamp") if only_keys else entities
    tables = {"orders": lake.refer("orders", last=as_of), "entities": entities}
    labels = engine.query(plan.labels, tables, horizon_days=horizon_days, as_of=as_of).read_all()
    return labels.sort_by([("event_timestamp", "ascending"), (plan.entity, "ascending")])


def _nothing_to_learn(what: str) -> TesseraError:
    return TesseraError(
        what,
        expected="entities with orders before the cut-offs that a model learns from",
        todo="Ingest more history, or choose a later day; `tessera quarantine orders` shows rows that were left out.",
    )
