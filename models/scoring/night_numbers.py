"""Numbers of the rows of one night, which are compared with those of other nights before anything is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.scoring.audit_checks import Check, Observer
from models.scoring.other_numbers import interval_width, other_numbers
from models.scoring.output import OutputColumn, OutputContract

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Bins of numbers of any range: the upper 16 bits of a float32, so that a bin is at most 1/128 of its value wide.
FLOAT_BINS = 1 << 16
#: Values of a text column whose shares are kept, the most frequent ones.
MAX_VALUES = 40
#: Columns of an interval: its ends, and the prediction between them.
_INTERVAL = 3
_QUANTILES = {"score_p10": 0.1, "score_p50": 0.5, "score_p90": 0.9}


@dataclass(frozen=True)
class PastNight:
    """Numbers of a night that was published, and the package of the model that made it."""

    day: date
    model_package: str
    numbers: Mapping[str, float]


class NightNumbers(Observer):
    """Rows, score distribution, share of each decision and of missing values; memory does not grow with the rows."""

    def __init__(self, contract: OutputContract) -> None:
        self.bins: NDArray[np.float64] = np.zeros(FLOAT_BINS)
        self._score = contract.column(contract.score)
        self._texts = [column for column in contract.payload if column.is_category]
        self._nullable = [column for column in contract.payload if column.nullable]
        self._others = [other_numbers(one) for one in contract.payload if one.name != contract.score]
        self._others += [interval_width(columns) for columns in contract.not_descending if len(columns) >= _INTERVAL]
        self._values: dict[str, Counter[str]] = {column.name: Counter() for column in self._texts}
        self._nulls = dict.fromkeys((column.name for column in self._nullable), 0)
        self.rows = 0

    def observe(self, batch: pa.RecordBatch) -> None:
        """Count the next rows."""
        self.rows += batch.num_rows
        scores = batch.column(self._score.name).to_numpy(zero_copy_only=False)
        self.bins += float_histogram(scores[np.isfinite(scores)])
        for column in self._texts:
            self._values[column.name].update(_counted(batch.column(column.name), column))
        for column in self._nullable:
            self._nulls[column.name] += batch.column(column.name).null_count
        for other in self._others:
            other.observe(batch)

    def checks(self) -> Iterator[Check]:
        """None: numbers are compared where those of other nights are known."""
        yield from ()

    def numbers(self) -> dict[str, float]:
        """Return numbers by name.

        `rows`, `score_*`, `share_<column>_<value>` and `missing_<column>` as shares of all rows, and those of
        `models.scoring.other_numbers`.
        """
        found: dict[str, float] = {"rows": float(self.rows), **_of_scores(self.bins)}
        for name, counted in self._values.items():
            found |= {f"share_{name}_{value}": n / self.rows for value, n in counted.most_common(MAX_VALUES)}
        for other in self._others:
            found |= other.numbers()
        return found | {f"missing_{name}": count / max(self.rows, 1) for name, count in self._nulls.items()}


def float_histogram(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the number of values in each of the `FLOAT_BINS`, which ascend as the values do."""
    bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return np.bincount(ordered >> 16, minlength=FLOAT_BINS).astype(np.float64)


def bin_values(bins: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the middle of each bin."""
    ordered = (bins.astype(np.uint32) << 16) | np.uint32(1 << 15)
    bits = np.where(ordered >> 31, ordered & np.uint32(0x7FFFFFFF), ~ordered)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def shares_of(numbers: Mapping[str, float], column: str) -> dict[str, float]:
    """Return value -> share of a column, as `NightNumbers.numbers` names them."""
    start = f"share_{column}_"
    return {name.removeprefix(start): value for name, value in numbers.items() if name.startswith(start)}


def _of_scores(bins: NDArray[np.float64]) -> dict[str, float]:
    used = np.flatnonzero(bins)
    if not used.size:
        return {}
    counts, values = bins[used], bin_values(used)
    place = np.cumsum(counts) / counts.sum()
    return {
        "score_mean": (mean := float(counts @ values / counts.sum())),
        "score_spread": float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum())),
        "score_most_frequent": float(counts.max() / counts.sum()),
        "score_distinct": float(used.size),
        **{name: float(values[np.searchsorted(place, at)]) for name, at in _QUANTILES.items()},
    }


def _counted(values: pa.Array, column: OutputColumn) -> dict[str, int]:
    texts = values.cast(pa.string()) if column.type == "bool" else values
    found = pc.value_counts(texts.drop_null())
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
