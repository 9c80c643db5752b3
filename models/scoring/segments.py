"""Share and mean score of each segment of a night's rows, e.g. of a country or a channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.audit_checks import Check, Observer
from models.scoring.output import OutputContract

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Prefixes of the numbers, which go on with column and value.
SEGMENT_SHARE, SEGMENT_MEAN = "segment_share_", "segment_mean_"
#: Segments of a column that are compared, the largest ones; smaller ones than this have no mean that means anything.
_MAX_SEGMENTS, _FEWEST_ROWS = 20, 30
_MISSING = "missing"


class SegmentNumbers(Observer):
    """Rows and scores by segment; memory does not grow with the rows.

    Args:
        contract: of the rows.
        segments: columns of the same rows, in the same order, e.g. `country`; read once.
    """

    def __init__(self, contract: OutputContract, segments: Iterable[pa.RecordBatch]) -> None:
        self._score, self._given = contract.score, iter(segments)
        self._rest: pa.Table | None = None
        self._found: dict[tuple[str, str], np.ndarray] = {}
        self._rows = 0

    def observe(self, batch: pa.RecordBatch) -> None:
        """Add the next rows; where too few segments are given, the audit of the entities fails anyway."""
        rows = self._take(batch.num_rows)
        if rows is None:
            return
        self._rows += batch.num_rows
        scores = np.nan_to_num(batch.column(self._score).to_numpy(zero_copy_only=False).astype(np.float64))
        for name in rows.column_names:
            values = pc.fill_null(rows[name].cast(pa.string()).combine_chunks(), _MISSING)
            encoded = pc.dictionary_encode(values)
            codes, texts = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
            counts = np.bincount(codes, minlength=len(texts))
            sums = np.bincount(codes, weights=scores, minlength=len(texts))
            for text, count, total in zip(texts, counts, sums, strict=True):
                self._found[name, text] = self._found.get((name, text), np.zeros(2)) + np.array([count, total])

    def checks(self) -> Iterator[Check]:
        """None: its numbers are compared with what is usual."""
        yield from ()

    def numbers(self) -> dict[str, float]:
        """Return `segment_share_<column>_<value>` and, of segments of some size, `segment_mean_<column>_<value>`."""
        numbers: dict[str, float] = {}
        for column in dict.fromkeys(name for name, _ in self._found):
            of_column = {text: pair for (name, text), pair in self._found.items() if name == column}
            largest = sorted(of_column, key=lambda text: float(of_column[text][0]), reverse=True)
            for text in largest[:_MAX_SEGMENTS]:
                count, total = of_column[text]
                numbers[f"{SEGMENT_SHARE}{column}_{text}"] = float(count / self._rows)
                if count >= _FEWEST_ROWS:
                    numbers[f"{SEGMENT_MEAN}{column}_{text}"] = float(total / count)
        return numbers

    def _take(self, count: int) -> pa.Table | None:
        """Return the segments of the next rows; None if there are none, or too few."""
        while self._rest is None or self._rest.num_rows < count:
            batch = next(self._given, None)
            if batch is None:
                return None
            more = pa.Table.from_batches([batch])
            self._rest = more if self._rest is None else pa.concat_tables([self._rest, more])
        taken, self._rest = self._rest.slice(0, count), self._rest.slice(count)
        return taken
