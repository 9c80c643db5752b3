"""Where published scores live."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import pyarrow as pa

from models.errors import TesseraError, choose_from
from models.publishing import Publication
from resources.health import Health

# pyarrow has no static types.
# pyright: basic


def unwatched(_planned: Mapping[date, int]) -> None:
    """For callers that need no plan."""


class Sink(ABC):
    """Scores by write, audit, publish: an attempt is invisible until one atomic pointer names it.

    An *attempt* is named by its content (see `models.publishing.attempt_of`), so writing it again gives the same rows.
    What was published never changes, but for `forget`.
    """

    @abstractmethod
    def write_attempt(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> int:
        """Number of rows written; whatever an earlier, perhaps killed, write of this attempt left is replaced at once.

        An attempt that was ever published never changes: its rows are only compared, and nothing is written. Rows of
        forgotten entities are left out.

        Raises:
            TesseraError: other columns than `SCORES_SCHEMA`, a NULL where it allows none, the attempt was published
                with other rows, or somebody was forgotten meanwhile: the rows must then be made again.
        """

    @abstractmethod
    def read_attempt(self, app: str, day: date, attempt: str) -> pa.RecordBatchReader:
        """The rows of an attempt in the order in which they were written, read back from storage.

        Raises:
            TesseraError: the attempt does not exist.
        """

    @abstractmethod
    def publish(self, publication: Publication) -> Publication:
        """What is published for its `(app, day)` afterwards: one atomic pointer move, appended to the history.

        Publishing the attempt that is already published changes nothing and returns the standing publication.

        Raises:
            TesseraError: the attempt does not exist, has another number of rows, or was published with another digest.
        """

    @abstractmethod
    def unpublish(self, app: str, day: date, *, why: str, who: str) -> Publication | None:
        """What was published until now; the day then has no published scores. Rows and history stay."""

    @abstractmethod
    def published(self, app: str, day: date) -> Publication | None:
        """What is published for the day, or None."""

    @abstractmethod
    def history(self, app: str, day: date) -> Sequence[Publication]:
        """Everything that was ever published or unpublished for the day, oldest first."""

    @abstractmethod
    def published_days(self, app: str) -> Sequence[date]:
        """Days with published scores, ascending."""

    def last_published(self, app: str, before: date) -> Publication | None:
        """What is published for the newest day before `before` that has published scores, or None."""
        earlier = [day for day in self.published_days(app) if day < before]
        return self.published(app, earlier[-1]) if earlier else None

    def scores(self, app: str, day: date) -> tuple[Publication, pa.RecordBatchReader]:
        """What is published for the day, and its rows in entity order.

        Raises:
            TesseraError: nothing is published for the day.
        """
        publication = self.published(app, day)
        if publication is None:
            days = [published.isoformat() for published in self.published_days(app)]
            raise TesseraError(
                f"No scores of {app} are published for {day}.",
                expected=choose_from(day.isoformat(), days[-10:]),
                todo=f"Run `tessera run {app}_nightly --date {day}`.",
            )
        return publication, self.read_attempt(app, day, publication.attempt)

    @abstractmethod
    def forget(
        self,
        app: str,
        entity_id: str,
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
            entity_id: as in the column `entity_id`.
            why: kept in the records; must not name the entity.
            who: the person, or the job.
            planned: told what will be removed, right before it is, if anything will.
        """

    @abstractmethod
    def vacuum(self, app: str, *, keep_hours: float) -> int:
        """Number of files removed: of attempts that no record of the history names, and of killed writes.

        Args:
            app: the application.
            keep_hours: files younger than this stay; must be longer than the longest write or read.
        """

    @abstractmethod
    def check(self) -> Health:
        """Whether it can be written and read right now."""
