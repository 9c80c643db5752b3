"""A value that is opened anew when its key has changed, e.g. when another model is champion."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from models.compose.deadline import without_deadline
from models.errors import TesseraError

T = TypeVar("T")
#: A value that stands in for one that could not be opened is opened anew after so long: the reason may have passed.
_AGAIN_SECONDS = 3600.0
_log = logging.getLogger("tessera.service")


class Followed(Generic[T]):
    """The newest value; asked by one thread, between requests, so that no request sees two.

    A newer value that cannot be opened, or a registry that does not answer, leaves the one before: it is logged.

    Args:
        key: what the value depends on.
        opened: opens the value for a key.
        look_seconds: the key is asked for again after so long.
        stands_in: the value stands in for one that could not be opened: it is opened anew every hour.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        key: Callable[[], Hashable],
        opened: Callable[[], T],
        *,
        look_seconds: float,
        stands_in: Callable[[T], bool] = lambda _: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._opened = key, opened
        self._look_seconds, self._stands_in, self._clock = look_seconds, stands_in, clock
        self._looked_at = self._opened_at = float("-inf")
        self._held: list[tuple[Hashable, T]] = []

    def current(self) -> T:
        """Return the value.

        Raises:
            TesseraError: it cannot be opened, and none was before.
        """
        if self._is_due():
            self._looked_at = self._clock()
            try:
                with without_deadline():
                    self._look()
            except TesseraError as error:
                if not self._held:
                    self._looked_at = float("-inf")
                    raise
                _log.warning("goes on with what was open before: %s", error)
        return self._held[0][1]

    def look(self) -> None:
        """Look the key up now, and open another value, so that the next `current` waits for neither.

        Raises:
            TesseraError: it cannot be opened, and none was before.
        """
        self._looked_at = float("-inf")
        self.current()

    def is_fresh(self) -> bool:
        """Return True if the value is open, and `current` would not look it up again now."""
        return bool(self._held) and not self._is_due()

    def _is_due(self) -> bool:
        return self._clock() - self._looked_at >= self._look_seconds

    def _look(self) -> None:
        key = self._key()
        if not self._held or self._held[0][0] != key or self._may_be_better():
            self._opened_at = self._looked_at
            self._held = [(key, self._opened())]

    def _may_be_better(self) -> bool:
        return self._looked_at - self._opened_at >= _AGAIN_SECONDS and self._stands_in(self._held[0][1])
