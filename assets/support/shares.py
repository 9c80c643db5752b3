"""Shares of tickets that a version escalates, finds out of scope and hands over, beside those of its hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from assets.stages import metadata_keys as keys
from assets.support.app import SUPPORT
from models.compose.share_drift import Share, ShareDrift, share_drift
from models.settings import SupportSettings
from resources.registry.port import Registry
from resources.sink.port import Sink

if TYPE_CHECKING:
    from models.publishing import Publication

CHECK = "shares"
#: Name of the count in a publication -> name of the share, and the metric of the version that promises it.
SHARES: Mapping[str, tuple[str, str]] = {
    keys.ESCALATED: ("escalated to the embedding model", "escalated_share"),
    keys.OUT_OF_SCOPE: ("out of scope", "out_of_scope_share"),
    keys.HANDED_OFF: ("handed to a person", "handed_off_share"),
}
#: Metric with the number of tickets behind a promise.
TICKETS_OF = {"escalated_share": "holdout_tickets", "out_of_scope_share": "holdout_tickets"}
MEASURED_TICKETS = "measured_tickets"


def drifts(sink: Sink, registry: Registry, settings: SupportSettings, as_of: date) -> Sequence[ShareDrift]:
    """Return the shares of the version that triaged `as_of`, over its published days of the last weeks."""
    newest = sink.published(SUPPORT.name, as_of)
    if newest is None:
        return ()
    promised = next(
        (info.metrics for info in registry.versions(SUPPORT.name) if info.version == newest.model_version), {}
    )
    first = as_of - timedelta(days=settings.share_days - 1)
    days = [day for day in sink.published_days(SUPPORT.name) if first <= day <= as_of]
    published = [one for day in days if (one := sink.published(SUPPORT.name, day)) is not None]
    of_version = [one for one in published if one.model_version == newest.model_version]
    return [
        share_drift(name, was, _realised(of_version, count), tolerance=settings.max_share_drift)
        for count, (name, metric) in SHARES.items()
        if (was := _promised(promised, metric)) is not None
    ]


def checked(found: Sequence[ShareDrift]) -> dg.AssetCheckResult:
    """Warn if a realised share differs from the promised one by more than chance and the tolerance."""
    drifted = [one for one in found if one.drifted]
    says = "; ".join(map(str, drifted or found)) or "the version that triaged promises no share"
    return dg.AssetCheckResult(
        check_name=CHECK,
        passed=not drifted,
        severity=dg.AssetCheckSeverity.WARN,
        description=says,
        metadata={one.name.replace(" ", "_"): round(one.realised.value, 6) for one in found},
    )


def _promised(metrics: Mapping[str, float], metric: str) -> Share | None:
    n = round(metrics.get(TICKETS_OF.get(metric, MEASURED_TICKETS), 0))
    return Share(round(metrics[metric] * n), n) if metric in metrics and n else None


def _realised(published: Sequence[Publication], count: str) -> Share:
    of, n = (sum(one.counts.get(name, 0) for one in published) for name in (count, keys.TICKETS))
    return Share(of, n)
