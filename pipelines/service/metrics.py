"""Metrics of the service in the text format of Prometheus, for `GET /metrics`."""

from __future__ import annotations

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pipelines.gateway.access import Answered
from pipelines.service.door import Door

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
MEDIA_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters of this process. Labels have few values: the path of a route, never that of a request."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ["route", "method", "status"]
        self._requests = Counter("tessera_requests", "Requests that were answered.", labels, registry=registry)
        self._seconds = Histogram(
            "tessera_request_seconds", "Wall time of a request.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._version = Gauge(
            "tessera_published_info",
            "Version of the newest published set: 1.",
            ["app", "model_version", "degradation"],
            registry=registry,
        )
        self._age = Gauge(
            "tessera_published_age_seconds", "Age of the newest published set.", ["app"], registry=registry
        )

    def answered(self, request: Answered) -> None:
        """Count a request; one that no route answered has the route `none`."""
        route = getattr(request.scope.get("route"), "path", "none")
        method = request.scope["method"] if request.scope["method"] in ("GET", "POST") else "other"
        self._requests.labels(route, method, str(request.status)).inc()
        self._seconds.labels(route).observe(request.seconds)

    def text(self, door: Door) -> bytes:
        """Return everything that was counted, and how old the published sets are."""
        self._version.clear()
        self._age.clear()
        for app, sets in door.published.items():
            found = sets.look()
            if found is not None:
                one = found.publication
                self._version.labels(app, one.model_version, one.degradation).set(1)
                self._age.labels(app).set((datetime.now(UTC) - one.published_at).total_seconds())
        return generate_latest(self._registry)
