"""One batch of payment events: window features, scores, alerts, and how far the stream was read, in one transaction.

Plain classes, usable without Dagster: the worker (`tessera stream fraud`) and Dagster's catch-up runs share them.
Whatever dies before `StreamStore.commit` leaves nothing behind, and the events come again; whatever dies after it finds
the payments known, and the events change nothing. So each payment has its effect exactly once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from models.alerts import Alert, Scored, alert_id, raised_by
from models.features.fraud_online import CUSTOMER_REACH, TERMINAL_REACH, FraudWindows, Payment
from models.features.window_state import KeyHistory
from models.features.windows import MICROS_PER_DAY
from models.payments import LABEL, PAYMENT, PaymentLimits, Unusable, label_of, payment_of
from resources.events.port import Delivered, Events
from resources.stream_store.port import Batch, Key, StreamStore

GROUP = "fraud"
#: Histories held in memory, of both kinds; beyond it the longest unused are read again from the store.
_CACHED_KEYS = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Scorer(Protocol):
    """The model in charge."""

    version: str
    threshold: float

    def scores(self, rows: Sequence[Sequence[float]]) -> Sequence[float]:
        """Probability of fraud of each row of features, 0..1."""
        ...

    def reasons(self, row: Sequence[float]) -> dict[str, float]:
        """Feature -> contribution to the log-odds, largest first."""
        ...


@dataclass
class Step:
    """What one batch did.

    Attributes:
        events: read.
        offset: of the newest event read; 0 when none was.
        payments: new ones among them.
        scored_again: earlier payments whose features changed, because something came late.
        refused: events sent to the dead letters.
        alerts: raised by this batch, in order.
    """

    events: int = 0
    offset: int = 0
    payments: int = 0
    scored_again: int = 0
    refused: int = 0
    alerts: list[Alert] = field(default_factory=list)


class FraudStream:
    """Turns batches of events into scores and alerts. One at a time per store."""

    def __init__(
        self,
        events: Events,
        store: StreamStore,
        limits: PaymentLimits,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._events, self._store, self._limits, self._clock = events, store, limits, clock
        events.take_over(GROUP)  # a killed predecessor's come first: what an alert was raised with depends on order
        self._customers = _Histories("customer_id", store)
        self._terminals = _Histories("terminal_id", store)
        self._payments = _Payments(store)
        self._windows = FraudWindows(self._customers, self._terminals, self._payments)
        self._generation = store.generation()
        self._position, self._newest = store.position()

    def step(self, scorer: Scorer, *, limit: int, wait_seconds: float = 0.0) -> Step:
        """What the next events did; after an exception this object must not be used again.

        Args:
            scorer: the model in charge.
            limit: events at most.
            wait_seconds: how long to wait for the first one.
        """
        delivered = self._events.read(GROUP, limit=limit, wait_seconds=wait_seconds)
        if not delivered:
            return Step()
        step = Step(events=len(delivered), offset=delivered[-1].offset)
        refused: list[tuple[Delivered, str]] = []
        changed: dict[int, tuple[Payment, list[float]]] = {}
        for one in delivered:
            try:
                for payment, features in self._applied(one):
                    changed[payment.transaction_id] = payment, features
            except Unusable as reason:
                refused.append((one, str(reason)))
        self._position = max(self._position, delivered[-1].offset)
        batch = Batch(position=self._position, newest=self._newest, generation=self._generation)
        batch.payments = self._payments.taken()
        batch.scored = _scored(scorer, list(changed.values()))
        self._raise_alerts(batch, scorer, step)
        batch.histories = {
            **self._taken(self._customers, CUSTOMER_REACH),
            **self._taken(self._terminals, TERMINAL_REACH),
        }
        self._store.commit(batch)
        for one, reason in refused:
            self._events.refuse(GROUP, one, reason)
        self._events.settle(GROUP, [one.offset for one in delivered])
        step.payments, step.refused = len(batch.payments), len(refused)
        step.scored_again = len(batch.scored) - len(batch.payments)
        return step

    def _applied(self, one: Delivered) -> Iterator[tuple[Payment, list[float]]]:
        if one.event.type == PAYMENT:
            newest = _EPOCH + timedelta(microseconds=self._newest) if self._newest else None
            payment = payment_of(one.event, self._limits, now=self._clock(), newest=newest)
            self._newest = max(self._newest, payment.micros)
            yield from self._windows.pay(payment)
        elif one.event.type == LABEL:
            label = label_of(one.event)
            if label.transaction_id not in self._payments:
                raise Unusable(f"transaction_id {label.transaction_id} is no payment that the stream still knows")
            yield from self._windows.label(label.transaction_id, label.labelled_at, is_fraud=label.is_fraud)
        else:
            raise Unusable(f"type {one.event.type!r} is neither {PAYMENT!r} nor {LABEL!r}")

    def _raise_alerts(self, batch: Batch, scorer: Scorer, step: Step) -> None:
        high = [one for one in batch.scored if one.score >= scorer.threshold]
        standing = dict(self._store.alerts([alert_id(one.payment) for one in high])) if high else {}
        for one in high:
            name = alert_id(one.payment)
            if name in standing:
                standing[name] = standing[name].joined_by(one)
            else:
                standing[name] = raised_by(one, scorer.reasons(one.features))
                step.alerts.append(standing[name])
        batch.alerts = standing

    def _taken(self, histories: _Histories, reach: int) -> dict[Key, KeyHistory]:
        """The changed histories, without what no window of a payment that may still come can see."""
        oldest = self._newest - reach - int(self._limits.max_late_days * MICROS_PER_DAY)
        changed = histories.taken()
        for history in changed.values():
            history.drop_before(oldest)
        return changed


def _scored(scorer: Scorer, rows: Sequence[tuple[Payment, list[float]]]) -> list[Scored]:
    if not rows:
        return []
    scores = scorer.scores([features for _, features in rows])
    return [
        Scored(payment, features, float(score), scorer.version)
        for (payment, features), score in zip(rows, scores, strict=True)
    ]


class _Histories:
    """Histories of one kind of key, read when first asked for; a new key has an empty one."""

    def __init__(self, kind: str, store: StreamStore) -> None:
        self._kind, self._store = kind, store
        self._held: OrderedDict[str, KeyHistory] = OrderedDict()
        self._changed: set[str] = set()

    def __getitem__(self, value: str) -> KeyHistory:
        if value not in self._held:
            key = (self._kind, value)
            self._held[value] = self._store.histories([key]).get(key) or KeyHistory()
        self._held.move_to_end(value)
        return self._held[value]

    def __setitem__(self, value: str, history: KeyHistory) -> None:
        self._held[value] = history
        self._changed.add(value)

    def taken(self) -> dict[Key, KeyHistory]:
        """What was changed since the last call."""
        changed = {(self._kind, value): self._held[value] for value in self._changed}
        self._changed.clear()
        while len(self._held) > _CACHED_KEYS:
            self._held.popitem(last=False)
        return changed


class _Payments:
    """Known payments; those of the present batch are held, others are looked up."""

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._fresh: dict[int, Payment] = {}

    def __getitem__(self, number: int) -> Payment:
        return self._fresh[number] if number in self._fresh else self._store.payments([number])[number]

    def __contains__(self, number: int) -> bool:
        return number in self._fresh or bool(self._store.payments([number]))

    def __setitem__(self, number: int, payment: Payment) -> None:
        self._fresh[number] = payment

    def taken(self) -> list[Payment]:
        """The new ones since the last call."""
        fresh = list(self._fresh.values())
        self._fresh = {}
        return fresh
