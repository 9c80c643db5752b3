"""Steps behind `fraud/online_skew`: what the stream's model was given on a day, against the offline features."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.fraud import features as fraud_features
from assets.fraud import scoring as fraud_scoring
from assets.fraud.stream.state import FraudState
from assets.stages import metadata_keys as keys
from assets.stages.skew import CHECK, Compared, examples_of
from models.evaluation.config import SkewConfig
from models.features.fraud_definitions import FEATURES
from resources.lake.port import Lake
from resources.sink.port import Sink

if TYPE_CHECKING:
    from models.evaluation.skew import Offline

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

#: Examples of differing values, one row per value, by the day of the payment.
TABLE, DAY = "fraud_skew", "paid_on"
_VIEW, _ENTITY, _ID = "stream", "customer", "transaction_id"
_KEYS = [_ID, "customer_id", "terminal_id", "event_timestamp"]


@dataclass(frozen=True)
class Streamed:
    """Comparison of a day's payments in stream and batch: rows on one or both sides, and differing scores."""

    compared: Compared
    rows: dict[str, int]

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: numbers that plot, and every feature."""
        return self.rows | self.compared.metadata()

    def check(self) -> dg.AssetCheckResult:
        """Return the check of the features: a warning if no stream ran, an error if equal rows score differently."""
        if not self.rows[keys.STREAMED]:
            paid = self.rows[keys.ONLY_OFFLINE]
            says = f"no stream scored any of the {paid:,} payments of this day: nothing was compared"
            return dg.AssetCheckResult(
                check_name=CHECK, passed=not paid, severity=dg.AssetCheckSeverity.WARN, description=says
            )
        if self.rows[keys.SCORES_DIFFERING] and not self.compared.report.largest_share():
            count = self.rows[keys.SCORES_DIFFERING]
            says = f"{count:,} payments have another score offline, from the same model and row"
            return dg.AssetCheckResult(
                check_name=CHECK, passed=False, severity=dg.AssetCheckSeverity.ERROR, description=says
            )
        return self.compared.check()


def compare(lake: Lake, sink: Sink, store: FraudState, config: SkewConfig, day: date) -> Streamed:
    """The payments of `day` (UTC) in the stream's store against the lake; examples of what differs in the lake.

    A payment that only one side has differs in every feature: `extra` if it is the stream's, else `missing`.
    """
    from models.evaluation.skew import skew

    # Who was forgotten has no rows offline; the stream's may be about to go.
    online = lake.forgotten(_ENTITY).others(store.scored(day, day), "customer_id")
    offline = lake.scan(fraud_features.TABLE, first=day, last=day).to_table(columns=[*_KEYS, *FEATURES])
    served, stored, both = _side_by_side(online, offline)
    report = skew(served, _offline(served, stored, both), _VIEW, FEATURES, config)
    if online.num_rows:
        lake.repair(TABLE)
        lake.replace(TABLE, examples_of(report, served, _KEYS, DAY, day), by=DAY, first=day, last=day)
    rows = {
        keys.STREAMED: online.num_rows,
        keys.ONLY_ONLINE: online.num_rows - int(both.sum()),
        keys.ONLY_OFFLINE: served.num_rows - online.num_rows,
        keys.SCORES_DIFFERING: _scores_differing(online, fraud_scoring.published_scores(sink, day)),
    }
    return Streamed(Compared(report, config), rows)


def _side_by_side(online: pa.Table, offline: pa.Table) -> tuple[pa.Table, pa.Table, np.ndarray]:
    """Return served rows (empty for payments only offline has), their offline rows, and a mask of those in both."""
    place = {number: at for at, number in enumerate(offline[_ID].to_pylist())}
    places = np.array([place.get(number, -1) for number in online[_ID].to_pylist()], dtype=np.int64)
    alone = offline.filter(pc.invert(pc.is_in(offline[_ID], online[_ID].combine_chunks())))
    served = pa.concat_tables([online.select([*_KEYS, *FEATURES]), alone.select(_KEYS)], promote_options="default")
    status = ["PRESENT"] * online.num_rows + ["NOT_FOUND"] * alone.num_rows
    served = served.append_column(f"{_VIEW}__status", pa.array(status, pa.string()))
    served = served.append_column("served_at", served["event_timestamp"])
    found = offline.take(pa.array(places, mask=places < 0))
    both = np.concatenate([places >= 0, np.zeros(alone.num_rows, dtype=bool)])
    return served, pa.concat_tables([found, alone]).select(list(FEATURES)), both


def _offline(served: pa.Table, stored: pa.Table, both: np.ndarray) -> Offline:
    """Features of a payment do not change with time: what offline has now is what it had when it was paid."""
    from models.evaluation.skew import Offline

    rows = pa.array(np.flatnonzero(both))
    versions = stored.take(rows).append_column("row", rows).append_column("since", served["served_at"].take(rows))
    return Offline(now=stored, before=stored, versions=versions)


def _scores_differing(online: pa.Table, offline: pa.Table) -> int:
    """Payments that both sides scored with one model, and differently."""
    if not offline.num_rows:
        return 0
    scored = ("score", "model_version")
    left = online.select([_ID, *scored])
    right = offline.select([_ID, *scored]).rename_columns([_ID, *(f"offline_{name}" for name in scored)])
    both = left.join(right, _ID, join_type="inner")
    same_model = pc.equal(both["model_version"], both["offline_model_version"])
    return pc.sum(pc.and_(same_model, pc.not_equal(both["score"], both["offline_score"]))).as_py() or 0
