"""Outcome of a step: values of the records that succeeded, and the failure of each other one."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from models.compose.batch import Batch, Rows

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
