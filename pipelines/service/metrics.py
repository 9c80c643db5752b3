"""Metrics of the service in the text format of Prometheus, for `GET /metrics`.

Counted here and only written by prometheus-client: Feast, which is loaded where online features are read, switches the
client's own counters to files that several processes share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from typing_extensions import override

from models.metrics import METRICS, Sample, sample, within_limit
from pipelines.gateway.access import Answered
from pipelines.service.door import Door
from pipelines.service.home_metrics import home_samples
from resources.calls.breaker import states_here
from resources.metric_files import Samples, exposition
from resources.traces.port import dropped_here

#: Upper ends of the histogram's buckets, seconds.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_HISTOGRAM = "tessera_request_seconds"
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
        """Return everything that was counted here, what the home holds, and what runs and workers wrote."""
        kept, left_out = within_limit([*self._samples(), *home_samples(door)])
        return exposition(Samples([*kept, *left_out]), _Histogram(self))

    def _samples(self) -> Iterator[Sample]:
        yield sample("tessera_spans_dropped_total", dropped_here())
        for name, state in states_here().items():
            yield sample("tessera_circuit_open", {"closed": 0, "half_open": 0.5, "open": 1}[state], model=name)
        for (route, method, status), number in list(self.requests.items()):
            yield sample("tessera_requests_total", number, route=route, method=method, status=status)


class _Histogram(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @override
    def collect(self) -> Iterator[Metric]:
        known = METRICS[_HISTOGRAM]
        seconds = HistogramMetricFamily(_HISTOGRAM, known.help, labels=known.labels)
        for route, found in list(self._metrics.buckets.items()):
            ends = [*map(str, _SECONDS), "+Inf"]
            seconds.add_metric([route], list(zip(ends, accumulate(found), strict=True)), self._metrics.seconds[route])
        yield seconds
