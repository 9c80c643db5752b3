"""Features of the fraud model per event: the declarations of `fraud_definitions` over the histories of two keys.

A payment that arrives late changes the windows of payments that happened after it; so does a label. These are given
again, so that in the end every payment has the features that `models.features.fraud` computes from the whole history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from models.features.fraud_definitions import DERIVED, FEATURES, LABEL_DELAY_DAYS, WINDOWS
from models.features.label_statement import statement
from models.features.window_state import KeyHistory
from models.features.windows import MICROS_PER_DAY
from models.timestamps import to_datetime

_CUSTOMER = tuple(one for one in WINDOWS if one.key == "customer_id")
_TERMINAL = tuple(one for one in WINDOWS if one.key == "terminal_id")
#: How long a payment can shape those that come after it, µs: of its customer, of its terminal.
CUSTOMER_REACH = max(one.reach_micros for one in _CUSTOMER)
TERMINAL_REACH = max(one.reach_micros for one in _TERMINAL)
_LABEL_DELAY = LABEL_DELAY_DAYS * MICROS_PER_DAY
_MICROS_PER_HOUR = 3_600_000_000
_THURSDAY = 3  # 1970-01-01; Monday is 0


@dataclass(frozen=True)
class Payment:
    """The fields of a payment that features need. `micros`: µs since 1970, UTC; `cents`: its amount in EUR cents."""

    transaction_id: int
    customer_id: str
    terminal_id: str
    micros: int
    cents: int

    @property
    def paid_at(self) -> datetime:
        """The moment, UTC."""
        return to_datetime(self.micros)


class Histories(Protocol):
    """Histories of one kind of key; one that is not known yet comes empty."""

    def __getitem__(self, value: str, /) -> KeyHistory: ...

    def __setitem__(self, value: str, history: KeyHistory, /) -> None: ...


class KnownPayments(Protocol):
    """Payments by id."""

    def __getitem__(self, transaction_id: int, /) -> Payment: ...

    def __setitem__(self, transaction_id: int, payment: Payment, /) -> None: ...

    def __contains__(self, transaction_id: int, /) -> bool: ...


class FraudWindows:
    """The features of every payment as it comes.

    Args:
        customers: histories by customer.
        terminals: histories by terminal.
        payments: every payment whose features may still be given again.
    """

    def __init__(
        self,
        customers: Histories,
        terminals: Histories,
        payments: KnownPayments,
    ) -> None:
        self._customers = customers
        self._terminals = terminals
        self._payments = payments

    def pay(self, payment: Payment) -> Iterator[tuple[Payment, list[float]]]:
        """Yield the payment with its features (ordered as `FEATURES`), then every payment whose features it changes.

        A payment whose id is known already gives nothing.
        """
        if payment.transaction_id in self._payments:
            return
        self._payments[payment.transaction_id] = payment
        customer, terminal = self._customers[payment.customer_id], self._terminals[payment.terminal_id]
        customer.insert(payment.micros, payment.transaction_id, payment.cents)
        terminal.insert(payment.micros, payment.transaction_id, payment.cents)
        self._customers[payment.customer_id], self._terminals[payment.terminal_id] = customer, terminal
        yield payment, self._features(payment)
        changed = [
            *customer.ids_between(payment.micros, payment.micros + CUSTOMER_REACH),
            *terminal.ids_between(payment.micros + _LABEL_DELAY, payment.micros + TERMINAL_REACH),
        ]
        yield from self._again(changed, but=payment)

    def label(self, transaction_id: int, labelled_at: int, *, is_fraud: bool) -> Iterator[tuple[Payment, list[float]]]:
        """Every payment whose features this label changes. The label of an unknown payment gives nothing.

        It counts from `labelled_at` to the next label of the payment; of two of one moment, one that says fraud counts.
        """
        if transaction_id not in self._payments:
            return
        payment = self._payments[transaction_id]
        terminal = self._terminals[payment.terminal_id]
        said = statement(labelled_at, is_fraud=is_fraud)
        at = terminal.position(payment.micros, transaction_id)
        changed = terminal.changed_by(at, said)
        if terminal.add_statement(at, said):
            self._terminals[payment.terminal_id] = terminal
            yield from self._again(changed_ids(terminal, payment, changed), but=payment)

    def again(self, transaction_id: int) -> tuple[Payment, list[float]]:
        """Return a known payment with its features as they are now."""
        payment = self._payments[transaction_id]
        return payment, self._features(payment)

    def _again(self, ids: Iterable[int], *, but: Payment) -> Iterator[tuple[Payment, list[float]]]:
        for row_id in dict.fromkeys(ids):
            if row_id != but.transaction_id:
                yield self.again(row_id)

    def _features(self, payment: Payment) -> list[float]:
        found = {"amount": payment.cents / 100.0, **_flags(payment.micros)}
        for history, windows in (
            (self._customers[payment.customer_id], _CUSTOMER),
            (self._terminals[payment.terminal_id], _TERMINAL),
        ):
            found |= history.evaluate(windows, history.position(payment.micros, payment.transaction_id))
        for one in DERIVED:
            found[one.name] = one.formula(*[found[name] for name in one.inputs])
        return [found[name] for name in FEATURES]


def changed_ids(terminal: KeyHistory, payment: Payment, changed: tuple[int, int]) -> Sequence[int]:
    """Ids of the payments that see the label of `payment` between two moments (µs, the second excluded)."""
    first, end = max(changed[0], payment.micros + _LABEL_DELAY), min(changed[1], payment.micros + TERMINAL_REACH)
    return terminal.ids_between(first, end) if first < end else ()


def _flags(micros: int) -> dict[str, float]:
    weekday = (micros // MICROS_PER_DAY + _THURSDAY) % 7
    hour = micros % MICROS_PER_DAY // _MICROS_PER_HOUR
    return {"is_weekend": float(weekday >= 5), "is_night": float(hour <= 6)}
