"""Checks that an output contract asks of every published set; each sees the rows once, batch by batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.config import Severity
from models.scoring.output import ARROW_TYPES, OutputColumn, OutputContract
from models.scoring.row_order import RowOrder

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: of the check.
        passed: nothing was found.
        severity: `block`: the set must not be published unless it passed; `warn`: a notice; `note`: it is shown.
        says: what was found.
        compares: it compares with other nights, so that a person may overrule it.
    """

    name: str
    passed: bool
    severity: Severity
    says: str
    compares: bool = False


class Observer(ABC):
    """One concern of the audit: sees each batch, then gives its checks and numbers that plot."""

    @abstractmethod
    def observe(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""

    @abstractmethod
    def checks(self) -> Iterator[Check]:
        """Results, after the last rows."""

    def metrics(self) -> Mapping[str, float]:
        """Numbers by name, after the last rows; none unless a subclass has some."""
        return {}


class EntityChecks(Observer):
    """Exactly the entities in scope, each row once, in ascending order.

    Args:
        contract: names entity and order.
        expected: entity ids in scope, in the order of the rows.
    """

    def __init__(self, contract: OutputContract, expected: Iterable[pa.Array]) -> None:
        self._entity = contract.entity
        self._order = RowOrder(contract.order)
        self._expected = _Arrays(expected, ARROW_TYPES[contract.column(contract.entity).type])
        self._rows = self._doubled = self._disorder = 0
        self._difference = ""

    def observe(self, batch: pa.RecordBatch) -> None:
        """Compare the next rows with the scope, and each row with the one before."""
        if not batch.num_rows:
            return
        ids = batch.column(self._entity)
        wanted = self._expected.take(len(ids))
        if not self._difference and not wanted.equals(ids):
            self._difference = _first_difference(self._rows, wanted, ids)
        above, equal, _ = self._order.compare(batch)
        self._doubled += count(equal)
        self._disorder += count(pc.invert(pc.or_(above, equal)))
        self._rows += len(ids)

    def checks(self) -> Iterator[Check]:
        """Row count, doubles, order, scope; all of them block."""
        self._expected.exhaust()
        scope = self._expected.given
        yield blocking("row count", self._rows == scope, f"{self._rows:,} rows for {scope:,} entities in scope")
        yield blocking("no entity twice", not self._doubled, f"{self._doubled:,} rows repeat the entity before")
        yield blocking("order", not self._disorder, f"{self._disorder:,} rows come before a smaller entity id")
        same = not self._difference and self._rows == scope
        yield blocking("entities in scope", same, self._difference or "the entities that were to be scored")


class RangeChecks(Observer):
    """Values of a payload column lie in their range, or are among the allowed ones."""

    def __init__(self, column: OutputColumn) -> None:
        self._column = column
        self._invalid = 0

    def observe(self, batch: pa.RecordBatch) -> None:
        """Count the values out of range."""
        values = batch.column(self._column.name)
        if pa.types.is_list(values.type):
            values = values.flatten()
        if self._column.one_of:
            allowed = pc.is_in(values, value_set=pa.array(self._column.one_of, values.type))
            self._invalid += count(pc.and_(pc.invert(allowed), values.is_valid()))
        elif pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
            self._invalid += self._out_of_range(values.drop_null().to_numpy(zero_copy_only=False))

    def _out_of_range(self, values: np.ndarray) -> int:
        low, high = self._column.limits
        return len(values) - int(((values >= low) & (values <= high) & np.isfinite(values)).sum())

    def checks(self) -> Iterator[Check]:
        """One check, which blocks."""
        found = f"{self._invalid:,} values are {self._fault()}"
        yield blocking(f"{self._column.name} in range", not self._invalid, found)

    def _fault(self) -> str:
        if self._column.one_of:
            return f"none of {', '.join(self._column.one_of[:5])}"
        low, high = self._column.at_least, self._column.at_most
        if low is None and high is None:
            return "not finite"
        return f"NaN or not in [{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"


class NotDescendingChecks(Observer):
    """Payload columns that do not descend within a row, e.g. lower end, prediction, upper end."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._wrong = 0

    def observe(self, batch: pa.RecordBatch) -> None:
        """Count the rows in which one descends."""
        wrong = np.zeros(batch.num_rows, bool)
        for one, other in pairwise(self._columns):
            lower, upper = (batch.column(name).to_numpy(zero_copy_only=False) for name in (one, other))
            wrong |= lower > upper
        self._wrong += int(wrong.sum())

    def checks(self) -> Iterator[Check]:
        """One check, which blocks."""
        names = " <= ".join(self._columns)
        yield blocking(names, not self._wrong, f"{self._wrong:,} rows do not keep it")


class VersionChecks(Observer):
    """One model and one version of the features made every row, or one of these and those of a challenger."""

    def __init__(self, model_package: str, feature_version: str, challenger: tuple[str, str] | None = None) -> None:
        self._versions = {"model_package": model_package, "feature_version": feature_version}
        names = self._versions
        others = dict(zip(names, challenger, strict=True)) if challenger else names
        self._allowed = {name: pa.array([names[name], others[name]]) for name in names}
        self._others = dict.fromkeys(self._versions, 0)

    def observe(self, batch: pa.RecordBatch) -> None:
        """Count the rows of other versions."""
        for column, allowed in self._allowed.items():
            self._others[column] += count(pc.invert(pc.is_in(batch.column(column), value_set=allowed)))

    def checks(self) -> Iterator[Check]:
        """One check for each kind of version; both block."""
        for column, version in self._versions.items():
            says = f"{self._others[column]:,} rows are not of {version[:16]}"
            yield blocking(column.replace("_", " "), not self._others[column], says)


class _Arrays:
    """A stream of arrays, taken in pieces of any length."""

    def __init__(self, arrays: Iterable[pa.Array], kind: pa.DataType) -> None:
        self.given = 0
        self._arrays, self._kind = iter(arrays), kind
        self._rest = pa.array([], kind)

    def take(self, wanted: int) -> pa.Array:
        """The next `wanted` values, fewer at the end."""
        pieces = [self._rest]
        while sum(len(piece) for piece in pieces) < wanted and (piece := next(self._arrays, None)) is not None:
            pieces.append(piece.cast(self._kind))
        joined = pa.concat_arrays(pieces)
        self._rest = joined[wanted:]
        taken = joined[:wanted]
        self.given += len(taken)
        return taken

    def exhaust(self) -> None:
        """Count what was not taken."""
        self.given += len(self._rest) + sum(len(array) for array in self._arrays)


def _first_difference(row: int, wanted: pa.Array, found: pa.Array) -> str:
    for offset, (one, other) in enumerate(zip(wanted.to_pylist(), found.to_pylist(), strict=False)):
        if one != other:
            return f"row {row + offset:,} is {other!r} where {one!r} was expected"
    return f"row {row + len(wanted):,} is {found[len(wanted)].as_py()!r} where no entity was expected"


def blocking(name: str, passed: bool, says: str) -> Check:
    """A check that blocks the set unless it passed."""
    return Check(name, passed, "block", says)


def count(flags: pa.Array) -> int:
    """Number of true values."""
    return int(pc.sum(flags).as_py() or 0)
