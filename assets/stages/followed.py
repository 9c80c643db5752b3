"""A value that is opened anew when its key has changed, e.g. when another model is champion."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from models.compose.deadline import without_deadline
from models.errors import TesseraError

T = TypeVar("T")
_log = logging.getLogger("tessera.service")


class Followed(Generic[T]):
    """The newest value; asked by one thread, between requests, so that no request sees two.

    A newer value that cannot be opened, or a registry that does not answer, leaves the one before: it is logged.

    Args:
        key: what the value depends on.
        opened: opens the value for a key.
        look_seconds: the key is asked for again after so long.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        key: Callable[[], Hashable],
        opened: Callable[[], T],
        *,
        look_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._opened = key, opened
        self._look_seconds, self._clock = look_seconds, clock
        self._looked_at = float("-inf")
        self._held: list[tuple[Hashable, T]] = []

    def current(self) -> T:
        """Return the value.

        Raises:
            TesseraError: it cannot be opened, and none was before.
        """
        if self._clock() - self._looked_at >= self._look_seconds:
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

    def _look(self) -> None:
        key = self._key()
        if not self._held or self._held[0][0] != key:
            self._held = [(key, self._opened())]
