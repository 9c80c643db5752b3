"""`tessera stream fraud`: a worker that scores payment events as they come."""

from __future__ import annotations

import signal
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag

from assets.fraud_champion import FraudChampion
from assets.fraud_learning import APP
from assets.fraud_stream import FraudStream, Step
from models.alerts import Alert
from models.errors import TesseraError, choose_from
from pipelines.cli.console import err, out
from resources.home import only_one
from resources.notifier.port import Notifier
from resources.stack import active_stack

_WAIT_SECONDS = 0.5
#: Latencies of so many batches are remembered for the summary.
_REMEMBERED = 100_000


@dataclass
class _Totals:
    """What the worker has done so far."""

    events: int = 0
    payments: int = 0
    refused: int = 0
    alerts: int = 0
    batch_ms: array[float] = field(default_factory=lambda: array("d"))

    def add(self, step: Step, seconds: float) -> None:
        self.events += step.events
        self.payments += step.payments
        self.refused += step.refused
        self.alerts += len(step.alerts)
        if len(self.batch_ms) < _REMEMBERED:
            self.batch_ms.append(seconds * 1000)

    def summary(self) -> str:
        says = (
            f"{self.events:,} events: {self.payments:,} payments scored, {self.alerts:,} alerts raised, "
            f"{self.refused:,} events refused (`tessera events dead-letters`)"
        )
        if not self.batch_ms:
            return says + "."
        ordered = sorted(self.batch_ms)
        middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
        return f"{says}; {middle:.1f} ms from reading a batch to its committed alerts, 99 % within {late:.1f} ms."


def stream(app: str, limit: int, *, until_empty: bool) -> None:
    """Scores events until it is told to stop (Ctrl-C, SIGTERM), or with `until_empty` until none waits.

    Raises:
        TesseraError: unknown application, no champion that can be served, another worker in this home, or a part of the
            stack that does not answer.
    """
    if app != APP:
        raise TesseraError(
            f"There is no stream of {app!r}.", expected=choose_from(app, [APP]), todo="Correct the name."
        )
    stack = active_stack()
    champion = FraudChampion(stack.open("registry"))
    notifier: Notifier = stack.open("notifier")
    totals = _Totals()
    with only_one(stack, "stream", f"`tessera stream {app}`"), _stopped_by_signals() as stop:
        worker = FraudStream(stack.open("events"), stack.open("stream_store"), stack.settings.fraud.payments)
        without = "" if champion.explains else " (a kind of model that gives no reasons)"
        err.print(f"scoring with version {champion.version}{without}; Ctrl-C ends it after the batch")
        while not stop.is_set():
            if champion.refresh():
                err.print(f"version {champion.version} is in charge now")
            started = time.perf_counter()
            step = worker.step(champion, limit=limit, wait_seconds=0 if until_empty else _WAIT_SECONDS)
            if step.events:
                totals.add(step, time.perf_counter() - started)
                for alert in step.alerts:
                    _tell(notifier, alert)
            elif until_empty:
                break
    out.print(totals.summary())


def _tell(notifier: Notifier, alert: Alert) -> None:
    """Tells of an alert. It stands in the table already: a notifier that fails must not stop the stream."""
    reasons = ", ".join(f"{name} {value:+.2f}" for name, value in alert.reasons.items())
    context = {"app": APP, "alert": alert.alert_id, "model": alert.model_version}
    body = f"Payment {alert.transactions[0]} at {alert.raised_for:%Y-%m-%d %H:%M:%S} UTC scored {alert.score:.3f}."
    body += f" Why: {reasons}." if reasons else ""
    try:
        notifier.notify("warning", f"fraud alert {alert.alert_id}", body, context)
    except TesseraError as error:
        err.print(f"The notice of alert {alert.alert_id} was not delivered: {error.what}")


@contextmanager
def _stopped_by_signals() -> Iterator[Flag]:
    """A flag that Ctrl-C or SIGTERM sets, so that the batch at work is finished."""
    stop = Flag()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
