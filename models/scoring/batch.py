"""From feature rows to score rows, in memory that does not grow with their number."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.errors import TesseraError
from models.scoring.output import ARROW_TYPES, VERSION_FIELDS, OutputColumn, OutputContract
from models.scoring.row_order import RowOrder
from models.training.encoding import Encoder
from models.training.model import Matrix

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Payload columns of a matrix' rows, by name: NumPy or Arrow arrays. A row's values do not depend on the other rows.
Predict = Callable[[Matrix], Mapping[str, Any]]


class DecisionRule(Protocol):
    """Payload columns that follow from the predictions of all rows of a day, e.g. who is contacted within a budget."""

    def observe(self, first: int, predicted: Mapping[str, pa.Array], matrix: Matrix) -> None:
        """Look at keys and predictions of the rows from number `first` on; `matrix` is overwritten afterwards."""
        ...

    def columns(self, first: int, predicted: Mapping[str, pa.Array], rows: int) -> Mapping[str, pa.Array]:
        """The rule's columns of `rows` rows from number `first` on; asked after every row was observed."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Return numbers of what was decided, for the publication record."""
        ...


class AsPredicted:
    """The rule of applications that publish predictions as they are."""

    def observe(self, first: int, predicted: Mapping[str, pa.Array], matrix: Matrix) -> None:
        """Nothing to look at."""
        del first, predicted, matrix

    def columns(self, first: int, predicted: Mapping[str, pa.Array], rows: int) -> Mapping[str, pa.Array]:
        """No further columns."""
        del first, predicted, rows
        return {}

    def counts(self) -> Mapping[str, int]:
        """Nothing was decided."""
        return {}


