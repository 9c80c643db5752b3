"""`tessera stream APP`: a worker that processes events as they come; that of fraud scores payments."""

from __future__ import annotations

import logging
import time
from array import array
from dataclasses import dataclass, field

from assets.apps import APPS, app_named
from assets.fraud.notifications import notify_alert, notify_refused
from assets.fraud.stream.batch_result import BatchResult
from assets.fraud.stream.catch_up import LOCK
from assets.fraud.stream.champion import FraudChampion
from assets.fraud.stream.lake_context import fraud_processor
from assets.fraud.stream.processor import FraudProcessor
from assets.fraud.stream.state import FraudState
from assets.support.app import SUPPORT
from models.alerts import Alert
from pipelines.cli.console import counted, err, out, say
from pipelines.cli.stopping import Stopped, stopped_by_signals
from pipelines.stream_metrics import StreamMetrics
from resources.account import on_account_of
from resources.heartbeat import Pulse
from resources.home import only_one
from resources.log_lines import configure_logs
from resources.notifier.port import Notifier
from resources.stack.loader import active_stack
from resources.stack.ports import Ports
from resources.traces.port import recorded

_WAIT_SECONDS = 0.5
_SHOWN_REASONS = 2
#: Latencies of so many batches are remembered for the summary.
_REMEMBERED = 100_000


@dataclass
class _Totals:
    """Running totals of the worker."""

    events: int = 0
    payments: int = 0
    refused: int = 0
    forgotten: int = 0
    alerts: int = 0
    batch_ms: array[float] = field(default_factory=lambda: array("d"))

    def add(self, result: BatchResult, seconds: float) -> None:
        self.events += result.events
        self.payments += result.payments
        self.refused += result.refused
        self.forgotten += result.forgotten
        self.alerts += len(result.alerts)
        if len(self.batch_ms) < _REMEMBERED:
            self.batch_ms.append(seconds * 1000)

    def summary(self) -> str:
        says = (
            f"{counted(self.events, 'event')}: {counted(self.payments, 'payment')} scored, "
            f"{counted(self.alerts, 'alert')} raised (`tessera alerts`), "
            f"{counted(self.refused, 'event')} refused (`tessera events dead-letters`)"
        )
        if self.forgotten:
            says += f", {self.forgotten:,} dropped because their customers were forgotten"
        if not self.batch_ms:
            return says + "."
        ordered = sorted(self.batch_ms)
        middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        return f"{says}; {middle:.1f} ms from reading a batch to its committed alerts, 99 % within {late:.1f} ms."


def stream(app: str, limit: int, *, until_empty: bool) -> None:
    """Scores events until a signal stops it (Ctrl-C, SIGTERM), or with `until_empty` until none waits.

    Raises:
        Stopped: a signal came before the queue was empty, where that is the end.
        TesseraError: unknown application, no champion that can be served, another worker in this home, or a part of the
            stack that does not answer.
    """
    app_named(app, [one for one in APPS if one.streams], that=" that reads events")
    if app == SUPPORT.name:
        from pipelines.cli.stream_support import stream_tickets

        with on_account_of(app):
            stream_tickets(limit, until_empty=until_empty)
        return
    stack = active_stack()
    ports = Ports(stack)
    champion, notifier = FraudChampion(ports.registry), ports.notifier
    configure_logs(stack.settings.logs)
    totals = _Totals()
    if err.is_terminal:
        logging.getLogger("resources.notifier").setLevel(logging.ERROR)  # it would say what `_say` does, without a name
    with (
        only_one(stack, LOCK, f"`tessera stream {app}`"),
        recorded(stack.home, stack.settings.traces),
        stopped_by_signals() as stop,
    ):
        pulse = Pulse(stack.home, LOCK)
        pulse.beat()
        worker, metrics = _worker(ports), StreamMetrics(stack.home, app)
        without = "" if champion.explains else " (a kind of model that gives no reasons)"
        say(f"scoring with version {champion.version}{without}; Ctrl-C ends it after the batch")
        _tell(champion.note, champion, notifier)
        while not stop.is_set():
            pulse.beat()
            _tell(champion.follow(), champion, notifier)
            started = time.perf_counter()
            result = worker.process(champion, limit=limit, wait_seconds=0 if until_empty else _WAIT_SECONDS)
            metrics.write()
            if result.events:
                totals.add(result, took := time.perf_counter() - started)
                metrics.add(took, alerts=len(result.alerts), processed=result.events, refused=result.refused)
                _say_beginning(result)
                for alert in result.alerts:
                    _say(alert)
                    if failed := notify_alert(notifier, alert):
                        say(failed)
            elif until_empty:
                break
        metrics.write(now=True)
    out.print(totals.summary())
    if until_empty and stop.signal:
        raise Stopped(stop.signal)


def _worker(ports: Ports) -> FraudProcessor:
    state = FraudState(ports.state_store, ports.alert_store)
    return fraud_processor(ports.events, state, ports.lake, ports.engine, ports.stack.settings.fraud)


def _tell(news: str, champion: FraudChampion, notifier: Notifier) -> None:
    if not news:
        return
    say(news)
    if champion.refused:
        notify_refused(notifier, champion)


def _say(alert: Alert) -> None:
    """Show whose alert it is to a person who looks, and to no log: logs outlive those they name."""
    if err.is_terminal:
        why = ", ".join(alert.why[:_SHOWN_REASONS])
        err.print(f"alert {alert.alert_id}  {alert.score:.3f}  {why}")


def _say_beginning(result: BatchResult) -> None:
    if result.seeded:
        say(f"the windows begin with {result.seeded:,} payments of the lake")
    elif result.seeded == 0:
        say("the windows begin empty: the lake knows no payments of the days before the first one")
