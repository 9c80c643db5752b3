"""Tables that this process has opened, kept for readers while their logs stay as they are."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from deltalake import DeltaTable

from resources.file_states import State, state_of
from resources.lake.manifest import NAME, Manifest

#: Opening a table reads its checkpoint and up to 20 log entries, 7 to 35 ms; its state on disk is read in 0.1 ms.
_KEPT = 64
LOG = "_delta_log"
_ENTRY = re.compile(r"\d{20}\.json")


@dataclass(frozen=True)
class OpenTable:
    """One version of a table, opened; `manifest` holds what its log says."""

    delta: DeltaTable
    manifest: Manifest


#: A table, None if there is none, and whether its log agrees with its manifest: it is restored if not.
Read = tuple[OpenTable | None, bool]


class OpenTables:
    """The tables opened last, by address. Threads share what is returned: readers must not update it."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept, self._lock = kept, Lock()
        self._tables: OrderedDict[str, tuple[State, OpenTable]] = OrderedDict()

    def of(self, folder: Path, read: Callable[[], Read]) -> Read:
        """Return the table in a folder: the one that is open if nothing was written since, else as `read` gives it.

        Args:
            folder: of the table, on this machine's disk.
            read: opens the table.
        """
        state, key = _state_of(folder), str(folder)
        with self._lock:
            known = self._tables.get(key)
            if known is not None and known[0] == state:
                self._tables.move_to_end(key)
                return known[1], True
        table, is_whole = read()
        with self._lock:
            self._tables.pop(key, None)
            # A write since `state` was read is seen by the next reader, which opens the table again.
            if table is not None and is_whole:
                self._tables[key] = (state, table)
            self._limit()
        return table, is_whole

    def keep(self, folder: Path, table: OpenTable) -> None:
        """Keep the version that a writer has just made, so that no reader opens it again.

        The caller holds the table's lock. If another version stands there, which a writer without our lock made, the
        next reader opens that.
        """
        state, key = _state_of(folder), str(folder)
        versions = [int(name[:-5]) for name, *_ in state if _ENTRY.fullmatch(name)]
        with self._lock:
            self._tables.pop(key, None)
            if max(versions, default=-1) == table.manifest.version:
                self._tables[key] = (state, table)
            self._limit()

    def _limit(self) -> None:
        while len(self._tables) > self._kept:
            self._tables.popitem(last=False)


def _state_of(folder: Path) -> State:
    """Return the state of a table's log and manifest on disk; empty if there are none."""
    return (*state_of(folder / LOG), *state_of(folder, only=NAME))
