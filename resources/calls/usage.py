"""Count of calls, tokens and money of one adapter in this process."""

import threading
from dataclasses import dataclass, field


@dataclass
class Usage:
    """Usage since the adapter was opened; safe to use from several threads.

    Attributes:
        calls: that reached the model, each try counted.
        cached: answers that came from the cache.
        input_tokens: that were sent.
        output_tokens: that were answered.
        money_eur: of calls with a known price.
        unpriced_calls: calls whose price is unknown; their cost is not in `money_eur`.
        redactions: pieces of personal data that were masked.
    """

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    money_eur: float = 0.0
    unpriced_calls: int = 0
    redactions: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, **amounts: float) -> None:
        """Add to some counts."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)
