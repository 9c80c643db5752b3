"""The training set and training task of churn; the shared training stage is `assets.stages.training`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.churn import app
from assets.churn import features as churn_features
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.settings import ChurnSettings
from resources.engine.port import Engine
from resources.feature_store.port import FeatureStore
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.features.cutoffs import Cutoffs
    from models.features.leakage import Recomputed
    from models.scoring.growth import HomeHistory

APP = app.CHURN.name
SERVICE = app.SERVICE.name
TABLE, AS_OF = app.CHURN.training_set, "as_of"

#: Parts of the hold-out that the gate compares one by one.
SLICES = ("country", "tenure_days", "orders_total")
#: What one number alone knows; the candidate must not be behind it.
BASELINES = {"recency only": "recency_days", "frequency only": "orders_total"}


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows at past cut-offs: `customer_id`, `event_timestamp`, the features, `churned` (int8).

    Attributes:
        rows: of the training cut-offs, the hold-out, and, for the refit, the cut-offs between them.
        cutoffs: days of the first two.
        tonight: feature rows of the day it was made as of; nobody knows their labels.
        recomputed: some of the rows, held against the same features computed without anything that came later.
        first_day: the day the lake's orders begin.
    """

    rows: pa.Table
    cutoffs: Cutoffs
    tonight: pa.Table
    recomputed: Recomputed | None = None
    first_day: date | None = None

    @property
    def churn_rate(self) -> float:
        """Share of rows that churned."""
        return float(np.mean(self.rows["churned"].to_numpy()))

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster."""
        days = [*self.cutoffs.train, self.cutoffs.holdout]
        return {
            "dagster/row_count": self.rows.num_rows,
            "cutoffs": len(self.cutoffs.train),
            "holdout": self.cutoffs.holdout.isoformat(),
            "churn_rate": round(self.churn_rate, 4),
            "days": ", ".join(day.isoformat() for day in days),
        }


def training_set(lake: Lake, engine: Engine, store: FeatureStore, settings: ChurnSettings, as_of: date) -> TrainingSet:
    """Return the point-in-time training set as of the end of `as_of`, also written to the lake.

    Cut-offs that have no features yet get them (bulk backfill). Labels are mature at `as_of` and count only orders
    delivered by then, so the set is the same whatever is delivered later.
    """
    from models.features.churn import training_cutoffs
    from models.features.cutoffs import cutoffs_between

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
    refit_on = cutoffs_between(cutoffs, settings.cutoff_step_days) if settings.refit.enabled else ()
    days = [*cutoffs.train, *refit_on, cutoffs.holdout]
    churn_features.write_features(lake, engine, settings, churn_features.missing_days(lake, [*days, as_of]))
    labelled = _labelled(lake, engine, settings, days, as_of)
    if not labelled.num_rows:
        raise _nothing_to_learn(f"No customer was active in the {settings.population_days} days before any cut-off.")
    store.apply()
    files = lake.files(churn_features.TABLE, first=days[0], last=days[-1])
    rows = store.historical(SERVICE, labelled, files={churn_features.VIEW: files})
    dated = rows.append_column(AS_OF, pa.array([as_of] * rows.num_rows, pa.date32()))
    lake.repair(TABLE)
    lake.replace(TABLE, dated, by=AS_OF, first=as_of, last=as_of)
    # What the lake holds is what is learnt from: it leaves out whoever was forgotten since the features were read.
    written = lake.scan(TABLE, first=as_of, last=as_of).to_table(columns=rows.column_names)
    tonight = lake.scan(churn_features.TABLE, first=as_of, last=as_of).to_table()
    recomputed = recomputed_features(lake, engine, settings, written, days)
    return TrainingSet(written, cutoffs, tonight, recomputed, known[0])


def _nothing_to_learn(what: str) -> TesseraError:
    return TesseraError(
        what,
        expected="customers with orders before the cut-offs that a model learns from",
        todo="Ingest more history, or choose a later day; `tessera quarantine orders` shows rows that were left out.",
    )


def recomputed_features(
    lake: Lake, engine: Engine, settings: ChurnSettings, rows: pa.Table, days: list[date]
) -> Recomputed:
    """Return the newest cut-off and some before it, computed again without the orders that came after each."""
    from models.features.churn import CATEGORIES, FEATURES, churn_features_known
    from models.features.cutoffs import cutoff_moment
    from models.features.leakage import Recomputed, recomputed, sampled

    found, forgotten = Recomputed(), lake.forgotten("customer")
    for day in sampled(days, settings.recomputed_cutoffs):
        cutoffs = pa.table({churn_features.DAY: pa.array([day], pa.date32())})
        tables, moment = {"orders": lake.scan("orders"), "cutoffs": cutoffs}, cutoff_moment(day)
        known = {"moment": moment, "day": day, "population_days": settings.population_days}
        honest = engine.query(churn_features_known, tables, **known).read_all()
        learnt = rows.filter(pc.field("event_timestamp") == moment)
        names = [*FEATURES, *CATEGORIES]
        found += recomputed(
            learnt, honest, key="customer_id", features=names, moment=day.isoformat(), leave_out=forgotten
        )
    return found


def _labelled(lake: Lake, engine: Engine, settings: ChurnSettings, days: list[date], as_of: date) -> pa.Table:
    from models.features.churn import churn_labels

    table = lake.scan(churn_features.TABLE)
    chosen = pc.field(churn_features.DAY).isin(pa.array(days, pa.date32()))
    entities = table.to_table(columns=["customer_id", "event_timestamp"], filter=chosen)
    tables = {"orders": lake.scan("orders", last=as_of), "entities": entities}
    labels = engine.query(churn_labels, tables, horizon_days=settings.horizon_days, as_of=as_of).read_all()
    return labels.sort_by([("event_timestamp", "ascending"), ("customer_id", "ascending")])


def training_task(rows: TrainingSet, settings: ChurnSettings) -> TrainingTask:
    """Build churn's training task from this training set."""
    from models.features.churn import CATEGORIES, FEATURES
    from models.features.cutoffs import cutoff_moment
    from models.training.dataset import split, whole

    features, holdout, horizon = [*FEATURES, *CATEGORIES], rows.cutoffs.holdout, settings.horizon_days
    newest = rows.rows.filter(pc.field("event_timestamp") == cutoff_moment(holdout))
    return TrainingTask(
        app=APP,
        service=SERVICE,
        holdout=holdout.isoformat(),
        split=split(rows.rows, features=features, holdout=holdout, horizon_days=horizon, slice_by=SLICES),
        features=features,
        newest=newest,
        baselines=BASELINES,
        recomputed=rows.recomputed,
        gate=settings.gate,
        drift=settings.drift,
        refit=settings.refit,
        whole=lambda: whole(rows.rows, features=features, horizon_days=horizon),
        tonight=rows.tonight,
        history=home_history(newest, holdout, settings.population_days, rows.first_day),
    )


