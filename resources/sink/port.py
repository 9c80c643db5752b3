"""Where published scores live."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from models.publishing import Publication
from resources.health import Health


class Sink(ABC):
    """Scores by write, audit, publish: an attempt is invisible until one atomic pointer names it.

    An *attempt* is named by its content (see `models.publishing.attempt_id`), so writing it again gives the same rows.
    """

    @abstractmethod
    def write_attempt(self, app: str, day: date, attempt: str, rows: pa.RecordBatchReader) -> int:
        """Number of rows written; whatever an earlier, perhaps killed, write of this attempt left is replaced."""

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

    @abstractmethod
    def check(self) -> Health:
        """Whether it can be written and read right now."""
