"""The record of an erasure: what was removed where, models that were trained on it, what stays. It names no one."""

from collections.abc import Sequence
from datetime import date, datetime

from pydantic import BaseModel, ConfigDict

_FORMAT = 1


class Place(BaseModel):
    """Rows that left one place: `rows` of them, in `days` days (0 where the place has none)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    days: int = 0
    note: str = ""


class Learnt(BaseModel):
    """A model version whose training set held rows of the entity.

    Attributes:
        as_of: the day as of which the training set was made.
        golden_set: whether the golden set in its package, which names no entity, holds features of this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: str
    version: str
    as_of: date
    champion: bool
    golden_set: bool


class Erasure(BaseModel):
    """One erasure, while it goes on and when it is done: the same record is journal and proof.

    Attributes:
        digest: HMAC-SHA256 of the id under the lake's key: with the key and the id it can be verified.
        finished_at: UTC; None while it goes on.
        interrupted: earlier attempts that ended before they were done; their counts are in `places`.
        doing: the place whose counts would be lost if it ended now.
        uncounted: places of which an attempt that was interrupted lost the counts.
        learnt: versions that were trained or evaluated with rows of the entity.
        unsure: `<app> <version>` -> why it is unknown whether it was.
        searched: store -> what it listed and was looked through.
        remains: what is left and why, one sentence each.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    format: int = _FORMAT
    entity: str
    digest: str
    started_at: datetime
    finished_at: datetime | None = None
    who: str
    why: str
    interrupted: int = 0
    doing: str = ""
    uncounted: list[str] = []
    places: dict[str, Place] = {}
    learnt: list[Learnt] = []
    unsure: dict[str, str] = {}
    searched: dict[str, list[str]] = {}
    remains: list[str] = []

    @property
    def name(self) -> str:
        """Base name of the record's files; two erasures of one entity within a second get different names."""
        return f"{self.started_at:%Y%m%dT%H%M%S.%f}Z-{self.digest[:12]}"

    @property
    def rows(self) -> int:
        """Rows removed in all places."""
        return sum(place.rows for place in self.places.values())

    def markdown(self) -> str:
        """Return the record for people."""
        ended = f"{self.finished_at:%Y-%m-%d %H:%M:%S} UTC" if self.finished_at else "not finished"
        lines = [
            f"# Erasure of one {self.entity}",
            "",
            f"Begun {self.started_at:%Y-%m-%d %H:%M:%S} UTC by {self.who}, finished {ended}. Reason: {self.why}.",
            *self._interruptions(),
            "",
            f"Digest of the id: `{self.digest}`",
            "",
            "## Rows removed",
            "",
            *_table(("place", "rows", "days", ""), [_cells(name, place) for name, place in self.places.items()]),
            "",
            "After the removal every table of the lake and the state of the stream were searched again; nothing was"
            " found.",
            "",
            "## What was searched",
            "",
            "As the stores list it themselves:",
            "",
            *(f"- {store}: {', '.join(names) or 'none'}" for store, names in self.searched.items()),
            "",
            "## Models",
            "",
            *self._models(),
            "",
            "## What remains, and why",
            "",
            *(f"- {sentence}" for sentence in self.remains),
            "",
            "## How to verify",
            "",
            "The digest is the HMAC-SHA256 of the entity's name, a zero byte and the id, under the key in the file"
            " `_forgotten/key` of the lake:",
            "",
            "```python",
            f'hmac.new(key, b"{self.entity}\\0" + id.encode(), "sha256").hexdigest()',
            "```",
        ]
        return "\n".join(lines) + "\n"

    def _interruptions(self) -> list[str]:
        if not self.interrupted:
            return []
        times = "once" if self.interrupted == 1 else f"{self.interrupted} times"
        return ["", f"It was interrupted {times} and then continued; the counts below are those of all attempts."]

    def _models(self) -> list[str]:
        rows = [
            (m.app, m.version, m.as_of.isoformat(), "yes" if m.champion else "", "yes" if m.golden_set else "")
            for m in self.learnt
        ]
        header = ("application", "version", "trained as of", "champion", "features in its golden set")
        known = _table(header, rows) if rows else ["No known version was trained with rows of this entity."]
        return [*known, "", *(f"- {name}: unknown, {why}" for name, why in self.unsure.items())]


def _cells(name: str, place: Place) -> Sequence[str]:
    return (name, f"{place.rows:,}", str(place.days or ""), place.note)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
