"""Checks and metadata of train/serve skew, for every application that serves features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.stages import metadata_keys as keys
from models.evaluation.config import SkewConfig

if TYPE_CHECKING:
    from models.evaluation.skew import Cause, Excess, FeatureSkew, SkewReport

CHECK = "skew"
_NAMED = 5
_WORDS: dict[Cause, str] = {
    "value": "another value than the same row has offline",
    "extra": "served from rows that offline does not have",
    "missing": "not served though offline had them",
    "stale": "served from older rows",
}


@dataclass(frozen=True)
class Compared:
    """Comparison of a day's served rows with offline features."""

    report: SkewReport
    config: SkewConfig

    def metadata(self) -> dict[str, Any]:
        """Return the metadata shown in Dagster: the largest share by cause, which plots, and every feature."""
        kept = {keys.EXAMPLES_IN_LAKE: self.report.examples.num_rows}
        return self._shares() | kept | {keys.FEATURE_SKEW: _feature_table(self.report.features)}

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
                keys.FEATURE_SKEW: _feature_table(tuple(named.values()) or self.report.features[:_NAMED]),
                keys.LIMITS: dg.MetadataValue.json(self.config.model_dump(exclude={"examples_per_feature"})),
            },
        )

    def _shares(self) -> dict[str, Any]:
        from models.evaluation.skew import CAUSES

        shares = {keys.share_key(cause): round(self.report.largest_share(cause), 6) for cause in CAUSES}
        return {keys.ROWS_COMPARED: self.report.compared, **shares}

    def _verdict(self) -> str:
        if not self.report.compared:
            return "nothing was compared: no row that was served that day is in the log"
        return f"{self.report.compared:,} served rows: no feature differs in more rows than allowed"


def examples_of(report: SkewReport, served: pa.Table, columns: Sequence[str], by: str, day: date) -> pa.Table:
    """One row per example of a differing value: `columns` of the served row, what differs, why, and `day` as `by`."""
    found = report.examples
    rows = served.select(list(columns)).take(found["row"])
    for name in ("feature", "cause", "served", "offline"):
        rows = rows.append_column(name, found[name])
    return rows.append_column(by, pa.array([day] * found.num_rows, pa.date32()))


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
