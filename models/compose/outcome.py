"""Outcome of a step: values of the records that succeeded, and the failure of each other one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from models.compose.batch import Batch, Rows
from models.compose.budget import DEADLINE

#: `refused`: budget or deadline, before it ran. `late`: it ran and was not ready in time. `raised`: by its own code.
#: `garbage`: what it gave is not its contract. `missing`: a part that it needs is not there.
Kind = Literal["refused", "late", "raised", "garbage", "missing"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason why a step gave nothing for a record.

    Attributes:
        step: name of the step that failed.
        kind: kind of failure.
        why: in words; never an input of another step.
    """

    step: str
    kind: Kind
    why: str

    @property
    def is_late(self) -> bool:
        """True if it was given up when it was late, or not begun because the deadline left too little time."""
        return self.kind == "late" or (self.kind == "refused" and self.why.startswith(DEADLINE))

    def __str__(self) -> str:
        return f"{self.step}: {self.kind}, {self.why}"


_NO_FAILURES: Mapping[int, Failure] = MappingProxyType({})
_NO_NOTES: Mapping[int, tuple[Failure, ...]] = MappingProxyType({})


class Outcome(NamedTuple):
    """Values and failures of a batch of `n` records.

    Attributes:
        batch: the records that succeeded.
        n: records that the step was given.
        rows: place of each successful record among the `n`, ascending; None: all succeeded.
        failures: place -> failure of each other record.
        notes: place -> failures that were made good by a default, a cheaper step or a fallback: the record's answer is
            not the one that the composition would give at its best.
    """

    batch: Batch
    n: int
    rows: Rows | None = None
    failures: Mapping[int, Failure] = _NO_FAILURES
    notes: Mapping[int, tuple[Failure, ...]] = _NO_NOTES

    def places(self) -> Rows:
        """Place of each successful record."""
        return np.arange(self.n) if self.rows is None else self.rows


def failed(n: int, failure: Failure) -> Outcome:
    """Return the outcome of `n` records that all failed for one reason."""
    return Outcome(Batch({}, 0), n, np.empty(0, dtype=np.int64), dict.fromkeys(range(n), failure))


def moved(notes: Mapping[int, tuple[Failure, ...]], places: Rows) -> dict[int, tuple[Failure, ...]]:
    """Return notes of a part of the records by their places in the whole."""
    return {int(places[row]): note for row, note in notes.items()}


def joined(
    *parts: Mapping[int, tuple[Failure, ...]],
) -> dict[int, tuple[Failure, ...]]:
    """Return notes of several steps about the same records."""
    found: dict[int, tuple[Failure, ...]] = {}
    for part in parts:
        for row, notes in part.items():
            found[row] = found.get(row, ()) + notes
    return found


def put_together(
    parts: Sequence[tuple[Rows, Outcome]],
    failures: Mapping[int, Failure] = _NO_FAILURES,
    notes: Mapping[int, tuple[Failure, ...]] = _NO_NOTES,
) -> Outcome:
    """Return the outcome of records of which each part has some; further failures and notes are of the whole.

    Args:
        parts: places of the part's records in the whole, and their outcome.
        failures: place -> failure of a record that is in no part.
        notes: place -> notes of records; those of the parts are added.
    """
    lost = {**failures, **{int(rows[row]): failure for rows, one in parts for row, failure in one.failures.items()}}
    n = len(failures) + sum(rows.size for rows, _ in parts)
    said = joined(notes, *(moved(one.notes, rows) for rows, one in parts))
    good = [(rows[one.places()], one.batch) for rows, one in parts if one.batch.n]
    if not good:
        return Outcome(Batch({}, 0), n, np.empty(0, dtype=np.int64), lost, said)
    places = np.concatenate([rows for rows, _ in good])
    order = np.argsort(places)
    columns = {name: np.concatenate([part[name] for _, part in good])[order] for name in good[0][1].columns}
    return Outcome(Batch(columns, places.size), n, places[order] if lost else None, lost, said)
