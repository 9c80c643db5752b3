"""The registry of metrics: every name that is exposed to Prometheus, with its kind, labels and meaning.

Code makes samples of these only, and rules and dashboards of `deploy/observability/` name no other (a test compares).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
#: Origin of a sample: the service itself; its home, looked at when it is scraped; the last run of a job; a worker.
Origin = Literal["service", "home", "run", "stream"]
#: Label sets that one metric exposes at most; what is beyond them is counted in `tessera_series_left_out`.
MOST_SERIES = 500


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as it is exposed; a counter ends with `_total`, a unit is part of the name.
        kind: of Prometheus.
        origin: of its samples.
        help: what a value means, in one sentence.
        labels: names of its labels; their values are names of the project (routes, jobs, tables), never ids.
    """

    name: str
    kind: Kind
    origin: Origin
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """One value of a metric.

    Attributes:
        name: of the metric.
        value: in the unit of the name.
        labels: of the metric, each with its value.
    """

    name: str
    value: float
    labels: Mapping[str, str]


METRICS: Mapping[str, Metric] = {
    one.name: one
    for one in (
        Metric(
            "tessera_requests_total",
            "counter",
            "service",
            "Requests that were answered.",
            ("route", "method", "status"),
        ),
        Metric("tessera_request_seconds", "histogram", "service", "Wall time of a request, seconds.", ("route",)),
        Metric("tessera_spans_dropped_total", "counter", "service", "Trace spans that the service could not write."),
        Metric(
            "tessera_series_left_out",
            "gauge",
            "service",
            "Label sets beyond the limit, which are not exposed.",
            ("metric",),
        ),
        Metric(
            "tessera_published_info",
            "gauge",
            "home",
            "Version of the newest published set: 1.",
            ("app", "model_version", "degradation"),
        ),
        Metric("tessera_published_age_seconds", "gauge", "home", "Age of the newest published set.", ("app",)),
        Metric("tessera_published_rows", "gauge", "home", "Rows of the newest published set.", ("app",)),
        Metric(
            "tessera_queue_waiting_events", "gauge", "home", "Events that a group has not acknowledged.", ("group",)
        ),
        Metric(
            "tessera_queue_lag_seconds",
            "gauge",
            "home",
            "Age of the oldest event that a group has not acknowledged; 0: none waits.",
            ("group",),
        ),
        Metric("tessera_dead_letters", "gauge", "home", "Events that were refused in the last day, at most 1,000."),
        Metric("tessera_notices_waiting", "gauge", "home", "Notices that their receiver has not taken yet."),
        Metric(
            "tessera_notices_open",
            "gauge",
            "home",
            "Notices that ask for something and no person acknowledged.",
            ("level",),
        ),
        Metric(
            "tessera_circuit_open",
            "gauge",
            "service",
            "A model on another machine is not asked after failures in a row: 1, or 0.5 while a trial call is due.",
            ("model",),
        ),
        Metric("tessera_external_calls_total", "counter", "home", "Calls of paid models.", ("model", "outcome")),
        Metric(
            "tessera_external_tokens_total",
            "counter",
            "home",
            "Tokens of calls of paid models.",
            ("model", "direction"),
        ),
        Metric(
            "tessera_external_cost_eur_total",
            "counter",
            "home",
            "Cost of calls of paid models whose price is known, EUR.",
            ("model",),
        ),
        Metric(
            "tessera_external_unpriced_calls_total",
            "counter",
            "home",
            "Calls of paid models whose price is unknown.",
            ("model",),
        ),
        Metric("tessera_run_succeeded", "gauge", "run", "1 if the last run of a job succeeded, else 0.", ("job",)),
        Metric("tessera_run_seconds", "gauge", "run", "Wall time of the last run of a job.", ("job",)),
        Metric("tessera_run_last_end_timestamp_seconds", "gauge", "run", "End of the last run of a job.", ("job",)),
        Metric(
            "tessera_run_last_success_timestamp_seconds",
            "gauge",
            "run",
            "End of the last run of a job that succeeded.",
            ("job",),
        ),
        Metric(
            "tessera_run_last_day_timestamp_seconds",
            "gauge",
            "run",
            "Begin of the newest day for which a job succeeded (UTC).",
            ("job",),
        ),
        Metric("tessera_step_seconds", "gauge", "run", "Wall time of a step of the last run.", ("job", "step")),
        Metric(
            "tessera_table_rows",
            "gauge",
            "run",
            "Rows that the last run read: kept, quarantined, late.",
            ("job", "table", "outcome"),
        ),
        Metric(
            "tessera_quarantined_share",
            "gauge",
            "run",
            "Share of the rows of the last run that are in quarantine.",
            ("job", "table"),
        ),
        Metric(
            "tessera_check_passed",
            "gauge",
            "run",
            "1 if a check of the last run passed, else 0.",
            ("job", "asset", "check", "severity"),
        ),
        Metric(
            "tessera_gate_passed", "gauge", "run", "1 if the gate let the last candidate pass, else 0.", ("job", "app")
        ),
        Metric(
            "tessera_drift_psi",
            "gauge",
            "run",
            "Largest population stability index of a feature in the last run.",
            ("job", "app"),
        ),
        Metric(
            "tessera_stream_events_total",
            "counter",
            "stream",
            "Events that the worker processed since it began.",
            ("app", "outcome"),
        ),
        Metric(
            "tessera_stream_alerts_total",
            "counter",
            "stream",
            "Alerts that the worker raised since it began.",
            ("app",),
        ),
        Metric(
            "tessera_stream_busy_seconds_total",
            "counter",
            "stream",
            "Wall time of batches since the worker began.",
            ("app",),
        ),
        Metric("tessera_stream_batches_total", "counter", "stream", "Batches since the worker began.", ("app",)),
        Metric(
            "tessera_stream_last_look_timestamp_seconds",
            "gauge",
            "stream",
            "Last time at which the worker asked for events.",
            ("app",),
        ),
    )
}


def sample(name: str, value: float, **labels: str) -> Sample:
    """Return a value of a metric of the registry.

    Raises:
        AssertionError: there is no such metric, or it has other labels.
    """
    metric = METRICS.get(name)
    if metric is None or set(metric.labels) != set(labels):
        raise AssertionError(f"{name} with the labels {sorted(labels)} is not in the registry of metrics")
    return Sample(name, float(value), labels)


def within_limit(samples: Iterable[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the samples that are exposed, and how many of each metric are not: those beyond `MOST_SERIES`."""
    kept, left_out = list[Sample](), dict[str, int]()
    counts: dict[str, int] = {}
    for one in samples:
        counts[one.name] = counts.get(one.name, 0) + 1
        if counts[one.name] <= MOST_SERIES:
            kept.append(one)
        else:
            left_out[one.name] = left_out.get(one.name, 0) + 1
    return kept, [sample("tessera_series_left_out", number, metric=name) for name, number in left_out.items()]
