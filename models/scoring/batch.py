"""From feature rows to score rows, in memory that does not grow with their number."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import TesseraError
from models.publishing import SCORES_SCHEMA
from models.scoring.config import ScoringConfig
from models.scoring.reasons import explain
from models.scoring.top_k import TopRows
from models.training.encoding import Encoder
from models.training.model import FittedModel

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

_SPOOLED = pa.schema([pa.field("entity_id", pa.string(), nullable=False), pa.field("score", pa.float32())])
_DECISIONS = pa.array(["leave", "contact"])


@dataclass(frozen=True)
class Scorer:
    """A model with all that is needed to score rows with it.

    Attributes:
        model: the champion.
        encoder: made the matrix that the model was trained on.
        model_version: its number in the registry, written into each row.
        model_package: sha256 of its package, written into each row.
        feature_version: version of the feature service, written into each row.
        entity: the column that names the entity, e.g. `customer_id`.
    """

    model: FittedModel
    encoder: Encoder
    model_version: str
    model_package: str
    feature_version: str
    entity: str


class ScoredRows:
    """Scored rows on disk. `rows` is their number, `contacts` how many are marked `contact`, `explained` how many have
    reasons (NULL in all others).
    """

    def __init__(
        self, spool: _Spool, scorer: Scorer, contacts: NDArray[np.int64], reasons: dict[int, list[str]]
    ) -> None:
        self.rows = spool.rows
        self.contacts = len(contacts)
        self.explained = len(reasons)
        self._spool = spool
        self._scorer = scorer
        self._contacts = contacts
        self._reasons = reasons

    def reader(self) -> pa.RecordBatchReader:
        """Return rows (`SCORES_SCHEMA`) in entity order, from the first; may be called again once a reader is done."""
        return pa.RecordBatchReader.from_batches(SCORES_SCHEMA, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        first = 0
        for spooled in self._spool.batches():
            ids, scores = spooled.columns
            yield self._rows(first, ids, scores)
            first += len(ids)

    def _rows(self, first: int, ids: pa.Array, scores: pa.Array) -> pa.RecordBatch:
        start, end = np.searchsorted(self._contacts, [first, first + len(ids)])
        contacts = self._contacts[start:end] - first
        flags = np.zeros(len(ids), np.int8)
        flags[contacts] = 1
        columns = [
            ids,
            scores,
            _DECISIONS.take(pa.array(flags)),
            self._reasons_of(first, contacts, len(ids)),
            pa.repeat(self._scorer.model_version, len(ids)),
            pa.repeat(self._scorer.model_package, len(ids)),
            pa.repeat(self._scorer.feature_version, len(ids)),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SCORES_SCHEMA)

    def _reasons_of(self, first: int, contacts: NDArray[np.int64], count: int) -> pa.Array:
        words: list[list[str] | None] = [None] * count
        for at in contacts.tolist():
            words[at] = self._reasons.get(first + at)
        return pa.array(words, SCORES_SCHEMA.field("reasons").type)


@contextmanager
def scored(
    batches: Iterable[pa.RecordBatch], scorer: Scorer, config: ScoringConfig, *, scratch: Path | None = None
) -> Generator[ScoredRows]:
    """Provide the scored rows of `batches`, while the context is open.

    One pass over the features predicts chunk by chunk in one reused float32 buffer and keeps id and score of each row
    in an unnamed file, because who is contacted is known only after the last row. Memory: the buffer, `contact_budget`
    scores and `max_reasons_rows` matrix rows, whatever the number of rows. Disk: 8 bytes + the id per row, given back
    when the context closes or the process dies.

    The same rows give the same result, whatever their division into batches: `contact` are the `contact_budget`
    highest scores of at least `min_contact_score`, among equals the first by entity id.

    Args:
        batches: feature rows, each entity once, in ascending order of the entity column.
        scorer: the model and its encoder.
        config: chunk size and decision rule.
        scratch: folder for the unnamed file; None: the system's folder for temporary files.

    Raises:
        TesseraError: rows out of order, an entity twice or NULL, a feature missing or of another type.
    """
    with tempfile.TemporaryFile(dir=scratch) as file:
        spool = _Spool(file)
        width = len(scorer.encoder.feature_names)
        eligible, leaders = TopRows(config.contact_budget, 0), TopRows(config.max_reasons_rows, width)
        for first, scores, matrix in _predicted(batches, scorer, config, spool):
            eligible.offer(first, scores, matrix[:, :0])
            leaders.offer(first, scores, matrix)
        contacts = eligible.index[eligible.scores >= np.float32(config.min_contact_score)]
        yield ScoredRows(spool, scorer, np.sort(contacts), _reasons(leaders, contacts, scorer, config))


def _predicted(
    batches: Iterable[pa.RecordBatch], scorer: Scorer, config: ScoringConfig, spool: _Spool
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Yield the number of the first row, scores and matrix of each chunk; the matrix is overwritten by the next one."""
    buffer = np.empty((config.batch_rows, len(scorer.encoder.feature_names)), np.float32)
    for batch in batches:
        for start in range(0, batch.num_rows, config.batch_rows):
            piece = batch.slice(start, config.batch_rows)
            matrix = buffer[: scorer.encoder.transform(piece, buffer)]
            scores = scorer.model.predict(matrix).astype(np.float32)
            yield spool.append(_ids(piece, scorer.entity), scores), scores, matrix


def _reasons(
    leaders: TopRows, contacts: NDArray[np.int64], scorer: Scorer, config: ScoringConfig
) -> dict[int, list[str]]:
    """Reasons by row number. Contacts and leaders are both best first, so the leaders that are contacts come first."""
    count = min(len(leaders.index), len(contacts))
    names = scorer.encoder.feature_names
    words = explain(scorer.model, leaders.rows[:count], names, per_row=config.reasons_per_row)
    return dict(zip(leaders.index[:count].tolist(), words, strict=True))


def _ids(piece: pa.RecordBatch, entity: str) -> pa.Array:
    ids = piece.column(entity)
    return ids if ids.type == pa.string() else ids.cast(pa.string())


class _Spool:
    """Ids and scores on disk, in order."""

    def __init__(self, file: IO[bytes]) -> None:
        self.rows = 0
        self._file = file
        self._stream = pa.ipc.new_stream(pa.PythonFile(file, "w"), _SPOOLED)
        self._last: str | None = None

    def append(self, ids: pa.Array, scores: NDArray[np.float32]) -> int:
        """Return number of the first of these rows."""
        self._check_order(ids)
        self._stream.write_batch(pa.record_batch([ids, pa.array(scores)], schema=_SPOOLED))
        self.rows += len(ids)
        return self.rows - len(ids)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows from the first, as they were appended."""
        self._stream.close()
        self._file.seek(0)
        yield from pa.ipc.open_stream(pa.PythonFile(self._file, "r"))

    def _check_order(self, ids: pa.Array) -> None:
        """Ascending order also means that no entity comes twice."""
        if ids.null_count:
            raise _wrong_order(f"{ids.null_count} feature rows have no entity id.")
        before = pa.concat_arrays([pa.array([self._last], pa.string()), ids[:-1]])
        wrong = pc.index(pc.less(before, ids), False).as_py()
        if wrong >= 0:
            raise _wrong_order(
                f"The feature row of {ids[wrong].as_py()!r} comes after that of {before[wrong].as_py()!r}."
            )
        self._last = ids[-1].as_py()


def _wrong_order(what: str) -> TesseraError:
    return TesseraError(
        what,
        expected="one feature row for each entity, in ascending order of entity ids",
        todo="Compute the features of this day again.",
    )
