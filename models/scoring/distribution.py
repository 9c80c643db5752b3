"""Distribution of the scores of a day, and its shift against an earlier set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.scoring.audit_checks import Check, Observer, blocking
from models.scoring.config import AuditConfig
from models.scoring.night_numbers import FLOAT_BINS, float_histogram
from models.scoring.output import OutputColumn
from models.scoring.psi import shift

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

#: Equal parts of a bounded range in which scores are counted, and the groups of about equal size that PSI compares.
_FINE, _GROUPS = 1000, 10

#: The check that compares with earlier scores; a person may overrule it.
DISTRIBUTION = "score distribution"


@dataclass(frozen=True)
class EarlierScores:
    """The last published set. `rows`: batches with the score column; read once. `by`: its model, in words."""

    model_package: str
    rows: Iterable[pa.RecordBatch]
    by: str = "another model"


class ScoreChecks(Observer):
    """Scores are not all the same; their mean and histogram."""

    def __init__(self, column: OutputColumn, limits: AuditConfig) -> None:
        self.histogram: NDArray[np.float64] = np.zeros(score_bins(column))
        self._column, self._limits = column, limits
        self._rows = self._valid = 0
        self._sum = 0.0
        self._lowest, self._highest = np.inf, -np.inf

    def observe(self, batch: pa.RecordBatch) -> None:
        """Count the next scores; those out of range are left out."""
        scores = valid_scores(batch, self._column)
        self._rows += batch.num_rows
        self._valid += len(scores)
        if len(scores):
            self._sum += float(scores.sum(dtype=np.float64))
            self._lowest, self._highest = min(self._lowest, scores.min()), max(self._highest, scores.max())
            self.histogram += score_histogram(scores, self._column)

    def checks(self) -> Iterator[Check]:
        """One check, which blocks."""
        varies = self._rows < self._limits.min_rows_to_vary or bool(self._lowest < self._highest)
        yield blocking("scores vary", varies, f"scores from {self._lowest:.4f} to {self._highest:.4f}")

    def metrics(self) -> Mapping[str, float]:
        """The mean, as `mean_<column>`."""
        return {f"mean_{self._column.name}": self._sum / max(self._valid, 1)}


def shifted(
    now: NDArray[np.float64],
    before: NDArray[np.float64],
    earlier: EarlierScores,
    model_package: str,
    limits: AuditConfig,
) -> tuple[float, Check]:
    """PSI of the scores against those before, in groups that hold about a tenth of the earlier set each."""
    middle = (np.cumsum(before) - before / 2) / max(before.sum(), 1)
    _, group = np.unique(np.floor(_GROUPS * middle).clip(0, _GROUPS - 1), return_inverse=True)
    moved = shift(_grouped(group, before), _grouped(group, now))
    same_model = earlier.model_package == model_package
    limit = limits.psi_block if same_model else limits.psi_block_new_model
    by = "the same model" if same_model else earlier.by
    says = f"PSI {moved.psi:.3f} against the last published scores by {by}; "
    says += "never blocked" if limit is None else f"blocked above {limit:g}"
    # Another model spreads the same chances otherwise: only a shift on the way to the limit is worth a word.
    least = limits.psi_warn if same_model else (limit or limits.psi_block) / 2
    blocked, warned = limit is not None and moved.above(limit), moved.above(least)
    return moved.psi, Check(DISTRIBUTION, not warned, "block" if blocked or not warned else "warn", says, compares=True)


def _is_bounded(column: OutputColumn) -> bool:
    return column.at_least is not None and column.at_most is not None


def score_bins(column: OutputColumn) -> int:
    """Return the number of bins in which scores of a column are counted."""
    return _FINE if _is_bounded(column) else FLOAT_BINS


def valid_scores(batch: pa.RecordBatch, column: OutputColumn) -> NDArray[np.float32]:
    """Return the scores that lie in the range of their column."""
    scores = batch.column(column.name).to_numpy(zero_copy_only=False)
    low, high = column.limits
    return scores[(scores >= low) & (scores <= high)]


def score_histogram(scores: NDArray[np.float32], column: OutputColumn) -> NDArray[np.float64]:
    """Return the number of scores in each bin."""
    if _is_bounded(column):
        limits = (float(column.at_least or 0), float(column.at_most or 0))
        return np.histogram(scores, bins=_FINE, range=limits)[0].astype(np.float64)
    return float_histogram(scores)


def _grouped(group: NDArray[np.intp], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(group, counts).astype(np.float64)
