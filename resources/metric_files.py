"""Metrics of processes that no scrape reaches: text files of Prometheus in `metrics/` of the home.

Each is written whole under its name, so that a reader never finds half of one; node_exporter's textfile collector reads
the folder as well as the service does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.metrics import METRICS, Sample

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

_LOGGER = logging.getLogger(__name__)
_FOLDER = "metrics"


class Samples:
    """Samples as Prometheus' client exposes them; those of one metric together."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for one in samples:
            self._by_name.setdefault(one.name, []).append(one)

    def collect(self) -> Iterator[Family]:
        """Yield a family for each metric, as the client asks its collectors for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, samples in self._by_name.items():
            metric = METRICS[name]
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(name.removesuffix("_total"), metric.help, labels=metric.labels)
            for one in samples:
                made.add_metric([one.labels[label] for label in metric.labels], one.value)
            yield made


def exposition(*collectors: Any) -> bytes:
    """Return the text of some collectors."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)


def write_samples(home: Path, name: str, samples: Iterable[Sample]) -> None:
    """Write the file of a process or job. A full disk stops no work: the file stays as it was then."""
    file = home / _FOLDER / f"{name}.prom"
    part = file.with_name(f"{name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_bytes(exposition(Samples(samples)))
        part.replace(file)
    except OSError as error:
        _LOGGER.warning("The metrics of %s cannot be written: %s.", name, error)


def read_samples(home: Path, name: str = "*") -> list[Sample]:
    """Return the samples of all files, or of one; files that cannot be read and unknown metrics are left out."""
    from prometheus_client.parser import text_string_to_metric_families

    found: list[Sample] = []
    for file in sorted((home / _FOLDER).glob(f"{name}.prom")):
        try:
            families = list(text_string_to_metric_families(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            _LOGGER.warning("The metrics in %s cannot be read: %s.", file, error)
            continue
        samples = (one for family in families for one in family.samples)
        found += [
            Sample(one.name, one.value, dict(one.labels))
            for one in samples
            if one.name in METRICS and set(one.labels) == set(METRICS[one.name].labels)
        ]
    return found
