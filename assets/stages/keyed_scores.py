"""Published rows by entity, in memory: a copy that follows what is published, withdrawn and erased.

In memory, so that an erasure has nothing more to search: the sink gives a set without the rows another name, and the
copy is made again. Costs what the rows cost in Arrow.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from models.publishing import Publication
from models.scoring.output import OutputContract, printed
from resources.sink.port import DamagedScores, Sink

# pyarrow makes the functions of `pyarrow.compute` when it is imported, and has no static types.
# pyright: basic, reportAttributeAccessIssue=false

#: Days of one application whose rows are held at one time; the longest unused makes room.
_DAYS = 3
#: Of so many ids in order, one is held as Python has it: the search is the faster.
_STEP = 64


@dataclass(frozen=True)
class KeyedScores:
    """The rows of one published set.

    Attributes:
        publication: its record.
        freshness: what a reader must know of it.
    """

    publication: Publication
    freshness: Mapping[str, Any]
    _ids: pa.ChunkedArray
    _marks: list[Any]
    _columns: Mapping[str, pa.ChunkedArray]

    @classmethod
    def of(cls, publication: Publication, rows: pa.Table, entity: str) -> KeyedScores:
        """Return the rows, ready to be asked by the column `entity`."""
        ordered = rows.take(pc.sort_indices(rows[entity])).combine_chunks()  # stable: of an entity as published
        columns = dict(zip(ordered.schema.names, ordered.columns, strict=True))
        ids = columns[entity]
        marks = ids.take(pa.array(range(0, len(ids), _STEP), pa.int64())).to_pylist()
        return cls(publication, freshness(publication), ids, marks, columns)

    def of_entity(self, id: Any) -> list[dict[str, Any]]:
        """Return the rows of an entity, none if it was not scored, in the order in which they were published."""
        ids, rows = self._ids, list[dict[str, Any]]()
        end = bisect_left(self._marks, id) * _STEP
        among = range(max(end - _STEP, 0), min(end, len(ids)))
        first = among.start + bisect_left(among, id, key=lambda row: ids[row].as_py())
        for place in range(first, len(ids)):
            if ids[place].as_py() != id:
                break
            rows.append({name: printed(column.type, column[place].as_py()) for name, column in self._columns.items()})
        return rows


class PublishedScores:
    """The published sets of an application, of the newest day and of days that were asked for.

    Args:
        sink: that holds them.
        app: name of the application.
        contract: of its rows.
        look_seconds: the sink is asked again after so long.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        sink: Sink,
        app: str,
        contract: OutputContract,
        *,
        look_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink, self._app, self._contract = sink, app, contract
        self._look_seconds, self._clock = look_seconds, clock
        self._held: dict[date | None, tuple[float, KeyedScores | None]] = {}
        self._lock = threading.Lock()

    def held(self, day: date | None = None) -> tuple[bool, KeyedScores | None]:
        """Return True and the set of a day (None: the newest) if it was looked at just now; False otherwise."""
        at, found = self._held.get(day, (float("-inf"), None))
        return self._clock() - at < self._look_seconds, found

    def look(self, day: date | None = None) -> KeyedScores | None:
        """Return the set that is published for a day (None: the newest), read anew if it is another one than before.

        Raises:
            DamagedScores: record or rows are lost or changed.
        """
        with self._lock:
            is_fresh, before = self.held(day)
            if is_fresh:
                return before
            found = self._looked(day, before)
            self._held.pop(day, None)
            self._held[day] = (self._clock(), found)
            while len(self._held) > _DAYS:
                self._held.pop(next(iter(self._held)))
            return found

    def _looked(self, day: date | None, before: KeyedScores | None) -> KeyedScores | None:
        publication = self._publication(day)
        if publication is None:
            return None
        if before is not None and before.publication == publication:
            return before
        try:
            rows = self._sink.published_rows(publication).read_all()
        except DamagedScores:
            if (again := self._publication(day)) == publication:  # not changed by an erasure while it was read
                raise
            if again is None:
                return None
            publication, rows = again, self._sink.published_rows(again).read_all()
        return KeyedScores.of(publication, rows, self._contract.entity)

    def _publication(self, day: date | None) -> Publication | None:
        if day is not None:
            return self._sink.published(self._app, day)
        days = self._sink.published_days(self._app)
        return self._sink.published(self._app, days[-1]) if days else None


def freshness(publication: Publication) -> Mapping[str, Any]:
    """Return what a reader must know of a set: its day, when it was published, and which better source failed."""
    return {
        "day": publication.day,
        "published_at": publication.published_at,
        "degradation": publication.degradation,
        "steps": list(publication.steps),
    }
