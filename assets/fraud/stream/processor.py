"""One batch of payment events: window features, scores, alerts and the read position, in one transaction.

Plain classes, usable without Dagster: the worker (`tessera stream fraud`) and Dagster's catch-up runs share them.
Whatever dies before `FraudState.commit` leaves nothing behind, and the events come again; whatever dies after it finds
the payments known, and the events change nothing. So each payment has its effect exactly once.

Whatever one event causes ends in the dead letters: when a batch raises, its events are processed one by one, and the
one that raises again alone, although model and store work without it, is refused with the words of the exception.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

import pyarrow as pa

from assets.fraud.stream.batch_result import BatchResult
from assets.fraud.stream.cache import HistoryCache, PaymentCache, look_up
from assets.fraud.stream.context import CustomerFilter, EmptyContext, StreamContext
from assets.fraud.stream.early_labels import EarlyLabels
from assets.fraud.stream.isolation import require_sound
from assets.fraud.stream.state import Batch, FraudState
from assets.stages.event_batches import BatchWork, deliver_lost, next_batch, reason_of
from models.alerts import Alert
from models.errors import TesseraError
from models.event_types import is_of_another
from models.events import Event
from models.features.fraud_online import CUSTOMER_REACH, TERMINAL_REACH, FraudWindows, Payment
from models.features.windows import MICROS_PER_DAY
from models.fraud.alerts import Scored, alert_id_of, alerts_after
from models.fraud.event_parsing import (
    LABEL,
    PAYMENT,
    Label,
    PaymentLimits,
    Unusable,
    check_clock,
    check_time,
    label_of,
    payment_of,
)
from models.tracing import span
from resources.events.port import Delivered, Events
from resources.state_store.port import Superseded

GROUP = "fraud"


class Scorer(Protocol):
    """The champion."""

    version: str
    threshold: float

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """Probability of fraud of each row of features, 0..1."""
        ...

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        """Feature -> contribution to the log-odds, largest first."""
        ...


@dataclass
class _Changes:
    """Changes made by a batch: features by payment, payments scored for the first time, and rejected events.

    Payments in `seeded` are known from the seed, but no event of them came before the batch. `early` has the labels
    that are held until their payment arrives.
    """

    features: dict[int, tuple[Payment, list[float]]] = field(default_factory=dict)
    first: set[int] = field(default_factory=set)
    seeded: frozenset[int] = frozenset()
    refused: list[tuple[Delivered, str]] = field(default_factory=list)
    early: list[tuple[Delivered, int]] = field(default_factory=list)
    forgotten: int = 0


class FraudProcessor:
    """Turns batches of events into scores and alerts. One at a time per store.

    Args:
        events: where they wait.
        store: what the stream knows.
        limits: which payments are taken.
        context: what is known outside the stream.
        keep_scores_days: what was said of older payments is removed from the store.
        clock: of this machine.

    Raises:
        TesseraError: the limits ask for a register of customers, and there is none.
    """

    def __init__(
        self,
        events: Events,
        store: FraudState,
        limits: PaymentLimits,
        *,
        context: StreamContext | None = None,
        keep_scores_days: float = 14,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._events, self._store, self._limits, self._clock = events, store, limits, clock
        self._context = context or EmptyContext()
        self._customers = CustomerFilter(self._context, limits)
        self._late, self._keep_scores = (
            int(days * MICROS_PER_DAY) for days in (limits.max_late_days, keep_scores_days)
        )
        self._first_spans: list[tuple[int, int]] = []  # of the payments that a new stream saw before its first commit
        deliver_lost(events, GROUP, lambda: store.position()[0])
        self._begin()

    def _begin(self) -> None:
        """Load the committed position. Unacknowledged events are redelivered in order."""
        self._events.reclaim(GROUP)  # what an alert was raised with depends on the order
        self._generation = self._store.generation()
        self._customers.ask()
        self._histories = HistoryCache("customer_id", self._store), HistoryCache("terminal_id", self._store)
        self._payments, self._early = PaymentCache(self._store), EarlyLabels(self._store)
        self._windows = FraudWindows(*self._histories, self._payments)
        self._position, self._newest = self._store.position()
        self._refused_unstored = 0  # of a batch that is not committed yet

    def process(self, scorer: Scorer, *, limit: int, wait_seconds: float = 0.0) -> BatchResult:
        """Process the next events and return the result; after an exception this object must not be used again.

        When another writer changed the store meanwhile, it starts anew, and the events are redelivered. They are
        redelivered one by one when the batch raised an error that an event can cause.

        Args:
            scorer: the champion.
            limit: events at most.
            wait_seconds: how long to wait for the first one.
        """
        work = BatchWork(
            process=partial(self._process, scorer=scorer),
            begin_again=self._begin_again,
            refused=partial(self._refused, scorer),
            was_superseded=self._was_superseded,
        )
        return next_batch(self._events, GROUP, work, BatchResult(), limit=limit, wait_seconds=wait_seconds)

    def _begin_again(self) -> BatchResult:
        done = BatchResult(events=self._refused_unstored, refused=self._refused_unstored)
        self._begin()
        return done

    def _was_superseded(self, error: Exception) -> bool:
        """Another process changed the store meanwhile: it may lack a key that was there a moment ago."""
        return isinstance(error, Superseded | KeyError) and self._store.generation() != self._generation

    def _refused(self, scorer: Scorer, one: Delivered, error: Exception) -> BatchResult:
        """Return an event that raises alone goes to the dead letters, unless the stream fails without it, too."""
        self._customers.reload()
        require_sound(scorer, self._store, error)
        self._events.reject(GROUP, one, reason_of(error))
        self._position = max(self._position, one.offset)
        self._store.commit(Batch(position=self._position, newest=self._newest, generation=self._generation))
        return BatchResult(events=1, offset=one.offset, refused=1)

    def _process(self, delivered: Sequence[Delivered], scorer: Scorer) -> BatchResult:
        self._customers.refresh()
        result = BatchResult(events=len(delivered), offset=delivered[-1].offset)
        with self._seeded(delivered, result):
            changes = self._changes(delivered)
            self._position = max(self._position, result.offset)
            early = [(one, number) for one, number in changes.early if number not in self._payments]
            batch = self._batch(changes, scorer, result)
            # Before the commit: after it, the batch's own payments might make of the refused ones something usable.
            for one, reason in changes.refused:
                self._events.reject(GROUP, one, reason)
                self._refused_unstored += 1
            self._store.commit(batch)
        self._refused_unstored = 0
        # After the commit, with which they are held: a letter before it could be all that a crash leaves of a label.
        for one, number in early:
            self._events.reject(GROUP, one, _held_reason(number))
        self._events.acknowledge(GROUP, [one.offset for one in delivered])
        result.refused, result.forgotten = len(changes.refused) + len(early), changes.forgotten
        _trace_alerts(delivered, result.alerts)
        return result

    @contextmanager
    def _seeded(self, delivered: Sequence[Delivered], result: BatchResult) -> Iterator[None]:
        """Seed the windows of a new stream with the payments before its first one."""
        earliest, newest = (0, 0) if self._newest else self._span(delivered)
        if not newest:
            yield
            return
        # One by one after an exception, the first event must seed the time of its whole batch.
        spans = [(earliest, newest), *self._first_spans]
        self._first_spans = [(min(start for start, _ in spans), max(end for _, end in spans))]
        ((earliest, newest),) = self._first_spans
        # Not only before the earliest, which may be a late one: of those after it, too, no event may ever come.
        end = newest + 1
        days = (end - earliest + self._late + TERMINAL_REACH) / MICROS_PER_DAY
        result.seeded = 0

        def counted(payments: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in payments:
                result.seeded = (result.seeded or 0) + batch.num_rows
                yield batch

        with ExitStack() as begun:
            try:
                seed = self._context.before(end, days=days)
                begun.enter_context(self._store.seeding(counted(seed.payments), seed.histories))
            except TesseraError:
                raise
            except Exception as error:  # of any engine or lake: no event is at fault
                raise _not_begun(error) from error
            yield

    def _span(self, delivered: Sequence[Delivered]) -> tuple[int, int]:
        """Moments of the earliest and the newest payment that will be taken, µs; 0 if there is none."""
        newest, earliest, now = 0, 0, self._clock()
        for one in delivered:
            if one.event.type == PAYMENT and not self._customers.is_forgotten(one.event):
                with suppress(Unusable):
                    payment = payment_of(one.event, self._limits)
                    check_time(payment, self._limits, now=now, newest=newest)
                    self._customers.check(payment)
                    newest = max(newest, payment.micros)
                    earliest = min(earliest or newest, payment.micros)
        return earliest, newest

    def _changes(self, delivered: Sequence[Delivered]) -> _Changes:
        changes, now = _Changes(), self._clock()
        given = list(self._parsed(delivered, changes))
        look_up([what for _, what in given], *self._histories, self._payments, newest=self._newest)
        paid = (what.transaction_id for _, what in given if isinstance(what, Payment))
        known = [number for number in paid if number in self._payments]
        changes.seeded = self._store.unscored(known) if known else frozenset()
        numbers = (what.transaction_id for _, what in given)
        self._early.ask(one for one in numbers if one not in self._payments or one in changes.seeded)
        for one, what in given:
            try:
                if isinstance(what, Label) and what.transaction_id not in self._payments:
                    self._hold(one, what, changes, now)
                    continue
                for payment, features in self._apply(what, changes, now):
                    changes.features[payment.transaction_id] = payment, features
            except Unusable as reason:
                changes.refused.append((one, str(reason)))
        again = changes.features.keys() - changes.first
        for number in self._store.unscored([*again]) if again else ():
            del changes.features[number]  # its event has not come yet
        return changes

    def _parsed(self, delivered: Sequence[Delivered], changes: _Changes) -> Iterator[tuple[Delivered, Payment | Label]]:
        for one in delivered:
            if is_of_another(one.event.type, GROUP):
                continue
            if self._customers.is_forgotten(one.event):
                changes.forgotten += 1
                continue
            try:
                yield one, self._parse(one.event)
            except Unusable as reason:
                changes.refused.append((one, str(reason)))

    def _parse(self, event: Event) -> Payment | Label:
        if event.type == PAYMENT:
            return payment_of(event, self._limits)
        if event.type == LABEL:
            return label_of(event)
        raise Unusable(f"type {event.type!r} is neither {PAYMENT!r} nor {LABEL!r}")

    def _apply(self, given: Payment | Label, changes: _Changes, now: datetime) -> Iterator[tuple[Payment, list[float]]]:
        if isinstance(given, Payment):
            yield from self._apply_payment(given, changes, now)
            return
        check_clock(given.labelled_at, self._limits, now=now)
        # Refused whether it was pruned yet or not: that depends on how the events were cut into batches.
        if self._payments[given.transaction_id].micros < self._newest - self._late - TERMINAL_REACH:
            raise Unusable(_not_known(given.transaction_id))
        yield from self._apply_label(given)

    def _hold(self, one: Delivered, label: Label, changes: _Changes, now: datetime) -> None:
        check_clock(label.labelled_at, self._limits, now=now)
        self._early.hold(label, newest=self._newest)
        changes.early.append((one, label.transaction_id))

    def _apply_label(self, label: Label) -> Iterator[tuple[Payment, list[float]]]:
        whole_since = self._newest - self._late  # of earlier payments, the windows' first rows may be gone
        changed = self._windows.label(label.transaction_id, label.labelled_at, is_fraud=label.is_fraud)
        yield from (one for one in changed if one[0].micros >= whole_since)

    def _apply_payment(
        self, payment: Payment, changes: _Changes, now: datetime
    ) -> Iterator[tuple[Payment, list[float]]]:
        number = payment.transaction_id
        is_known = number in self._payments
        if is_known and (number not in changes.seeded or number in changes.first):
            if payment != self._payments[number]:
                raise Unusable(f"transaction_id {number} is that of another payment, which came before")
            return
        payment = self._payments[number] if is_known else payment
        check_time(payment, self._limits, now=now, newest=self._newest)
        self._customers.check(payment)
        self._newest = max(self._newest, payment.micros)
        changes.first.add(number)
        if is_known:
            yield self._windows.again(number)
        else:
            yield from self._windows.pay(payment)
        for label in self._early.take(number):
            yield from self._apply_label(label)

    def _batch(self, changes: _Changes, scorer: Scorer, result: BatchResult) -> Batch:
        batch = Batch(position=self._position, newest=self._newest, generation=self._generation)
        batch.payments = self._payments.drain()
        batch.scored = _scored(scorer, list(changes.features.values()))
        result.payments = len(changes.first)
        result.scored_again = len(batch.scored) - result.payments
        batch.alerts = self._alerts(batch.scored, scorer, result)
        for held, reach in zip(self._histories, (CUSTOMER_REACH, TERMINAL_REACH), strict=True):
            batch.histories |= held.drain(since=self._newest - reach - self._late)
        batch.histories |= self._early.drain(since=self._newest - TERMINAL_REACH - self._late)
        batch.keep_scored_from = _day(self._newest - self._keep_scores)
        batch.keep_from = min(_day(self._newest - TERMINAL_REACH - self._late), batch.keep_scored_from)
        return batch

    def _alerts(self, scored: Sequence[Scored], scorer: Scorer, result: BatchResult) -> dict[str, Alert]:
        high = [one for one in scored if one.score >= scorer.threshold]
        standing = self._store.alerts([alert_id_of(one.payment) for one in high]) if high else {}
        alerts = alerts_after(high, standing, reasons=scorer.reasons)
        result.alerts += [alert for name, alert in alerts.items() if name not in standing]
        return alerts


def _trace_alerts(delivered: Sequence[Delivered], alerts: Sequence[Alert]) -> None:
    """Record each alert as a span in the trace that published the payment which raised it."""
    traces = {str(one.event.data.get("transaction_id")): one.event.traceparent for one in delivered} if alerts else {}
    for alert in alerts:
        if traceparent := traces.get(alert.evidence[0]):
            about = {"tessera.app": alert.app, "tessera.model_version": alert.model_version}
            with span("alert", about, parent=traceparent):
                pass


def _not_known(number: int) -> str:
    return f"transaction_id {number} is no payment that the stream still knows"


def _held_reason(number: int) -> str:
    days = f"{TERMINAL_REACH / MICROS_PER_DAY:g} days"
    return f"{_not_known(number)}; if its payment comes within {days}, the label counts then"


def _not_begun(error: Exception) -> TesseraError:
    return TesseraError(
        f"The stream cannot begin with the payments of the lake: {error}.",
        expected="a lake whose payments and labels of the last weeks can be read",
        todo="Run `tessera check`; the events wait meanwhile.",
    )


def _scored(scorer: Scorer, rows: Sequence[tuple[Payment, list[float]]]) -> list[Scored]:
    if not rows:
        return []
    scores = scorer.scores([features for _, features in rows])
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"version {scorer.version} gave a payment a score that is no finite number")
    return [
        Scored(payment, features, float(score), scorer.version)
        for (payment, features), score in zip(rows, scores, strict=True)
    ]


def _day(micros: int) -> int:
    """Return the moment in which the UTC day of a moment begins."""
    return micros - micros % MICROS_PER_DAY
