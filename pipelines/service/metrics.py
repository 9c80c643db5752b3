"""Metrics of the service in the text format of Prometheus, for `GET /metrics`.

Counted here and only written by prometheus-client: Feast, which is loaded where online features are read, switches the
client's own counters to files that several processes share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from typing_extensions import override

from pipelines.gateway.access import Answered
from pipelines.service.door import Door

#: Upper ends of the histogram's buckets, seconds.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of this process. Labels have few values: the path of a route, never that of a request."""

    def __init__(self) -> None:
        self.requests = Counter[tuple[str, str, str]]()
        self.buckets: dict[str, list[int]] = {}
        self.seconds: dict[str, float] = {}

    def answered(self, request: Answered) -> None:
        """Count a request; one that no route answered has the route `none`."""
        route = getattr(request.scope.get("route"), "path", "none")
        method = request.scope["method"] if request.scope["method"] in ("GET", "POST") else "other"
        self.requests[route, method, str(request.status)] += 1
        self.buckets.setdefault(route, [0] * (len(_SECONDS) + 1))[bisect_left(_SECONDS, request.seconds)] += 1
        self.seconds[route] = self.seconds.get(route, 0.0) + request.seconds

    def text(self, door: Door) -> bytes:
        """Return everything that was counted, and how old the published sets are."""
        registry = CollectorRegistry()
        registry.register(_Samples(self, door))
        return generate_latest(registry)


class _Samples(Collector):
    def __init__(self, metrics: Metrics, door: Door) -> None:
        self._metrics, self._door = metrics, door

    @override
    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        count = CounterMetricFamily(
            "tessera_requests", "Requests that were answered.", labels=["route", "method", "status"]
        )
        for labels, number in list(metrics.requests.items()):
            count.add_metric(labels, number)
        yield count
        seconds = HistogramMetricFamily("tessera_request_seconds", "Wall time of a request.", labels=["route"])
        for route, found in list(metrics.buckets.items()):
            ends = [*map(str, _SECONDS), "+Inf"]
            seconds.add_metric([route], list(zip(ends, accumulate(found), strict=True)), metrics.seconds[route])
        yield seconds
        yield from self._published()

    def _published(self) -> Iterator[Metric]:
        labels = ["app", "model_version", "degradation"]
        version = GaugeMetricFamily("tessera_published_info", "Version of the newest published set: 1.", labels=labels)
        age = GaugeMetricFamily("tessera_published_age_seconds", "Age of the newest published set.", labels=["app"])
        for app, sets in self._door.published.items():
            found = sets.look()
            if found is not None:
                one = found.publication
                version.add_metric([app, one.model_version, one.degradation], 1)
                age.add_metric([app], (datetime.now(UTC) - one.published_at).total_seconds())
        yield version
        yield age
