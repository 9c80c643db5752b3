"""The training set and training task of fraud; the shared training stage is `assets.stages.training`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.fraud import features as fraud_features
from assets.fraud import feedback as alert_feedback
from assets.fraud.app import FRAUD
from assets.stages import metadata_keys as keys
from assets.stages.training_task import TrainingTask
from models.errors import TesseraError
from models.settings import FraudSettings
from models.tracing import traced
from resources.engine.port import Engine
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.features.leakage import Recomputed
    from models.fraud.training_rows import FraudDays
    from models.training.encoding import Encoder
    from models.training.model import FittedModel

APP = FRAUD.name
SERVICE = "fraud_v1"
TABLE, AS_OF = FRAUD.training_set, "as_of"

#: Parts of the hold-out that the gate compares one by one.
SLICES = ("amount", "customer_count_30d", "terminal_count_30d")
#: What one number alone knows; the candidate must not be behind it.
BASELINES = {"amount only": "amount", "terminal risk only": "terminal_risk_7d"}


@dataclass(frozen=True)
class TrainingSet:
    """Training rows of one model, and the payments it is evaluated on.

    Attributes:
        rows: labelled payments: keys, `event_timestamp`, the features, `is_fraud`, and the `part` they are used for.
        seen: every payment of the hold-out's days, as the stream sees them: also those without a label, and
            those of cards that should have been blocked. The same columns but `is_fraud` and `part`.
        tonight: every payment after the hold-out, up to the day it was made as of; their labels are not known yet.
        days: first and last days.
        recomputed: some of the rows, held against the same features computed without anything that came later.
    """

    rows: pa.Table
    seen: pa.Table
    tonight: pa.Table
    days: FraudDays
    recomputed: Recomputed | None = None

    @property
    def judged(self) -> pa.Table:
        """The rows of training and hold-out; the others are for the refit alone."""
        from models.fraud.training_rows import REFIT

        return self.rows.filter(pc.field("part") != REFIT)

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster."""
        return {
            keys.ROW_COUNT: self.rows.num_rows,
            keys.FRAUD_SHARE: round(float(np.mean(self.rows["is_fraud"].to_numpy(zero_copy_only=False))), 5),
            keys.TRAINED_ON: f"{self.days.train_first} to {self.days.train_last}",
            keys.HOLDOUT: _holdout(self.days),
        }


@traced("training rows")
def training_set(lake: Lake, engine: Engine, settings: FraudSettings, as_of: date) -> TrainingSet:
    """Return payments to train and to evaluate on whose labels are known at `as_of`, also written to the lake."""
    from models.fraud.training_rows import REFIT, fraud_days, fraud_rows

    days = fraud_days(as_of, train_days=settings.train_days, holdout_days=settings.holdout_days)
    features = fraud_features.computed(lake, engine, days.train_first, as_of).read_all()
    rows = fraud_rows(features, statements(lake, engine, days.train_first, as_of), days)
    if not rows.num_rows:
        raise TesseraError(
            f"No payment of {days.train_first} to {days.holdout_last} has a label that was known by {as_of}.",
            expected="payments with labels, fraud or not, of the days for training and evaluation",
            todo="Ingest payments and their labels of these days, or choose a later day.",
        )
    if not settings.refit.enabled:
        rows = rows.filter(pc.field("part") != REFIT)
    dated = rows.append_column(AS_OF, pa.array([as_of] * rows.num_rows, pa.date32()))
    lake.repair(TABLE)
    lake.replace(TABLE, dated, by=AS_OF, first=as_of, last=as_of)
    # The training rows are those that the lake holds: it leaves out entities forgotten meanwhile.
    written = lake.scan(TABLE, first=as_of, last=as_of).to_table(columns=rows.column_names)
    later = days.holdout_last + timedelta(days=1)
    seen = features.filter(_since(days.holdout_first) & ~_since(later))
    tonight = features.filter(_since(later))
    return TrainingSet(written, seen, tonight, days, recomputed_features(lake, engine, written))


