"""Metrics of the home as it is when it is scraped: published sets, queue, notices, paid calls, runs and workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from models.errors import TesseraError
from models.metrics import Sample, sample
from pipelines.service.door import Door
from resources.cost_ledger import FILE, CostLedger
from resources.metric_files import read_samples

_LOGGER = logging.getLogger("tessera.service")
_LETTERS, _DAY = 1_000, timedelta(days=1)


def home_samples(door: Door) -> Iterator[Sample]:
    """Yield the samples of every part of the home; a part that does not answer has none, and the log says why."""
    now = datetime.now(UTC)
    for part in (_published, _queue, _notices, _calls):
        yield from _answered(part, door, now)
    yield from read_samples(door.stack.home)


def _answered(part: Callable[[Door, datetime], Iterable[Sample]], door: Door, now: datetime) -> Iterable[Sample]:
    try:
        return list(part(door, now))
    except TesseraError as error:
        _LOGGER.warning("metrics: %s", error)
        return ()


def _published(door: Door, now: datetime) -> Iterator[Sample]:
    for app, sets in door.published.items():
        found = sets.look()
        if found is not None:
            one = found.publication
            version, degradation = one.model_version, one.degradation
            yield sample("tessera_published_info", 1, app=app, model_version=version, degradation=degradation)
            yield sample("tessera_published_age_seconds", (now - one.published_at).total_seconds(), app=app)
            yield sample("tessera_published_rows", one.rows, app=app)


def _queue(door: Door, now: datetime) -> Iterator[Sample]:
    if not any(app.streams for app in door.apps):
        return
    queue = door.reading.ports.events
    for group in queue.groups():
        since = queue.waiting_since(group)
        lag = 0.0 if since is None else max(0.0, (now - since).total_seconds())
        yield sample("tessera_queue_waiting_events", queue.backlog(group), group=group)
        yield sample("tessera_queue_lag_seconds", lag, group=group)
    letters = queue.dead_letters(limit=_LETTERS)
    yield sample("tessera_dead_letters", sum(now - one.rejected_at <= _DAY for one in letters))


def _notices(door: Door, _: datetime) -> Iterator[Sample]:
    found = door.reading.ports.notifier.notices()
    yield sample("tessera_notices_waiting", sum(one.delivered_at is None for one in found))
    for level in ("warning", "error"):
        number = sum(one.is_open and one.level == level for one in found)
        yield sample("tessera_notices_open", number, level=level)


def _calls(door: Door, now: datetime) -> Iterator[Sample]:
    ledger = CostLedger(door.stack.home / FILE)
    for one in ledger.totals(date.min, now.date(), "model"):
        yield sample("tessera_external_calls_total", one.calls - one.failed, model=one.name, outcome="answered")
        yield sample("tessera_external_calls_total", one.failed, model=one.name, outcome="failed")
        yield sample("tessera_external_tokens_total", one.input_tokens, model=one.name, direction="input")
        yield sample("tessera_external_tokens_total", one.output_tokens, model=one.name, direction="output")
        yield sample("tessera_external_cost_eur_total", one.money_eur, model=one.name)
        yield sample("tessera_external_unpriced_calls_total", one.unpriced_calls, model=one.name)
