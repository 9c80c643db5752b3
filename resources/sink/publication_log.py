"""Publications of each day: the newest record is the pointer, so pointer and history cannot disagree."""

from datetime import date
from pathlib import Path

from models.publishing import Publication, last_set
from resources.sink.port import DamagedScores
from resources.sink.record_log import RecordLog


class PublicationLog(RecordLog[Publication]):
    """The history of one application's publications."""

    def __init__(self, folder: Path, app: str) -> None:
        super().__init__(folder, app, Publication)

    def standing(self, day: date) -> Publication | None:
        """Return the publication of the day, or None.

        Raises:
            DamagedScores: the newest record is lost or unreadable.
        """
        newest = self.newest(day)
        if newest and newest.action == "forget":  # it may concern an earlier set than the published one
            last, stands = last_set(self.records(day))
            return last if stands else None
        return newest if newest and newest.action == "publish" else None

    def readable_standing(self, day: date) -> Publication | None:
        """Return the publication of the day; None also if the record that would say it is lost or unreadable."""
        try:
            return self.standing(day)
        except DamagedScores:
            return None

    def named(self, day: date, attempt: str) -> Publication | None:
        """Return the newest record of the day that names the attempt; None also when it became another one since."""
        naming = [record for record in self.readable(day) if attempt in (record.attempt, record.was)]
        return naming[-1] if naming and naming[-1].attempt == attempt else None