def recomputed_features(lake: Lake, engine: Engine, rows: pa.Table) -> Recomputed:
    """Return the newest day's payments until the middle one, computed again without all that came after it."""
    from models.features.fraud_definitions import FEATURES
    from models.features.leakage import Recomputed, recomputed

    if not rows.num_rows:
        return Recomputed()
    ordered = rows.sort_by("event_timestamp")
    newest = ordered["event_timestamp"][-1].as_py().date()
    learnt = ordered.filter(_since(newest))
    moment = learnt["event_timestamp"][learnt.num_rows // 2].as_py()
    learnt = learnt.filter(pc.field("event_timestamp") <= moment)
    honest = fraud_features.computed_until(lake, engine, moment)
    # Payments without a label, and those of blocked cards, train no model.
    honest = honest.join(learnt.select(["transaction_id"]), "transaction_id", join_type="inner")
    return recomputed(learnt, honest, key="transaction_id", features=FEATURES, moment=moment.isoformat())


def labels(lake: Lake, engine: Engine, first: date, last: date) -> pa.Table:
    """Return last word on payments labelled on these days: `transaction_id`, `is_fraud`, `labelled_at`, in no order."""
    from models.fraud.labels import learnt_labels

    return engine.query(learnt_labels, _said(lake, first, last)).read_all()


def statements(lake: Lake, engine: Engine, first: date, last: date) -> pa.Table:
    """Every label of these days, also those that a later one replaced; columns and order as `labels`."""
    from models.fraud.labels import all_labels

    return engine.query(all_labels, _said(lake, first, last)).read_all()


def _said(lake: Lake, first: date, last: date) -> dict[str, Any]:
    return {
        "labels": lake.refer("payment_labels", first=first, last=last),
        "feedback": alert_feedback.answers(lake, first=first, last=last),
    }


def training_task(rows: TrainingSet, settings: FraudSettings) -> TrainingTask:
    """Build fraud's training task from this training set."""
    from models.features.fraud_definitions import FEATURES, LABEL_DELAY_DAYS
    from models.fraud.training_rows import refit_rows
    from models.training.dataset import split, whole

    judged = rows.judged
    divided = split(
        judged,
        features=FEATURES,
        holdout=rows.days.holdout_first,
        horizon_days=LABEL_DELAY_DAYS,
        slice_by=SLICES,
        label="is_fraud",
        key="transaction_id",
    )
    # The refit was trained on the hold-out: how many alerts it raises shows on payments that it has not seen.
    newest_paid = rows.tonight if rows.tonight.num_rows else rows.seen
    return TrainingTask(
        app=APP,
        service=SERVICE,
        holdout=_holdout(rows.days),
        split=divided,
        features=FEATURES,
        newest=judged.filter(_since(rows.days.holdout_first)),
        baselines=BASELINES,
        recomputed=rows.recomputed,
        gate=settings.gate,
        drift=settings.drift,
        extras=lambda chosen: _alerting(chosen.fit.model, divided.encoder, rows.seen, settings.alerts_per_day),
        refit=settings.refit,
        whole=lambda: whole(
            refit_rows(rows.rows),
            features=FEATURES,
            horizon_days=LABEL_DELAY_DAYS,
            label="is_fraud",
            key="transaction_id",
        ),
        tonight=newest_paid,
        refit_extras=lambda model, encoder: _alerting(model, encoder, newest_paid, settings.alerts_per_day),
    )


def golden_customers(rows: pa.Table) -> list[str]:
    """Return customers whose features are the golden set of a model trained on this training set (one `as_of`).

    Of payments at the instant of the last golden row, any may be in it: all of them are named.
    """
    from models.fraud.training_rows import HOLDOUT
    from models.training.golden import GOLDEN_ROWS

    held = rows.filter(pc.field("part") == HOLDOUT).sort_by("event_timestamp")
    moments = held["event_timestamp"].to_numpy()
    if not moments.size:
        return []
    golden = moments <= moments[min(GOLDEN_ROWS, moments.size) - 1]
    return sorted(set(held["customer_id"].filter(pa.array(golden)).to_pylist()))


def _alerting(model: FittedModel, encoder: Encoder, seen: pa.Table, per_day: int) -> Mapping[str, str]:
    """Return the threshold that keeps to the budget over every card that pays, not only those of the hold-out."""
    from models.fraud.threshold import ALERTING, alert_threshold, threshold_text

    days = seen["event_timestamp"].to_numpy().astype("datetime64[D]")
    cards = seen["customer_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    scores = model.predict(encoder.matrix(seen))
    return {ALERTING: threshold_text(alert_threshold(scores, cards, days, per_day=per_day), per_day)}


def _since(first: date) -> pc.Expression:
    return pc.field("event_timestamp") >= pa.scalar(first).cast(pa.timestamp("us", "UTC"))


def _holdout(days: FraudDays) -> str:
    return f"{days.holdout_first} to {days.holdout_last}"