@dataclass(frozen=True)
class Scorer:
    """A model with all that is needed to score rows with it.

    Attributes:
        predict: gives payload columns of a matrix' rows.
        encoder: made the matrix that the model was trained on.
        model_version: its number in the registry, written into each row.
        model_package: sha256 of its package, written into each row.
        feature_version: version of the feature service, written into each row.
        contract: columns of the rows.
    """

    predict: Predict
    encoder: Encoder
    model_version: str
    model_package: str
    feature_version: str
    contract: OutputContract

    @property
    def beside(self) -> frozenset[str]:
        """Predicted columns that are kept beside those of the contract, for `ScoredRows.kept`."""
        return frozenset()

    def versions(self, known: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:  # noqa: ARG002 - a split uses it
        """Return the version columns of rows with these keys and predictions."""
        return {field.name: pa.repeat(getattr(self, field.name), rows) for field in VERSION_FIELDS}


class ScoredRows:
    """Scored rows on disk. `rows` is their number; `counts` adds what the rule decided."""

    def __init__(self, spool: _Spool, scorer: Scorer, rule: DecisionRule) -> None:
        self.rows = spool.rows
        self._spool, self._scorer, self._rule = spool, scorer, rule

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows, and of what the rule decided."""
        return {"scored": self.rows, **self._rule.counts()}

    def reader(self) -> pa.RecordBatchReader:
        """The rows (the contract's schema) in order, from the first; may be called again once a reader is done."""
        return pa.RecordBatchReader.from_batches(self._scorer.contract.schema, self._batches())

    def kept(self) -> Iterator[pa.RecordBatch]:
        """Keys and predictions of all rows in order, with what the scorer keeps beside the contract's columns."""
        return self._spool.batches()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        first = 0
        for spooled in self._spool.batches():
            yield self._rows(first, spooled)
            first += spooled.num_rows

    def _rows(self, first: int, spooled: pa.RecordBatch) -> pa.RecordBatch:
        contract, rows = self._scorer.contract, spooled.num_rows
        known = dict(zip(spooled.schema.names, spooled.columns, strict=True))
        known.update(self._rule.columns(first, known, rows))
        known.update(self._scorer.versions(known, rows))
        return pa.RecordBatch.from_arrays([known[name] for name in contract.schema.names], schema=contract.schema)


@contextmanager
def scored(
    batches: Iterable[pa.RecordBatch],
    scorer: Scorer,
    rule: DecisionRule,
    *,
    batch_rows: int,
    scratch: Path | None = None,
) -> Generator[ScoredRows]:
    """Provide the scored rows of `batches`, while the context is open.

    One pass over the features predicts chunk by chunk in one reused float32 buffer and keeps keys and predictions of
    each row in an unnamed file, because a rule may know what it decides only after the last row. Memory: the buffer and
    what the rule remembers, whatever the number of rows. Disk: keys and predictions, given back when the context closes
    or the process dies. The same rows give the same result, whatever their division into batches.

    Args:
        batches: feature rows, ascending by the contract's order columns, no row twice.
        scorer: the model, its encoder and the output contract.
        rule: decides what the model does not say.
        batch_rows: rows per chunk.
        scratch: folder for the unnamed file; None: the system's folder for temporary files.

    Raises:
        TesseraError: rows out of order, a row twice or without a key, a feature missing or of another type, or a
            payload column that neither model nor rule gives.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        spool = _Spool(file, scorer.contract)
        buffer = np.empty((batch_rows, len(scorer.encoder.feature_names)), np.float32)
        for batch in batches:
            for start in range(0, batch.num_rows, batch_rows):
                piece = batch.slice(start, batch_rows)
                matrix = buffer[: scorer.encoder.transform(piece, buffer)]
                predicted = scorer.predict(matrix)
                beside = {name: pa.array(predicted[name]) for name in predicted.keys() & scorer.beside}
                first, columns = spool.append(piece, {**payload_arrays(predicted, scorer.contract), **beside})
                rule.observe(first, columns, matrix)
        yield ScoredRows(spool, scorer, rule)


def payload_arrays(predicted: Mapping[str, Any], contract: OutputContract) -> dict[str, pa.Array]:
    """Return the predicted payload columns in the contract's types."""
    given = [column for column in contract.payload if column.name in predicted]
    return {column.name: payload_array(predicted[column.name], column) for column in given}


def payload_array(values: Any, column: OutputColumn) -> pa.Array:
    """Return one of them."""
    if isinstance(values, pa.Array):
        return values.cast(ARROW_TYPES[column.type])
    if column.is_number:
        values = np.asarray(values).astype(column.type)
    return pa.array(values, ARROW_TYPES[column.type])


class _Spool:
    """Keys and predictions on disk, in order."""

    def __init__(self, file: IO[bytes], contract: OutputContract) -> None:
        self.rows = 0
        self._file, self._contract = file, contract
        self._stream: Any = None
        self._order = RowOrder(contract.order)

    def append(self, piece: pa.RecordBatch, predicted: Mapping[str, pa.Array]) -> tuple[int, dict[str, pa.Array]]:
        """Number of the first of these rows, and their keys and predictions."""
        keys = {column.name: _key(piece, column) for column in self._contract.keys}
        batch = pa.RecordBatch.from_pydict({**keys, **predicted})
        self._check_order(batch)
        if self._stream is None:
            self._stream = pa.ipc.new_stream(pa.PythonFile(self._file, "w"), batch.schema)
        self._stream.write_batch(batch)
        self.rows += batch.num_rows
        return self.rows - batch.num_rows, {**keys, **predicted}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows from the first, as they were appended."""
        if self._stream is None:
            return
        self._stream.close()
        self._file.seek(0)
        yield from pa.ipc.open_stream(pa.PythonFile(self._file, "r"))

    def _check_order(self, batch: pa.RecordBatch) -> None:
        """Strictly ascending order also means that no row comes twice."""
        entity = self._contract.entity
        above, _, before = self._order.compare(batch)
        wrong = pc.index(above, False).as_py()
        if wrong >= 0:
            at = self._contract.order.index(entity) if entity in self._contract.order else 0
            name = self._contract.order[at]
            found, earlier = batch.column(name)[wrong].as_py(), before[at][wrong].as_py()
            raise _wrong_order(f"The feature row of {found!r} comes after that of {earlier!r}.", self._contract)


def _key(piece: pa.RecordBatch, column: OutputColumn) -> pa.Array:
    keys, wanted = piece.column(column.name), ARROW_TYPES[column.type]
    if keys.null_count:
        raise TesseraError(
            f"{keys.null_count} feature rows have no {column.name}.",
            expected="a value in each row",
            todo="Compute the features of this day again.",
        )
    return keys if keys.type == wanted else keys.cast(wanted)


def _wrong_order(what: str, contract: OutputContract) -> TesseraError:
    return TesseraError(
        what,
        expected=f"each feature row once, in ascending order of {', '.join(contract.order)}",
        todo="Compute the features of this day again.",
    )
