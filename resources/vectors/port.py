"""The vectors port: collections whose versions are built, checked, then served by moving a pointer.

A collection has versions. One is *begun* with a description (`models.vectors.spec.IndexSpec`), filled by `upsert`,
then *sealed*: it is searched from then on and changes no more, but for rows of erased entities. `publish` moves
the collection's pointer to it. An adapter implements the methods that begin with `_`; what rows and queries must be,
BM25, fusion and tombstones are the same for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import date

import pyarrow as pa

from models.erasure.tombstones import ENTITIES, Forgotten
from models.errors import TesseraError, choose_from
from models.vectors.bm25 import Bm25
from models.vectors.rows import given_back, stored_rows
from models.vectors.spec import IndexSpec, require_collection_name
from resources.health import Health
from resources.vectors.index import IndexVersion, Searcher, VectorIndex


class Vectors(ABC):
    """Collections of vector indexes, each with versions and a pointer to the one that is served."""

    @abstractmethod
    def collections(self) -> Sequence[str]:
        """Return the names of the collections that have a version, ascending."""

    @abstractmethod
    def versions(self, collection: str) -> Sequence[IndexVersion]:
        """Return the versions of a collection, ascending; none of one that there is not."""

    @abstractmethod
    def current(self, collection: str) -> int | None:
        """Return the number of the version that is served; None if none was published."""

    @abstractmethod
    def check(self) -> Health:
        """Report if the store can be written and read right now."""

    def version(self, collection: str, number: int | None = None) -> IndexVersion:
        """Return a version; None: the one that is served.

        Raises:
            TesseraError: there is none.
        """
        # The pointer first: one that moves after the versions were listed would name none of them.
        wanted = self.current(collection) if number is None else number
        known = {one.number: one for one in self.versions(collection)}
        if wanted is None:
            raise self._nothing_published(collection, [*known])
        number = wanted
        if number not in known:
            raise TesseraError(
                f"The collection {collection!r} has no version {number}.",
                expected=f"one of {', '.join(map(str, known)) or 'none: it has no version yet'}",
                todo="Correct the number, or build the index.",
            )
        return known[number]

    def version_of(self, collection: str, day: date) -> IndexVersion:
        """Return the sealed version whose rows are of the latest day up to this one, the newest of that day.

        Versions that belong to no day count as older than all others.

        Raises:
            TesseraError: there is none, or all are of later days.
        """
        sealed = [one for one in self.versions(collection) if one.state == "sealed"]
        known = [one for one in sealed if (one.spec.day or day) <= day]
        if not known:
            days = sorted({str(one.spec.day) for one in sealed if one.spec.day})
            raise TesseraError(
                f"The collection {collection!r} has no version of {day} or before: {', '.join(days) or 'it has none'}.",
                expected="a version of that day",
                todo="Build the index of that day again: materialize its asset together with what reads it.",
            )
        return max(known, key=lambda one: (one.spec.day or date.min, one.number))

    def begin(self, collection: str, spec: IndexSpec, bm25: Bm25 | None = None) -> int:
        """Return the number of a new, empty version.

        Args:
            collection: its name; made if there is none.
            spec: of the version.
            bm25: statistics of its texts; given if the description names a tokenizer.

        Raises:
            TesseraError: no such name, or statistics that are missing or of another tokenizer.
        """
        require_collection_name(collection)
        found = bm25.tokenizer if bm25 is not None else ""
        if found != spec.tokenizer:
            raise TesseraError(
                f"The index is described with tokenizer {spec.tokenizer!r}, its statistics are of {found!r}.",
                expected="statistics of the same tokenizer, or neither",
                todo="Make them with `models.vectors.bm25.fitted`.",
            )
        return self._begin(collection, spec, bm25.to_bytes() if bm25 is not None else b"")

    def upsert(self, collection: str, number: int, rows: pa.Table) -> int:
        """Return the number of rows written to a version that is not sealed; a row replaces that of the same id.

        Rows of erased subjects are left out, wherever and whenever they were computed.

        Args:
            collection: its name.
            number: of the version.
            rows: as `models.vectors.rows.stored_rows` takes them.

        Raises:
            RefusedValue: a row does not fit the description; nothing was written.
            TesseraError: there is no such version, or it is sealed.
        """
        version = self._open_for_writing(collection, number)
        bm25 = self._bm25(version)
        stored = self._without_forgotten(version.spec, stored_rows(rows, version.spec, bm25))
        self._put(version, stored)
        # A subject that was erased between that check and the writing was not found by the erasure.
        self._erase_late(version, stored)
        return len(stored)

    def delete(self, collection: str, number: int, ids: Sequence[str]) -> int:
        """Return the number of rows removed from a version that is not sealed.

        Raises:
            TesseraError: there is no such version, or it is sealed.
        """
        return self._delete(self._open_for_writing(collection, number), sorted({*ids}))

    def seal(self, collection: str, number: int) -> IndexVersion:
        """Return a version that is complete: its approximate index is built, and it can be searched.

        A version that is sealed already stays as it is.
        """
        version = self.version(collection, number)
        if version.state == "begun":
            self._seal(version)
        return self.version(collection, number)

    def open(self, collection: str, number: int | None = None) -> VectorIndex:
        """Return a sealed version, ready to be searched; None: the one that is served.

        Raises:
            TesseraError: there is none, or it is not sealed.
        """
        version = self.version(collection, number)
        if version.state != "sealed":
            raise self._not(version, "sealed", "Seal it with `seal`, or wait until its builder has.")
        return VectorIndex(version, self._bm25(version), self._searcher(version))

    def rows(self, collection: str, number: int | None = None) -> pa.Table:
        """Return all rows of a sealed version, ascending by id, as `models.vectors.rows.row_schema` says."""
        version = self.version(collection, number)
        if version.state != "sealed":
            raise self._not(version, "sealed", "Seal it with `seal`, or wait until its builder has.")
        return given_back(self._rows(version), version.spec)

    def publish(self, collection: str, number: int) -> None:
        """Move the pointer to a sealed version, at once for all who open the collection from then on.

        Raises:
            TesseraError: there is no such version, or it is not sealed.
        """
        version = self.version(collection, number)
        if version.state != "sealed":
            raise self._not(version, "sealed", "Seal it with `seal` before.")
        self._publish(version)

    def rollback(self, collection: str) -> int:
        """Return the number of the version that is served now: the newest before the current one that ever was.

        Raises:
            TesseraError: there is none; the pointer stays.
        """
        current = self.version(collection)
        earlier = [one for one in self.versions(collection) if one.was_published and one.number < current.number]
        if not earlier:
            raise TesseraError(
                f"There is no version of {collection!r} to go back to before version {current.number}.",
                expected="an earlier version that was published and not removed",
                todo="Build the index again, or publish another version by its number.",
            )
        self._publish(earlier[-1])
        return earlier[-1].number

    def remove(self, collection: str, number: int) -> None:
        """Remove a version with everything it holds.

        Raises:
            TesseraError: there is no such version, or it is the one that is served.
        """
        version = self.version(collection, number)
        if number == self.current(collection):
            raise TesseraError(
                f"{version.title} is served.",
                expected="a version that the pointer does not name",
                todo="Publish another version before.",
            )
        self._remove(version)

    def vacuum(self, collection: str, *, keep: int = 2) -> Sequence[int]:
        """Return the numbers of the versions removed.

        The current version stays, and `keep` before it that were published, and what is newer than the current one:
        another process may be building it.
        """
        current = self.current(collection)
        older = [one for one in self.versions(collection) if current is not None and one.number < current]
        kept = [one.number for one in older if one.was_published][-keep:] if keep else []
        gone = [one for one in older if one.number not in kept]
        for version in gone:
            self._remove(version)
        return [one.number for one in gone]

    def forget(self, entity: str, id: str, *, day: date, why: str) -> Mapping[str, int]:
        """Return collection -> rows removed: those of one subject leave each version, and none comes back.

        Args:
            entity: one of `models.erasure.tombstones.ENTITIES`.
            id: of the subject.
            day: kept with the tombstone.
            why: kept with the tombstone; must not name the subject.

        Raises:
            TesseraError: there is no such entity.
        """
        if entity not in ENTITIES:
            raise TesseraError(f"{entity!r} is no entity.", expected=choose_from(entity, ENTITIES), todo="Correct it.")
        self._leave_tombstone(entity, id, day=day, why=why)
        removed: dict[str, int] = {}
        for collection in self.collections():
            for version in self.versions(collection):
                if version.spec.subject == entity:
                    removed[collection] = removed.get(collection, 0) + self._erase(version, [id])
        return removed

    @abstractmethod
    def forgotten(self, entity: str) -> Forgotten:
        """Return the erased ids of `entity` so far."""

    @abstractmethod
    def _begin(self, collection: str, spec: IndexSpec, bm25: bytes) -> int:
        """Store an empty version and return its number: one more than any version of the collection ever had."""

    @abstractmethod
    def _statistics(self, version: IndexVersion) -> bytes:
        """Return the bytes that the version was begun with, or those of its last erasure; b"" if none."""

    @abstractmethod
    def _put(self, version: IndexVersion, rows: pa.Table) -> None:
        """Write rows (`models.vectors.rows.stored_schema`) over those with the same ids."""

    @abstractmethod
    def _delete(self, version: IndexVersion, ids: Sequence[str]) -> int:
        """Remove rows of a version that is not sealed; return their number."""

    @abstractmethod
    def _seal(self, version: IndexVersion) -> None:
        """Make the version searchable and unchangeable; a crash inside leaves it begun."""

    @abstractmethod
    def _searcher(self, version: IndexVersion) -> Searcher:
        """Return a searcher of a sealed version."""

    @abstractmethod
    def _rows(self, version: IndexVersion) -> pa.Table:
        """Return the rows as they were written, ascending by id."""

    @abstractmethod
    def _publish(self, version: IndexVersion) -> None:
        """Move the pointer in one step, and note that the version was published."""

    @abstractmethod
    def _remove(self, version: IndexVersion) -> None:
        """Remove a version; removed again, nothing happens."""

    @abstractmethod
    def _erase(self, version: IndexVersion, subjects: Sequence[str]) -> int:
        """Remove what the subjects have in a version, sealed or not, from all storage; return the number of rows.

        Terms of BM25 that only they used leave the statistics, too (`Bm25.only`), at the latest when it is sealed.
        """

    @abstractmethod
    def _leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> None:
        """Note that the id was erased; the note is stored when this returns."""

    def _bm25(self, version: IndexVersion) -> Bm25 | None:
        content = self._statistics(version)
        return Bm25.from_bytes(content) if content else None

    def _open_for_writing(self, collection: str, number: int) -> IndexVersion:
        version = self.version(collection, number)
        if version.state != "begun":
            raise self._not(version, "open for writing: it is sealed", "Begin a new version with `begin`.")
        return version

    def _without_forgotten(self, spec: IndexSpec, stored: pa.Table) -> pa.Table:
        return self.forgotten(spec.subject).others(stored, "subject") if spec.subject else stored

    def _erase_late(self, version: IndexVersion, stored: pa.Table) -> None:
        late = self.forgotten(version.spec.subject).among(stored["subject"]) if version.spec.subject else []
        if late:
            self._erase(version, late)

    def _nothing_published(self, collection: str, known: Sequence[int]) -> TesseraError:
        there = f"versions {', '.join(map(str, known))} are not published" if known else "it has no version"
        return TesseraError(
            f"The collection {collection!r} serves nothing: {there}.",
            expected=choose_from(collection, [name for name in self.collections() if self.current(name) is not None]),
            todo="Build the index, or correct the name.",
        )

    def _not(self, version: IndexVersion, what: str, todo: str) -> TesseraError:
        return TesseraError(f"{version.title} is not {what}.", expected="a version that is", todo=todo)
