"""The embedder port, and the wrapper that every adapter of it gets."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from models.compose.budget import Spending
from models.compose.cache import MemoryCache
from models.text.embedder import EmbedderIdentity, Embeddings
from models.text.pii import redact
from models.text.probing import PROBES, probed_digest
from resources.calls.guard import Answered, Guard
from resources.calls.policy import CallPolicy
from resources.calls.usage import Usage
from resources.cost_ledger import CostLedger
from resources.health import Health

EmbedOnce = Callable[[Sequence[str], float], Answered[Embeddings]]
#: Characters of a token, on average over English texts; a budget is compared with an estimate.
_CHARACTERS_PER_TOKEN = 3


class Embedder(ABC):
    """Turns texts into vectors. An adapter makes one call; `GuardedEmbedder` adds what every call needs.

    Attributes:
        is_remote: texts leave this machine.
        has_layers: it gives vectors of inner layers, too.
    """

    is_remote: ClassVar[bool] = False
    has_layers: ClassVar[bool] = False

    @property
    @abstractmethod
    def identity(self) -> EmbedderIdentity:
        """Name, digest and dimension; digest "" if the weights cannot be read, as behind an endpoint."""

    @abstractmethod
    def embed_once(self, texts: Sequence[str], timeout_seconds: float) -> Answered[Embeddings]:
        """Return one vector per text, float32, shape `(n_texts, dimension)`, and the tokens that were paid.

        Raises:
            CallFailed: the model gave no answer, or no vectors; it says if another try may help.
        """

    def layers_once(self, texts: Sequence[str], timeout_seconds: float) -> Answered[Embeddings]:
        """Return vectors of inner layers, and at the end of each row that of `embed_once`, if it `has_layers`."""
        return self.embed_once(texts, timeout_seconds)

    @abstractmethod
    def check(self) -> Health:
        """Report if the embedder is ready; asks no paid service."""


class GuardedEmbedder:
    """An embedder with cache, batches, budget, rate limit, tries, time limit, redaction, cost and trace spans."""

    def __init__(self, adapter: Embedder, policy: CallPolicy, guard: Guard | None = None) -> None:
        self._adapter, self._policy = adapter, policy
        self._guard = guard or Guard(adapter.identity.name, "embeddings", policy, is_remote=adapter.is_remote)
        self._cache = MemoryCache(policy.cache_entries)

    def keep_costs(self, ledger: CostLedger) -> None:
        """Record paid calls in the ledger, and keep the limit of a day."""
        self._guard.keep_costs(ledger)

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, digest and dimension; an index stores it and refuses the vectors of another one.

        If the weights cannot be read, some texts are embedded when it is first asked for.

        Raises:
            CallFailed: the model gives no vectors.
        """
        return self._identity

    @cached_property
    def _identity(self) -> EmbedderIdentity:
        known = self._adapter.identity
        if known.digest:
            return known
        return replace(known, digest=probed_digest(f"{known.name}\0{known.dimension}", self.embed(PROBES)))

    @property
    def usage(self) -> Usage:
        """Calls, tokens and money since it was opened."""
        return self._guard.usage

    def embed(self, texts: Sequence[str], spending: Spending | None = None) -> Embeddings:
        """Return one vector per text, float32, shape `(n_texts, dimension)`; equal texts are embedded once.

        Raises:
            CallRefused: the budget does not suffice for the next batch; batches before it were paid and are kept.
            CallFailed: every try of a batch failed.
        """
        return self._rows(texts, spending, self._adapter.embed_once, "vector")

    def layers(self, texts: Sequence[str], spending: Spending | None = None) -> Embeddings:
        """Return what trained heads read: vectors of inner layers, and at the end of each row that of `embed`.

        Float32, shape `(n_texts, width)`; of an adapter without layers, the rows are those of `embed`.

        Raises:
            CallRefused: as `embed`.
            CallFailed: as `embed`.
        """
        if not self._adapter.has_layers:
            return self.embed(texts, spending)
        return self._rows(texts, spending, self._adapter.layers_once, "layers")

    def _rows(self, texts: Sequence[str], spending: Spending | None, once: EmbedOnce, kind: str) -> Embeddings:
        """Return what `once` gives for each text; it is kept in memory by kind and text."""
        sent = [self._sent(text) for text in texts]
        known = self._cache.get([f"{kind}\0{text}" for text in dict.fromkeys(sent)])
        vectors = {key.partition("\0")[2]: value["vector"] for key, value in known.items()}
        self.usage.add(cached=sum(text in vectors for text in sent))
        new = [text for text in dict.fromkeys(sent) if text not in vectors]
        for start in range(0, len(new), self._policy.batch_size):
            batch = new[start : start + self._policy.batch_size]
            found = self._guard.call(
                lambda seconds, batch=batch: once(batch, seconds),
                tokens=sum(math.ceil(len(text) / _CHARACTERS_PER_TOKEN) for text in batch),
                spending=spending,
            )
            added = dict(zip(batch, found, strict=True))
            vectors |= added
            if self._policy.cache_entries:
                self._cache.put({f"{kind}\0{text}": {"vector": vector} for text, vector in added.items()})
        if not sent:
            return np.empty((0, self._adapter.identity.dimension), np.float32)
        return np.stack([vectors[text] for text in sent])

    def check(self) -> Health:
        """Report if the embedder is ready."""
        return self._adapter.check()

    def _sent(self, text: str) -> str:
        """Return what the adapter is given: without personal data if it is on another machine."""
        if not (self._adapter.is_remote and self._policy.redact):
            return text
        masked = redact(text, self._policy.region)
        self.usage.add(redactions=len(masked.originals))
        return masked.text
