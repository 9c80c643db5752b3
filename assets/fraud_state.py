"""What the fraud stream holds in memory of its store, and what a batch has changed of it."""

from __future__ import annotations

from collections import OrderedDict

from models.features.fraud_online import Payment
from models.features.window_state import KeyHistory
from resources.stream_store.port import Key, StreamStore

#: Histories held in memory, of each kind; beyond it the longest unused are read again from the store.
_CACHED_KEYS = 100_000


class HeldHistories:
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

    def taken(self, *, since: int) -> dict[Key, KeyHistory]:
        """What was changed since the last call, without what happened before a moment (µs)."""
        changed = {(self._kind, value): self._held[value] for value in self._changed}
        self._changed.clear()
        for history in changed.values():
            history.drop_before(since)
        while len(self._held) > _CACHED_KEYS:
            self._held.popitem(last=False)
        return changed


class HeldPayments:
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
