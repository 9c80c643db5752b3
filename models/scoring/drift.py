"""Whether the night's features still look like those the model was trained on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.scoring.config import DriftConfig
from models.scoring.psi import shift

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.


class NumericReference(BaseModel):
    """A numeric feature of the training set: bins `(-inf, e0], (e0, e1], ..., (ek, inf)` and the share of rows in each,
    then the share of NULLs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edges: tuple[float, ...]
    shares: tuple[float, ...]


class TextReference(BaseModel):
    """A string feature of the training set: its most frequent values and their shares, then those of all other values
    and of NULL.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[str, ...]
    shares: tuple[float, ...]
    complete: bool  # whether `values` are all there were: then any other value is unseen


class DriftReference(BaseModel):
    """What must be remembered of a training set to tell drift; a few kilobytes, stored with the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    numeric: dict[str, NumericReference]
    text: dict[str, TextReference]


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of the night against the training set; shares are of all rows, 0 to 1.

    `unseen_share` counts values that the training set did not have; always 0 for numbers. `drifted`: PSI above the
    limit by more than chance.
    """

    feature: str
    psi: float
    null_share: float
    null_share_in_training: float
    unseen_share: float
    drifted: bool


@dataclass(frozen=True)
class DriftReport:
    """Every feature, the most drifted first, and the largest PSI."""

    features: tuple[FeatureDrift, ...]
    max_psi: float


def drift_reference(table: pa.Table, features: Sequence[str], config: DriftConfig) -> DriftReference:
    """What to remember of a training set. `features` are numeric, boolean or string columns of `table`."""
    text = [name for name in features if pa.types.is_string(table.schema.field(name).type)]
    numeric = [name for name in features if name not in text]
    return DriftReference(
        rows=table.num_rows,
        numeric={name: _numeric_reference(table.column(name), config.bins) for name in numeric},
        text={name: _text_reference(table.column(name), config.max_categories) for name in text},
    )


class DriftMeter:
    """Counts the night's feature rows while they pass by on their way to be scored.

    Of each batch at most `sampled_rows_per_batch` evenly spaced rows are looked at, each standing for as many as there
    are between two of them: the cost per row is then small beside a prediction.
    """

    def __init__(self, reference: DriftReference, config: DriftConfig) -> None:
        self._reference = reference
        self._config = config
        self._sampled = 0
        self._counts: dict[str, NDArray[np.float64]] = {
            name: np.zeros(len(known.shares)) for name, known in (reference.numeric | reference.text).items()
        }

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same batches, each counted as it passes."""
        for batch in batches:
            self._count(batch)
            yield batch

    def report(self) -> DriftReport:
        """How far everything counted so far is from the training set."""
        rows = [self._drift(name) for name in self._counts]
        ranked = tuple(sorted(rows, key=lambda row: (-row.psi, row.feature)))
        return DriftReport(ranked, max((row.psi for row in ranked), default=0.0))

    def _count(self, batch: pa.RecordBatch) -> None:
        step = -(-batch.num_rows // self._config.sampled_rows_per_batch) or 1
        positions = pa.array(np.arange(0, batch.num_rows, step))
        weight = batch.num_rows / max(len(positions), 1)
        self._sampled += len(positions)
        for name, known in self._reference.numeric.items():
            self._counts[name] += weight * _numeric_counts(batch.column(name).take(positions), known.edges)
        for name, known in self._reference.text.items():
            self._counts[name] += weight * _text_counts(batch.column(name).take(positions), known.values)

    def _drift(self, name: str) -> FeatureDrift:
        known = self._reference.numeric.get(name) or self._reference.text[name]
        counts = self._counts[name]
        shares = counts / max(counts.sum(), 1)
        moved = shift(np.asarray(known.shares) * self._reference.rows, shares * self._sampled)
        unseen = float(shares[-2]) if isinstance(known, TextReference) and known.complete else 0.0
        drifted = moved.above(self._config.psi_warn)
        return FeatureDrift(name, moved.psi, float(shares[-1]), known.shares[-1], unseen, drifted)


def _numeric_reference(column: pa.ChunkedArray, bins: int) -> NumericReference:
    values = _finite(column)
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    # An edge at the largest value would leave an empty bin above it, in which any growth looks like a shift.
    edges = np.unique(np.quantile(values, inner, method="lower")) if len(values) else np.empty(0)
    counts = _numeric_counts(column, tuple(edges.tolist()))
    return NumericReference(edges=tuple(edges.tolist()), shares=_shares(counts))


def _numeric_counts(column: pa.Array | pa.ChunkedArray, edges: tuple[float, ...]) -> NDArray[np.float64]:
    values = _finite(column)
    bins = np.bincount(np.searchsorted(np.asarray(edges), values, side="left"), minlength=len(edges) + 1)
    return np.append(bins, len(column) - len(values)).astype(np.float64)


def _finite(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    values = np.asarray(column.cast(pa.float64()).drop_null())
    return values[~np.isnan(values)]


def _text_reference(column: pa.ChunkedArray, limit: int) -> TextReference:
    found = pc.value_counts(column.drop_null()).to_pylist()
    ranked = sorted(found, key=lambda pair: (-pair["counts"], pair["values"]))
    values = tuple(pair["values"] for pair in ranked[:limit])
    return TextReference(
        values=values, shares=_shares(_text_counts(column, values)), complete=len(values) == len(ranked)
    )


def _text_counts(column: pa.Array | pa.ChunkedArray, values: tuple[str, ...]) -> NDArray[np.float64]:
    codes = pc.index_in(column.cast(pa.string()), value_set=pa.array(values, pa.string())).drop_null()
    counts = np.bincount(np.asarray(codes), minlength=len(values))
    others = len(column) - column.null_count - len(codes)
    return np.append(counts, [others, column.null_count]).astype(np.float64)


def _shares(counts: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple((counts / max(counts.sum(), 1)).tolist())
