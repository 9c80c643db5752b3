"""Steps behind `churn/served_features`: features served online on a day, compared with those of training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from assets.churn import features as churn_features
from assets.churn.training import SERVICE
from assets.stages.skew import Compared, examples_of
from models.evaluation.config import SkewConfig
from resources.feature_store.port import FeatureStore, LoggedFeatureStore, moment_column
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.evaluation.skew import Offline

# pyarrow has no static types.
# pyright: basic, reportAttributeAccessIssue=false

#: Examples of differing values, one row per value, by the day on which they were served.
TABLE, DAY = "churn_skew", "served_on"
_ENTITY, _KEYS = "customer", ["customer_id"]
_SERVED_AT = "served_at"


def compare(lake: Lake, store: FeatureStore, config: SkewConfig, day: date) -> Compared:
    """Compare the features served on `day` (UTC) with those of training; write examples of differences to the lake.

    A day whose served rows are not in the log (any more) keeps the examples that were written for it before. Of a
    feature store that keeps no log, nothing is compared.
    """
    from models.evaluation.skew import nothing_compared, skew

    if not isinstance(store, LoggedFeatureStore):
        return Compared(nothing_compared(), config)
    store.apply()
    start = datetime.combine(day, time.min, tzinfo=UTC)
    served = store.served(SERVICE, start, start + timedelta(days=1))
    # Who was forgotten since has no rows offline; the log may still be waiting to lose them.
    served = lake.forgotten(_ENTITY).others(served, _KEYS[0])
    offline = _offline(lake, store, served, timedelta(hours=config.max_lag_hours))
    report = skew(served, offline, churn_features.VIEW, _features(), config)
    if served.num_rows:
        examples = examples_of(report, served, [_SERVED_AT, *_KEYS], DAY, day)
        lake.repair(TABLE)
        lake.replace(TABLE, examples, by=DAY, first=day, last=day)
    return Compared(report, config)


def _features() -> list[str]:
    from models.features.churn_definitions import CATEGORIES, FEATURES

    return [*FEATURES, *CATEGORIES]


def _offline(lake: Lake, store: FeatureStore, served: pa.Table, max_lag: timedelta) -> Offline:
    """Return the point-in-time joins, by the path that training takes, and the served rows as they are in the lake."""
    from models.evaluation.skew import Offline, versions

    at = served[_SERVED_AT]
    before = pc.subtract(at, pa.scalar(max_lag, pa.duration("us")))
    moments = pa.chunked_array([*at.chunks, *before.chunks], at.type)
    twice = pa.concat_tables([served.select(_KEYS)] * 2).append_column("event_timestamp", moments)
    joined = store.historical(SERVICE, twice, files={churn_features.VIEW: _files(lake, moments)})
    stored = _stored(lake, served)
    return Offline(
        now=joined.slice(0, served.num_rows),
        before=joined.slice(served.num_rows),
        versions=versions(served, stored, _KEYS, churn_features.VIEW, _features()),
    )


def _files(lake: Lake, moments: pa.ChunkedArray) -> Sequence[str]:
    """Return the files of all days that a point-in-time join at `moments` may look at."""
    from feature_repo.churn_features import MAX_AGE

    span = pc.min_max(moments).as_py()
    if span["min"] is None:
        return []
    return lake.files(churn_features.TABLE, first=(span["min"] - MAX_AGE).date(), last=span["max"].date())


def _stored(lake: Lake, served: pa.Table) -> pa.Table:
    """Return the feature rows of the served customers, of the days whose end is the moment of a served row."""
    moments = served[moment_column(churn_features.VIEW)]
    days = [moment.date() for moment in pc.unique(moments.drop_null()).to_pylist()]
    columns = [*_KEYS, "event_timestamp", "created_timestamp", *_features()]
    rows = lake.scan(churn_features.TABLE, first=min(days, default=date.max), last=max(days, default=date.max))
    wanted = pc.field(churn_features.DAY).isin(pa.array(days, pa.date32()))
    return rows.to_table(columns=columns, filter=wanted & pc.field(_KEYS[0]).isin(served[_KEYS[0]].combine_chunks()))
