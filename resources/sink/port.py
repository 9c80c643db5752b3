"""The sink port: published scores, their audit trail and history."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

import pyarrow as pa

from models.errors import TesseraError, choose_from
from models.publishing import AuditVerdict, Publication
from models.scoring.digest import RowsDigest
from models.scoring.output import VERSION_FIELDS
from resources.health import Health

# pyarrow has no static types.
# pyright: basic


class DamagedScores(TesseraError):
    """Rows or records of a day are lost or changed; publishing the day again repairs it."""


#: `replaces` of a publication that takes the place of any set, and of none; no attempt has this name.
ANYTHING: Final = "*"


class AnotherStands(TesseraError):
    """Another set is published than the one that was compared with; look again and decide anew."""

    def __init__(self, publication: Publication, replaces: str | None, standing: Publication | None) -> None:
        app, day = publication.app, publication.day
        stands = f"attempt {standing.attempt!r} (version {standing.model_version})" if standing else "nothing"
        super().__init__(
            f"The published set of {app} for {day} changed meanwhile: {stands} is published now.",
            expected=f"attempt {replaces!r}" if replaces else "a day without published scores",
            todo=f"Look at it (`tessera scores {app} --date {day}`), then publish again.",
        )


#: Columns that an adapter may add to the rows it stores.
_OWN_NAMES = {"row", "day", "attempt"}
#: Published days that a message names, the newest ones.
_NAMED_DAYS = 10


def unwatched(_planned: Mapping[date, int]) -> None:
    """For callers that need no plan."""


class Sink(ABC):
    """Scores by write, audit, publish: an attempt is invisible until one atomic pointer names it.

    An *attempt* is named by its content (see `models.publishing.attempt_of`), so writing it again gives the same rows.
    Rows have the columns of their application's output contract (`models.scoring.output`): keys, payload, versions.
    What was published never changes, but for erasure (`ErasableSink`). Nothing is published without a passed audit:
    the verdict is stored beside the attempt, and `publish` asks for it.
    """

    @abstractmethod
    def write_attempt(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> int:
        """Return number of rows written.

        Whatever an earlier, perhaps killed, write of this attempt left is replaced at once.

        An attempt that was ever published never changes: its rows are only compared, and nothing is written, unless
        the stored rows were damaged: then the same rows are written once more. Rows of erased
        entities are left out (`ErasableSink`).

        Raises:
            TesseraError: the last columns are not `models.scoring.output.VERSION_FIELDS`, the application's scores have
                other columns, a NULL where the schema allows none, the attempt was published with other rows, or
                an entity was forgotten meanwhile: the rows must then be made again.
        """

    @abstractmethod
    def read_attempt(self, app: str, day: date, attempt: str) -> pa.RecordBatchReader:
        """Return the rows of an attempt in the order in which they were written, read back from storage.

        Raises:
            DamagedScores: rows are lost or cannot be read; raised by the reader, too.
            TesseraError: the attempt does not exist.
        """

    @abstractmethod
    def record_audit(self, verdict: AuditVerdict) -> None:
        """Store the verdict beside its attempt; the newest verdict of a day holds the draft that waits."""

    @abstractmethod
    def audits(self, app: str, day: date) -> Sequence[AuditVerdict]:
        """Every verdict of the day, passed or not, oldest first.

        Raises:
            DamagedScores: a verdict is lost or unreadable.
        """

    def draft(self, app: str, day: date) -> AuditVerdict | None:
        """Return the newest verdict of the day, with the publication that waits; None: nothing was audited.

        Raises:
            DamagedScores: a verdict is lost or unreadable.
        """
        audits = self.audits(app, day)
        return audits[-1] if audits else None

    def audited(self, app: str, day: date, attempt: str) -> AuditVerdict | None:
        """Return the newest verdict on an attempt; None: it was not audited.

        Raises:
            DamagedScores: a verdict is lost or unreadable.
        """
        found = [verdict for verdict in self.audits(app, day) if verdict.draft.attempt == attempt]
        return found[-1] if found else None

    @abstractmethod
    def publish(
        self, publication: Publication, *, replaces: str | None = ANYTHING, overrule: bool = False
    ) -> Publication:
        """Publish the set for its `(app, day)` by one atomic pointer move, and append to the history.

        Publishing the attempt that is already published changes nothing and returns the standing publication,
        whatever `replaces` names.

        Args:
            publication: the record, as it was audited.
            replaces: the attempt whose place it takes, None: nothing is published. Compared with what stands in
                one step with the pointer move, so that of two publishers who saw the same set only one replaces it.
                Where `published` finds the record damaged, nothing counts as published.
            overrule: publish a set that only a comparison with earlier scores stopped; `who` and `why` of the record
                must be given, and the record keeps the failed checks (`refused`).

        Raises:
            AnotherStands: another set than `replaces` is published; nothing changed.
            TesseraError: the attempt does not exist, has no verdict or one that did not pass, holds other rows than
                were audited, or was published with another digest (`models.publishing.require_passed`).
        """

    @abstractmethod
    def unpublish(self, app: str, day: date, *, why: str, who: str) -> Publication | None:
        """Withdraw the published scores of the day and return their record. Rows and history stay."""

    @abstractmethod
    def published(self, app: str, day: date) -> Publication | None:
        """Return the publication of the day, or None.

        Raises:
            DamagedScores: the record that would say it is lost or unreadable.
        """

    @abstractmethod
    def history(self, app: str, day: date) -> Sequence[Publication]:
        """Everything that was ever published or unpublished for the day, oldest first.

        Raises:
            DamagedScores: a record is lost or unreadable.
        """

    @abstractmethod
    def published_days(self, app: str) -> Sequence[date]:
        """Days with published scores, ascending; days whose records are damaged are left out (see `repair`)."""

    def repair(self, app: str) -> Sequence[str]:
        """Restore what storage itself can restore. One sentence for each loss, with the command that repairs it.

        Called at the beginning of a night; cheap when nothing is wrong.
        """
        del app
        return ()

    def last_published(self, app: str, before: date) -> Publication | None:
        """Return the publication of the newest day before `before` that has published scores, or None."""
        earlier = [day for day in self.published_days(app) if day < before]
        return self.published(app, earlier[-1]) if earlier else None

    def scores(self, app: str, day: date) -> tuple[Publication, pa.RecordBatchReader]:
        """Return the publication of the day, and its rows in entity order.

        The reader compares the digest of the rows with the record, and raises `DamagedScores` at their end if another
        set is stored.

        Raises:
            DamagedScores: record or rows are lost or cannot be read.
            TesseraError: nothing is published for the day.
        """
        publication = self.published(app, day)
        if publication is None:
            raise TesseraError(
                f"No scores of {app} are published for {day}.",
                expected=self.choose_published(app, day),
                todo=f"Run `tessera run {app}_nightly --date {day}`.",
            )
        return publication, self.published_rows(publication)

    def choose_published(self, app: str, day: date) -> str:
        """Return a sentence part that names the newest published days, for a message about one that is none of them."""
        days = [published.isoformat() for published in self.published_days(app)]
        return choose_from(day.isoformat(), days[-_NAMED_DAYS:])

    def published_rows(self, publication: Publication) -> pa.RecordBatchReader:
        """Return the rows that a record names, compared with its digest as they are read.

        Raises:
            DamagedScores: rows are lost, cannot be read, or are not those that were published; raised by the reader.
        """
        rows = self.read_attempt(publication.app, publication.day, publication.attempt)
        return pa.RecordBatchReader.from_batches(rows.schema, _compared(rows, publication))

    @abstractmethod
    def check(self) -> Health:
        """Report if the sink can be written and read right now."""


class ErasableSink(Sink):
    """A sink that can remove every row of one entity, for good."""

    @abstractmethod
    def apps(self) -> Mapping[str, Sequence[str]]:
        """Return the names of the columns of each application's rows, for all of which any were ever written."""

    @abstractmethod
    def forget(
        self,
        app: str,
        column: str,
        id: str,
        *,
        why: str,
        who: str,
        planned: Callable[[Mapping[date, int]], None] = unwatched,
    ) -> Mapping[date, int]:
        """Rows of the entity that were removed, by day, from every attempt, published or not.

        An attempt that held one goes on, without it, under the name of what is left (`attempt_of`); if it was ever
        published, a record with action `forget` says so, and what was published stays published. No file holds the
        rows afterwards, and a tombstone keeps `write_attempt` from bringing them back. Readers of an attempt that held
        one, and writers at that moment, may fail and have to start again. Repeating it completes what was interrupted.

        Args:
            app: the application; one without any scores is left with the tombstone.
            column: key column that names the entity, e.g. `customer_id`; rows without it name no one.
            id: as in that column.
            why: kept in the records; must not name the entity.
            who: the person, or the job.
            planned: called with what will be removed, right before it is, if anything will.
        """