def home_history(rows: pa.Table, day: date, population_days: int, first_day: date | None = None) -> HomeHistory:
    """History behind feature rows of `day`: since the lake's first day, or since a customer's first order before it.

    Orders that were delivered long after they were placed are older than the lake's first day. No feature looks as it
    will later before the home can hold customers who last bought `population_days` ago.
    """
    from models.features.churn_definitions import HISTORY_FEATURE, LOOK_BACK_DAYS
    from models.scoring.growth import history_of

    longest = math.ceil(max(rows[HISTORY_FEATURE].to_pylist(), default=0))
    since = (day - first_day).days + 1 if first_day is not None else 0
    look_back_days = {name: max(days, population_days) for name, days in LOOK_BACK_DAYS.items()}
    return history_of(HISTORY_FEATURE, look_back_days, day, max(since, longest))


def golden_customers(rows: pa.Table) -> list[str]:
    """Return the customers in the golden set of a model trained on this training set (one `as_of`)."""
    from models.training.golden import GOLDEN_ROWS

    if not rows.num_rows:
        return []
    newest = max(rows["event_timestamp"].unique().to_pylist())
    holdout = rows.filter(pc.field("event_timestamp") == newest)
    return sorted(holdout["customer_id"].to_pylist())[:GOLDEN_ROWS]
