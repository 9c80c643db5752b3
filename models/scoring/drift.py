"""Drift of the night's features against the training set."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.scoring.config import DriftConfig
from models.scoring.growth import GrowthMeter, HomeHistory
from models.scoring.psi import Shift, shift

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.


_MOMENT = "event_timestamp"
#: Chance below which one value in all rows is no accident.
_BY_CHANCE = 1e-6


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
    """Summary of a training set for the measurement of drift; a few kilobytes, stored with the model.

    `constant_by_day`: features that have one value on some day of it, e.g. of the weekday: a night says little of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    numeric: dict[str, NumericReference]
    text: dict[str, TextReference]
    history: HomeHistory | None = None
    constant_by_day: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of the night against the training set; shares are of all rows, 0 to 1.

    `unseen_share` counts values that the training set did not have; always 0 for numbers. `drifted`: PSI above the
    limit by more than chance, and so is `psi_beyond_growth`, if the shift can be held against the growth of a young
    home (`models.scoring.growth`); `note` says so. `p_value`: share of equal populations that move as far by chance.
    `only_value`: the one value of all rows that were looked at, or NULL, where the training set has others and chance
    does not explain it; "" otherwise. `constant_by_day`: as in `DriftReference`.
    """

    feature: str
    psi: float
    null_share: float
    null_share_in_training: float
    unseen_share: float
    drifted: bool
    psi_beyond_growth: float | None = None
    note: str = ""
    p_value: float = 1.0
    only_value: str = ""
    constant_by_day: bool = False

    @property
    def judged_psi(self) -> float:
        """The PSI that `drifted` goes by."""
        return self.psi if self.psi_beyond_growth is None or self.drifted else self.psi_beyond_growth


@dataclass(frozen=True)
class DriftReport:
    """Every feature, the most drifted first, and the largest PSI; what growth explains counts as beyond it."""

    features: tuple[FeatureDrift, ...]
    max_psi: float


def drift_reference(
    table: pa.Table, features: Sequence[str], config: DriftConfig, history: HomeHistory | None = None
) -> DriftReference:
    """Summarize a training set. `features` are numeric, boolean or string columns of `table`."""
    text = [name for name in features if pa.types.is_string(table.schema.field(name).type)]
    numeric = [name for name in features if name not in text]
    return DriftReference(
        rows=table.num_rows,
        numeric={name: numeric_reference(table.column(name), config.bins) for name in numeric},
        text={name: _text_reference(table.column(name), config.max_categories) for name in text},
        history=history if history is not None and history.feature in numeric else None,
        constant_by_day=_constant_by_day(table, features),
    )


@dataclass
class _OnlyValue:
    """Least and greatest value of a feature, None or NaN for NULL, and whether any is NULL."""

    least: Any = None
    most: Any = None
    nulls: bool = False
    values: bool = False

    def see(self, least: Any, most: Any, nulls: bool) -> None:
        """Take the extremes of the next rows."""
        self.nulls |= nulls
        if least is None or (isinstance(least, float) and math.isnan(least)):
            return
        self.least = least if not self.values else min(self.least, least)
        self.most = most if not self.values else max(self.most, most)
        self.values = True

    def text(self) -> str:
        """Return the one value; "" if there are several."""
        if not self.values:
            return "NULL" if self.nulls else ""
        if self.nulls or self.least != self.most:
            return ""
        return f"{self.least:g}" if isinstance(self.least, float) else str(self.least)


class DriftMeter:
    """Counts the night's feature rows while they pass by on their way to be scored.

    Of each batch at most `sampled_rows_per_batch` evenly spaced rows are looked at, each standing for as many as there
    are between two of them: the cost per row is then small beside a prediction.

    Args:
        reference: of the training set.
        config: limits.
        day: the day of the rows; with it, a shift that is only the growth of a young home is kept apart from drift.
    """

    def __init__(self, reference: DriftReference, config: DriftConfig, day: date | None = None) -> None:
        self._reference = reference
        self._config = config
        self._sampled = 0
        self._counts: dict[str, NDArray[np.float64]] = {
            name: np.zeros(len(known.shares)) for name, known in (reference.numeric | reference.text).items()
        }
        self._only = {name: _OnlyValue() for name in self._counts}
        self._growth = _growth(reference, day)

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the same batches, each counted as it passes."""
        for batch in batches:
            self._count(batch)
            yield batch

    def report(self) -> DriftReport:
        """Report the drift of everything counted so far from the training set."""
        rows = [self._drift(name) for name in self._counts]
        ranked = tuple(sorted(rows, key=lambda row: (-row.judged_psi, row.feature)))
        return DriftReport(ranked, max((row.judged_psi for row in ranked), default=0.0))

    def _count(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        step = -(-batch.num_rows // self._config.sampled_rows_per_batch) or 1
        positions = pa.array(np.arange(0, batch.num_rows, step))
        weight = batch.num_rows / max(len(positions), 1)
        self._sampled += len(positions)
        found = {name: _values(batch.column(name).take(positions)) for name in self._reference.numeric}
        bins = {name: _bins(found[name], known.edges) for name, known in self._reference.numeric.items()}
        for name, values in found.items():
            self._only[name].see(np.fmin.reduce(values), np.fmax.reduce(values), bool(np.isnan(values).any()))
        for name, counts in bins.items():
            self._counts[name] += weight * np.bincount(counts, minlength=len(self._counts[name]))
        if self._growth is not None:
            self._count_growth(self._growth, found, bins, weight)
        for name, known in self._reference.text.items():
            texts = batch.column(name).take(positions)
            self._counts[name] += weight * _text_counts(texts, known.values)
            least = pc.min_max(texts.cast(pa.string())).as_py()
            self._only[name].see(least["min"], least["max"], texts.null_count > 0)

    def _count_growth(
        self,
        growth: GrowthMeter,
        values: Mapping[str, NDArray[np.float64]],
        bins: Mapping[str, NDArray[np.intp]],
        weight: float,
    ) -> None:
        feature = growth.history.feature
        aged = _bins(growth.aged(values[feature]), self._reference.numeric[feature].edges)
        comparable = growth.count(values[feature], bins[feature], aged, weight)
        own = bins[feature][comparable]
        for name in growth.history.short:
            growth.count_feature(name, own, bins[name][comparable], weight)

    def _drift(self, name: str) -> FeatureDrift:
        known = self._reference.numeric.get(name) or self._reference.text[name]
        counts = self._counts[name]
        shares = counts / max(counts.sum(), 1)
        before = np.asarray(known.shares) * self._reference.rows
        moved = shift(before, shares * self._sampled)
        unseen = float(shares[-2]) if isinstance(known, TextReference) and known.complete else 0.0
        drifted = moved.above(self._config.psi_warn)
        beyond = self._growth.shift(name, before, self._sampled) if self._growth is not None and drifted else None
        explained = beyond is not None and not beyond.above(self._config.psi_warn)
        return FeatureDrift(
            name,
            moved.psi,
            float(shares[-1]),
            known.shares[-1],
            unseen,
            drifted and not explained,
            beyond.psi if beyond is not None else None,
            _note(self._reference.history, beyond) if explained else "",
            moved.p_value,
            self._only_value(name, known),
            name in self._reference.constant_by_day,
        )

    def _only_value(self, name: str, known: NumericReference | TextReference) -> str:
        """The one value of the night; "" where there are several, or chance explains it."""
        if name in self._reference.constant_by_day or not self._sampled:
            return ""
        return self._only[name].text() if max(known.shares) ** self._sampled < _BY_CHANCE else ""


def _note(history: HomeHistory | None, beyond: Shift | None) -> str:
    if history is None or beyond is None:
        return ""
    young = f"home younger than {history.look_back_days} days ({history.days} at the reference)"
    return f"not compared: {young}; PSI beyond its growth {beyond.psi:.2f}"


def _growth(reference: DriftReference, day: date | None) -> GrowthMeter | None:
    history = reference.history
    grown = history.growth_days(day) if history is not None and day is not None else 0
    if history is None or not grown:
        return None
    bins = {name: len(known.shares) for name, known in reference.numeric.items()}
    present = history.model_copy(update={"short": tuple(name for name in history.short if name in bins)})
    return GrowthMeter(present, grown, bins, np.asarray(reference.numeric[history.feature].shares))


def numeric_reference(column: pa.ChunkedArray, bins: int) -> NumericReference:
    """Summarize numbers in bins of about equal numbers of rows."""
    values = _finite(column)
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    # An edge at the largest value would leave an empty bin above it, in which any growth looks like a shift.
    edges = np.unique(np.quantile(values, inner, method="lower")) if len(values) else np.empty(0)
    counts = _numeric_counts(column, tuple(edges.tolist()))
    return NumericReference(edges=tuple(edges.tolist()), shares=_shares(counts))


def _constant_by_day(table: pa.Table, features: Sequence[str]) -> tuple[str, ...]:
    """Features that have one value on some day of at least two."""
    if _MOMENT not in table.column_names or not table.num_rows:
        return ()
    days = np.asarray(table.column(_MOMENT)).astype("datetime64[D]")
    parts = [table.filter(pa.array(days == day)) for day in np.unique(days)]
    if len(parts) < 2:
        return ()
    return tuple(name for name in features if any(len(pc.unique(part.column(name))) == 1 for part in parts))


def _numeric_counts(column: pa.Array | pa.ChunkedArray, edges: tuple[float, ...]) -> NDArray[np.float64]:
    return np.bincount(_bins(_values(column), edges), minlength=len(edges) + 2).astype(np.float64)


def _values(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """Return the values, NaN where NULL."""
    return np.asarray(column.cast(pa.float64()).fill_null(np.nan))


def _bins(values: NDArray[np.float64], edges: tuple[float, ...]) -> NDArray[np.intp]:
    """Return the bin of each value; that of NaN is the last."""
    found = np.searchsorted(np.asarray(edges), values, side="left")
    return np.where(np.isnan(values), len(edges) + 1, found)


def _finite(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    values = _values(column)
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