class RetainedSink(Sink):
    """A sink that can remove what no record names any more."""

    @abstractmethod
    def vacuum(self, app: str, *, keep_hours: float) -> int:
        """Return number of files (or rows) removed: of attempts that no record names, and of killed writes.

        Args:
            app: the application.
            keep_hours: files younger than this stay; must be longer than the longest write or read.
        """


def _compared(rows: pa.RecordBatchReader, publication: Publication) -> Iterator[pa.RecordBatch]:
    digest = RowsDigest()
    for batch in rows:
        digest.add(batch)
        yield batch
    if digest.hexdigest() != publication.digest:
        raise DamagedScores(
            f"The stored scores of {publication.app} for {publication.day} are not those that were published: digest "
            f"{digest.hexdigest()[:12]}, not {publication.digest[:12]}.",
            expected="the rows of the publication record",
            todo=f"Write them again: `tessera run {publication.app}_nightly --date {publication.day}`.",
        )


def require_storable(schema: pa.Schema) -> None:
    """For adapters: refuse rows that are not keys and payload followed by `models.scoring.output.VERSION_FIELDS`.

    Raises:
        TesseraError: a version column is missing, or a name is one of the sink's own.
    """
    versions, own = pa.schema(VERSION_FIELDS), _OWN_NAMES & set(schema.names)
    last = pa.schema(list(schema)[-len(versions) :])
    if not last.equals(versions) or len(schema) <= len(versions) or own:
        raise TesseraError(
            f"Score rows have the columns {schema.names}.",
            expected=f"keys and payload, then {versions.names}; none called row, day or attempt",
            todo="Write what `models.scoring.batch.scored` gives for an output contract.",
        )


def require_complete(batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """For adapters: refuse a NULL where the schema allows none.

    Raises:
        TesseraError: with the column's name.
    """
    for field, column in zip(schema, batch.columns, strict=True):
        if column.null_count and not field.nullable:
            raise TesseraError(
                f"{column.null_count} score rows have no {field.name!r}.",
                expected="a value in every row",
                todo="Score the day again; if it happens again, it is a mistake in the scoring code.",
            )
