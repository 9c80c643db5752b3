"""Steps behind `churn/served_features`: what was served online on a day, held against what training would have seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import churn_features
from assets.churn_learning import SERVICE
from models.evaluation.config import SkewConfig
from resources.feature_store.port import FeatureStore, moment_column
from resources.lake.port import Lake

if TYPE_CHECKING:
    from models.evaluation.skew import Cause, Excess, FeatureSkew, Offline, SkewReport

# pyarrow has no static types.
# pyright: basic, reportAttributeAccessIssue=false

#: Examples of differing values, one row per value, by the day on which they were served.
TABLE, DAY = "churn_skew", "served_on"
CHECK = "skew"
_ENTITY, _KEYS = "customer", ["customer_id"]
_SERVED_AT = "served_at"
_NAMED = 5
_WORDS: dict[Cause, str] = {
    "value": "another value than the same row has offline",
    "extra": "served from rows that offline does not have",
    "missing": "not served though offline had them",
    "stale": "served from older rows",
}


@dataclass(frozen=True)
class Compared:
    """What comparing the served rows of a day found."""

    report: SkewReport
    config: SkewConfig

    def metadata(self) -> dict[str, Any]:
        """What Dagster shows of it: the largest share of any feature by cause, which plots, and every feature."""
        kept = {"examples in the lake": self.report.examples.num_rows}
        return self._shares() | kept | {"features": _feature_table(self.report.features)}

    def check(self) -> dg.AssetCheckResult:
        """Fails above any limit of the settings: an error for values, a warning for what only came late."""
        excesses = self.report.excesses(self.config)
        severe = any(excess.cause == "value" for excess in excesses)
        named = {feature.feature: feature for excess in excesses for feature in excess.features}
        return dg.AssetCheckResult(
            check_name=CHECK,
            passed=not excesses,
            severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
            description="; ".join(_sentence(excess) for excess in excesses) or self._verdict(),
            metadata={
                **self._shares(),
                "features": _feature_table(tuple(named.values()) or self.report.features[:_NAMED]),
                "limits": dg.MetadataValue.json(self.config.model_dump(exclude={"examples_per_feature"})),
            },
        )

    def _shares(self) -> dict[str, Any]:
        from models.evaluation.skew import CAUSES

        shares = {f"{cause}_share": round(self.report.largest_share(cause), 6) for cause in CAUSES}
        return {"rows compared": self.report.compared, **shares}

    def _verdict(self) -> str:
        if not self.report.compared:
            return "nothing was compared: no row that was served that day is in the log"
        return f"{self.report.compared:,} served rows: no feature differs in more rows than allowed"


def compare(lake: Lake, store: FeatureStore, config: SkewConfig, day: date) -> Compared:
    """What was served on `day` (UTC) against what training would have seen; examples of what differs in the lake.

    A day whose served rows are not in the log (any more) keeps the examples that were written for it before.
    """
    from models.evaluation.skew import skew

    store.apply()
    start = datetime.combine(day, time.min, tzinfo=UTC)
    served = store.served(SERVICE, start, start + timedelta(days=1))
    # Who was forgotten since has no rows offline; the log may still be waiting to lose them.
    served = lake.forgotten(_ENTITY).others(served, _KEYS[0])
    offline = _offline(lake, store, served, timedelta(hours=config.max_lag_hours))
    report = skew(served, offline, churn_features.VIEW, _features(), config)
    if served.num_rows:
        lake.replace(TABLE, _examples(report, served, day), by=DAY, first=day, last=day)
    return Compared(report, config)


def _features() -> list[str]:
    from models.features.churn_definitions import CATEGORIES, FEATURES

    return [*FEATURES, *CATEGORIES]


def _offline(lake: Lake, store: FeatureStore, served: pa.Table, max_lag: timedelta) -> Offline:
    """The point-in-time joins, by the path that training takes, and the served rows as they lie in the lake."""
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
    """The files of all days that a point-in-time join at `moments` may look at."""
    from feature_repo.churn_features import MAX_AGE

    span = pc.min_max(moments).as_py()
    if span["min"] is None:
        return []
    return lake.files(churn_features.TABLE, first=(span["min"] - MAX_AGE).date(), last=span["max"].date())


def _stored(lake: Lake, served: pa.Table) -> pa.Table:
    """The feature rows of the served customers, of the days whose end is the moment of a served row."""
    moments = served[moment_column(churn_features.VIEW)]
    days = [moment.date() for moment in pc.unique(moments.drop_null()).to_pylist()]
    columns = [*_KEYS, "event_timestamp", "created_timestamp", *_features()]
    rows = lake.scan(churn_features.TABLE, first=min(days, default=date.max), last=max(days, default=date.max))
    wanted = pc.field(churn_features.DAY).isin(pa.array(days, pa.date32()))
    return rows.to_table(columns=columns, filter=wanted & pc.field(_KEYS[0]).isin(served[_KEYS[0]].combine_chunks()))


def _examples(report: SkewReport, served: pa.Table, day: date) -> pa.Table:
    found = report.examples
    rows = served.select([_SERVED_AT, *_KEYS]).take(found["row"])
    for name in ("feature", "cause", "served", "offline"):
        rows = rows.append_column(name, found[name])
    return rows.append_column(DAY, pa.array([day] * found.num_rows, pa.date32()))


def _sentence(excess: Excess) -> str:
    shown = ", ".join(f"{f.feature} ({f.rows[excess.cause]:,} of {f.compared:,})" for f in excess.features[:_NAMED])
    more = len(excess.features) - _NAMED
    listed = f"{shown} and {more} more" if more > 0 else shown
    return f"{_WORDS[excess.cause]}: {listed}; allowed share {excess.limit:g}"


def _feature_table(features: Sequence[FeatureSkew]) -> dg.TableMetadataValue:
    from models.evaluation.skew import CAUSES

    counts = ["compared", "different", *CAUSES]
    types = {
        "feature": "string",
        "cause": "string",
        "share": "float",
        **dict.fromkeys(counts, "int"),
        "largest difference": "float",
    }
    records = [
        dg.TableRecord(
            {
                "feature": feature.feature,
                "cause": feature.cause or "",
                "share": round(feature.share(), 6),
                "compared": feature.compared,
                "different": feature.different,
                **feature.rows,
                "largest difference": None if feature.largest is None else float(f"{feature.largest:.4g}"),
            }
        )
        for feature in features
    ]
    schema = dg.TableSchema([dg.TableColumn(name, type_) for name, type_ in types.items()])
    return dg.MetadataValue.table(records, schema=schema)
