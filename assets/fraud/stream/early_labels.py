"""Labels that come before their payment: held in the stream's state, and applied when the payment comes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from assets.fraud.stream.state import FraudState
from models.features.label_statement import statement
from models.features.window_state import KeyHistory
from models.fraud.event_parsing import Label
from models.fraud.stream_state import HistoryKey

#: Kind of the histories that hold them, by payment: a row is held since its moment, and its id is the statement.
EARLY_LABELS = "early_label"
#: Statements held for one payment; further ones are not held.
_HELD_AT_MOST = 100


class EarlyLabels:
    """Labels of payments that the stream does not know. What was asked for is held in memory until the batch ends."""

    def __init__(self, store: FraudState) -> None:
        self._store = store
        self._held: dict[int, KeyHistory | None] = {}
        self._changed: set[int] = set()

    def ask(self, numbers: Iterable[int]) -> None:
        """Read what is held for these payments, in one question."""
        missing = [number for number in dict.fromkeys(numbers) if number not in self._held]
        known = self._store.histories([_key(number) for number in missing]) if missing else {}
        self._held |= {number: known.get(_key(number)) for number in missing}

    def hold(self, label: Label, *, newest: int) -> None:
        """Keep a label, once.

        Args:
            label: of a payment that is not known.
            newest: moment of the newest payment of the stream, µs: since then it is held, or since its own if later.
        """
        self.ask([label.transaction_id])
        history = self._held[label.transaction_id] or KeyHistory()
        said = statement(label.labelled_at, is_fraud=label.is_fraud)
        if said in history.ids or len(history.ids) >= _HELD_AT_MOST:
            return
        history.insert(max(newest, label.labelled_at), said, 0)
        self._held[label.transaction_id] = history
        self._changed.add(label.transaction_id)

    def take(self, number: int) -> Sequence[Label]:
        """Return the labels of a payment that came; they are held no more."""
        self.ask([number])
        history = self._held[number]
        if history is None:
            return ()
        self._held[number] = None
        self._changed.add(number)
        return [Label(number, said >> 1, bool(said & 1)) for said in history.ids]

    def drain(self, *, since: int) -> dict[HistoryKey, KeyHistory]:
        """Return and reset the labels changed since the last call, without those held since before a timestamp (µs)."""
        changed = {_key(number): self._held[number] or KeyHistory() for number in self._changed}
        for history in changed.values():
            history.drop_before(since)
        self._held, self._changed = {}, set()
        return changed


def _key(number: int) -> HistoryKey:
    return EARLY_LABELS, str(number)
