"""Training rows as the trainers want them, and their division by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import TesseraError
from models.training.encoding import Encoder, positions
from models.training.model import Groups, Labels, Matrix

# pyarrow has no static types.
# pyright: basic

ENTITY = "customer_id"
MOMENT = "event_timestamp"
LABEL = "churned"
_MISSING = "(missing)"
_OTHER = "(other)"


@dataclass(frozen=True)
class Dataset:
    """Rows of one side of a split; every array has one entry per row.

    Attributes:
        rows: float32, shape `(n, n_features)`, NaN where missing.
        labels: of the task's type: 1 for the positive class, else 0; or numbers.
        groups: number of the entity; the same number means the same entity on both sides of the split.
        entity_ids: the entity's key.
        cutoffs: the moment up to which the features know, UTC.
        slices: name of a division -> the part that each row belongs to.
    """

    rows: Matrix
    labels: Labels
    groups: Groups
    entity_ids: NDArray[np.object_]
    cutoffs: NDArray[np.datetime64]
    slices: Mapping[str, NDArray[np.object_]]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Split:
    """Training rows whose labels were all known when the hold-out's features were taken.

    Attributes:
        train: rows to learn from.
        holdout: rows of the hold-out cut-offs, which no model was trained on.
        holdout_table: the same hold-out rows as a table in the same order, for models with other features.
        encoder: fitted on the training rows.
        label_end: last day that any training label looked at.
        train_cutoffs: days of the training cut-offs, ascending.
        dropped: rows that belong to neither side, because their labels reach beyond the hold-out's cut-off.
    """

    train: Dataset
    holdout: Dataset
    holdout_table: pa.Table
    encoder: Encoder
    label_end: date
    train_cutoffs: tuple[date, ...]
    dropped: int


def split(
    table: pa.Table,
    *,
    features: Sequence[str],
    holdout: date,
    horizon_days: int,
    slice_by: Sequence[str] = (),
    label: str = LABEL,
    label_type: type[np.generic] = np.int8,
    entity: str = ENTITY,
    key: str | None = None,
) -> Split:
    """Return a division by time: rows cut off from `holdout` on against rows whose label window had ended by then.

    Rows are put into the order of time and key first, so their order in `table` changes nothing.

    Args:
        table: `entity`, `event_timestamp` (UTC), `label`, `key` and all of `features`.
        features: columns to learn from, numbers and strings.
        holdout: (first) day of the hold-out's cut-offs.
        horizon_days: days after a cut-off that its labels look at.
        slice_by: columns whose parts the gate compares; numbers are divided at the terciles of the training rows.
        label: column of the labels.
        label_type: of the task (`models.tasks`).
        entity: column of the entity whose rows stay together.
        key: column that tells rows of one moment apart; None: the entity.

    Raises:
        TesseraError: no row is cut off on `holdout`, no row is old enough to learn from, or a value is infinite.
    """
    ordered = table.sort_by([(MOMENT, "ascending"), (key or entity, "ascending")])
    days = _days(ordered)
    train_mask = days <= np.datetime64(holdout - timedelta(days=horizon_days))
    holdout_mask = days >= np.datetime64(holdout)
    if not train_mask.any() or not holdout_mask.any():
        raise _nothing(days, holdout, horizon_days)
    train_table, holdout_table = ordered.filter(pa.array(train_mask)), ordered.filter(pa.array(holdout_mask))
    encoder = Encoder.fit(train_table, features)
    parts = {name: _Parts.learn(train_table.column(name)) for name in slice_by}
    groups = _group_numbers(ordered, entity)
    columns = _Columns(entity, label, label_type)
    last = days[train_mask].max().astype(date)
    return Split(
        train=_dataset(train_table, encoder, groups[train_mask], parts, columns),
        holdout=_dataset(holdout_table, encoder, groups[holdout_mask], parts, columns),
        holdout_table=holdout_table,
        encoder=encoder,
        label_end=last + timedelta(days=horizon_days),
        train_cutoffs=tuple(np.unique(days[train_mask]).astype(date).tolist()),
        dropped=int((~train_mask & ~holdout_mask).sum()),
    )


@dataclass(frozen=True)
class Whole:
    """Every row whose label is known: what the evaluated settings are refit on.

    Attributes:
        train: the rows.
        encoder: fitted on them.
        label_end: last day that any of their labels looked at.
        cutoffs: days of their cut-offs, ascending.
    """

    train: Dataset
    encoder: Encoder
    label_end: date
    cutoffs: tuple[date, ...]


def whole(
    table: pa.Table,
    *,
    features: Sequence[str],
    horizon_days: int,
    label: str = LABEL,
    label_type: type[np.generic] = np.int8,
    entity: str = ENTITY,
    key: str | None = None,
) -> Whole:
    """All rows of `table` as one side; columns and order as in `split`.

    Raises:
        TesseraError: a value is infinite.
    """
    ordered = table.sort_by([(MOMENT, "ascending"), (key or entity, "ascending")])
    encoder = Encoder.fit(ordered, features)
    cutoffs = tuple(np.unique(_days(ordered)).astype(date).tolist())
    train = _dataset(ordered, encoder, _group_numbers(ordered, entity), {}, _Columns(entity, label, label_type))
    return Whole(train, encoder, cutoffs[-1] + timedelta(days=horizon_days), cutoffs)


@dataclass(frozen=True)
class _Parts:
    """Division of rows by one column: by its most frequent texts, or by terciles."""

    texts: tuple[str, ...]
    edges: tuple[float, ...]

    @classmethod
    def learn(cls, column: pa.ChunkedArray) -> _Parts:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            encoder = Encoder.fit(pa.table({"x": column}), ["x"])
            return cls(encoder.categories["x"], ())
        known = column.drop_null().to_numpy().astype(np.float64)
        known = known[~np.isnan(known)]
        edges = np.quantile(known, [1 / 3, 2 / 3], method="lower") if known.size else np.empty(0)
        return cls((), tuple(np.unique(edges).tolist()))

    def of(self, column: pa.ChunkedArray) -> NDArray[np.object_]:
        """Return the part of each row, as people read it."""
        if self.texts:
            names = [*self.texts, _OTHER, _MISSING]
            codes = pc.fill_null(positions(column, self.texts), len(self.texts))
            numbers = np.where(column.is_null().to_numpy(), len(self.texts) + 1, codes.to_numpy())
        else:
            names = [*self._bands(), _MISSING]
            values = column.cast(pa.float64()).to_numpy()
            numbers = np.where(np.isnan(values), len(self.edges) + 1, np.searchsorted(self.edges, values, side="left"))
        return np.array(names, dtype=object)[numbers]

    def _bands(self) -> list[str]:
        if not self.edges:
            return ["any"]
        low = [f"<= {self.edges[0]:g}"]
        middle = [f"{a:g} to {b:g}" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return [*low, *middle, f"> {self.edges[-1]:g}"]


@dataclass(frozen=True)
class _Columns:
    """Columns that are not features."""

    entity: str
    label: str
    label_type: type[np.generic]

    def labels(self, table: pa.Table) -> Labels:
        column = table.column(self.label)
        return column.cast(pa.from_numpy_dtype(self.label_type)).to_numpy()


def _dataset(
    table: pa.Table, encoder: Encoder, groups: Groups, parts: Mapping[str, _Parts], columns: _Columns
) -> Dataset:
    rows = encoder.matrix(table)
    _check_finite(rows, encoder)
    return Dataset(
        rows=rows,
        labels=columns.labels(table),
        groups=groups,
        entity_ids=np.asarray(table.column(columns.entity).to_numpy(), dtype=object),
        cutoffs=_moments(table),
        slices={name: part.of(table.column(name)) for name, part in parts.items()},
    )


def _moments(table: pa.Table) -> NDArray[np.datetime64]:
    return table.column(MOMENT).cast(pa.timestamp("us", "UTC")).to_numpy().astype("datetime64[us]")


def _days(table: pa.Table) -> NDArray[np.datetime64]:
    return _moments(table).astype("datetime64[D]")


def _group_numbers(table: pa.Table, entity: str) -> Groups:
    encoded = table.column(entity).combine_chunks().dictionary_encode()
    indices: Any = encoded.indices if isinstance(encoded, pa.DictionaryArray) else encoded.combine_chunks().indices
    return indices.to_numpy().astype(np.int64)


def _check_finite(rows: Matrix, encoder: Encoder) -> None:
    infinite = np.isinf(rows).any(axis=0)
    if infinite.any():
        name = encoder.feature_names[int(np.flatnonzero(infinite)[0])]
        raise TesseraError(
            f"The feature {name!r} is infinite, or beyond the range of float32, in some row.",
            expected="finite numbers, or NULL",
            todo="Guard the division or the exponent where the feature is defined, in models/features/.",
        )


def _nothing(days: NDArray[np.datetime64], holdout: date, horizon_days: int) -> TesseraError:
    span = f"{days.min()} to {days.max()}" if days.size else "no day at all"
    return TesseraError(
        f"Training rows are cut off on {span}; the hold-out is {holdout}, its labels take {horizon_days} days.",
        expected=f"rows on {holdout}, and rows on or before {holdout - timedelta(days=horizon_days)}",
        todo="Ingest more history, or shorten `horizon_days` or `min_history_days` in stack.yaml.",
    )
