"""Write-back caches of the fraud stream over its store, with the changes of the current batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from assets.fraud.stream.state import FraudState
from models.features.fraud_online import CUSTOMER_REACH, TERMINAL_REACH, Payment, changed_ids
from models.features.label_statement import statement
from models.features.window_state import KeyHistory
from models.fraud.event_parsing import Label
from models.fraud.stream_state import HistoryKey

#: Histories held in memory, of each kind; beyond it the longest unused are read again from the store.
_CACHED_KEYS = 100_000


class HistoryCache:
    """Histories of one kind of key, read when first asked for; a new key has an empty one."""

    def __init__(self, kind: str, store: FraudState) -> None:
        self._kind, self._store = kind, store
        self._held: OrderedDict[str, KeyHistory] = OrderedDict()
        self._changed: set[str] = set()

    def ask(self, values: Iterable[str]) -> None:
        """Read those that are not held, in one question."""
        missing = [(self._kind, value) for value in dict.fromkeys(values) if value not in self._held]
        known = self._store.histories(missing) if missing else {}
        self._held.update((key[1], known.get(key) or KeyHistory()) for key in missing)

    def __getitem__(self, value: str) -> KeyHistory:
        self.ask([value])
        self._held.move_to_end(value)
        return self._held[value]

    def __setitem__(self, value: str, history: KeyHistory) -> None:
        self._held[value] = history
        self._changed.add(value)

    def drain(self, *, since: int) -> dict[HistoryKey, KeyHistory]:
        """Return and reset the histories changed since the last call, without rows before a timestamp (µs)."""
        changed = {(self._kind, value): self._held[value] for value in self._changed}
        self._changed.clear()
        for history in changed.values():
            history.drop_before(since)
        while len(self._held) > _CACHED_KEYS:
            self._held.popitem(last=False)
        return changed


class PaymentCache:
    """Known payments; whatever was asked for is held until the batch ends."""

    def __init__(self, store: FraudState) -> None:
        self._store = store
        self._held: dict[int, Payment | None] = {}
        self._fresh: list[Payment] = []

    def ask(self, numbers: Iterable[int]) -> None:
        """Read those that are not held, in one question."""
        missing = [number for number in dict.fromkeys(numbers) if number not in self._held]
        self._held |= dict.fromkeys(missing) | dict(self._store.payments(missing) if missing else {})

    def __getitem__(self, number: int) -> Payment:
        self.ask([number])
        found = self._held[number]
        if found is None:
            raise KeyError(number)
        return found

    def __contains__(self, number: int) -> bool:
        self.ask([number])
        return self._held[number] is not None

    def __setitem__(self, number: int, payment: Payment) -> None:
        self._held[number] = payment
        self._fresh.append(payment)

    def drain(self) -> list[Payment]:
        """Return the new ones since the last call."""
        fresh, self._fresh, self._held = self._fresh, [], {}
        return fresh


def look_up(
    given: Sequence[Payment | Label],
    customers: HistoryCache,
    terminals: HistoryCache,
    payments: PaymentCache,
    *,
    newest: int,
) -> None:
    """Read what a batch will want to know in a few questions: one by one, each could be a way to a server and back.

    Args:
        given: of the batch.
        customers: of the stream.
        terminals: of the stream.
        payments: of the stream.
        newest: moment of the newest payment before the batch, µs; an earlier one comes late.
    """
    payments.ask(one.transaction_id for one in given)
    paid = [one for one in given if isinstance(one, Payment) and one.transaction_id not in payments]
    labels = [one for one in given if isinstance(one, Label) and one.transaction_id in payments]
    customers.ask(one.customer_id for one in paid)
    terminals.ask([*(one.terminal_id for one in paid), *(payments[one.transaction_id].terminal_id for one in labels)])

    def changed() -> Iterator[int]:
        for one in paid:
            if one.micros < newest:
                yield from customers[one.customer_id].ids_between(one.micros, one.micros + CUSTOMER_REACH)
                yield from terminals[one.terminal_id].ids_between(one.micros, one.micros + TERMINAL_REACH)
        for label in labels:
            one = payments[label.transaction_id]
            terminal, said = terminals[one.terminal_id], statement(label.labelled_at, is_fraud=label.is_fraud)
            with suppress(KeyError):  # of a payment that is too old for its label
                at = terminal.position(one.micros, one.transaction_id)
                yield from changed_ids(terminal, one, terminal.changed_by(at, said))

    numbers = list(changed())
    payments.ask(numbers)
    again = [payments[number] for number in numbers if number in payments]
    customers.ask(one.customer_id for one in again)
    terminals.ask(one.terminal_id for one in again)
