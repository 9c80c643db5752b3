"""Context of the fraud stream beyond its own events: earlier payments, erased customers, the customer register."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from models.errors import TesseraError
from models.events import Event
from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from models.fraud.event_parsing import PaymentLimits, Unusable, customer_of
from models.fraud.stream_state import HistoryKey

_FORGOTTEN_SECONDS, _REGISTER_SECONDS = 5.0, 60.0


@dataclass(frozen=True)
class Seed:
    """Payments before a timestamp: the initial state of a new stream.

    Attributes:
        payments: in the form of `FraudState.seeding`.
        histories: of both kinds of keys, with the rows of these payments.
    """

    payments: Iterable[pa.RecordBatch]
    histories: Iterable[tuple[HistoryKey, KeyHistory]]


class StreamContext(Protocol):
    """Data that the stream reads beyond its events."""

    def before(self, micros: int, *, days: float) -> Seed:
        """Return the payments of so many days before a moment (µs since 1970, UTC), none of that moment or later."""
        ...

    def forgotten(self) -> Container[str]:
        """Return customers who were forgotten."""
        ...

    def registered(self) -> Container[str]:
        """Return customers in the register.

        Raises:
            TesseraError: there is no register.
        """
        ...


class EmptyContext:
    """Empty context: no earlier payments, no erased customers, no customer register."""

    def before(self, micros: int, *, days: float) -> Seed:  # noqa: ARG002 - the protocol has them
        """Nothing."""
        return Seed((), ())

    def forgotten(self) -> Container[str]:
        """No customer."""
        return ()

    def registered(self) -> Container[str]:
        """No one.

        Raises:
            TesseraError: always.
        """
        raise TesseraError(
            "Nothing is known of any customers.",
            expected="a lake with table `customers`",
            todo="Ingest it: `tessera run fraud_nightly`; or set `customers: any` of fraud.payments in stack.yaml.",
        )


class CustomerFilter:
    """Filter of payments by customer: drops erased customers and, if configured, those missing from the register.

    Raises:
        TesseraError: the limits require a register, and there is none.
    """

    def __init__(
        self, context: StreamContext, limits: PaymentLimits, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._clock = context, clock
        self._forgotten: Container[str] = ()
        self._registered: Container[str] | None = None
        self.ask()
        if limits.customers == "registered":
            self._ask_register()

    def ask(self) -> None:
        """Read who was forgotten."""
        self._forgotten, self._asked_at = self._context.forgotten(), self._clock()

    def reload(self) -> None:
        """Read who was forgotten, and the register if there is one."""
        self.ask()
        if self._registered is not None:
            self._ask_register()

    def refresh(self) -> None:
        """Refresh the erased customers if they were read more than 5 s ago."""
        if self._clock() - self._asked_at >= _FORGOTTEN_SECONDS:
            self.ask()

    def is_forgotten(self, event: Event) -> bool:
        """Return True if the event names an erased customer; nothing of such an event may be stored."""
        named = {event.subject, str(event.data.get("customer_id", event.subject)), customer_of(event)}
        return any(name in self._forgotten for name in named)

    def check(self, payment: Payment) -> None:
        """Check that the customer is registered; an unknown one reloads the register, at most once a minute.

        Raises:
            Unusable: the customer is not registered.
        """
        if self._registered is None or payment.customer_id in self._registered:
            return
        if self._clock() - self._registered_at >= _REGISTER_SECONDS:
            self._ask_register()
        if payment.customer_id not in self._registered:
            raise Unusable(f"customer_id {payment.customer_id!r} is not in the register of customers")

    def _ask_register(self) -> None:
        self._registered, self._registered_at = self._context.registered(), self._clock()
