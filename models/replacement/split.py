"""Two models over one pass of feature rows: both score every row, and a hash says whose score is published."""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow ships no types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.errors import TesseraError
from models.experiments.assignment import Assignment
from models.scoring.batch import Predict, Scorer
from models.scoring.output import OutputContract
from models.training.encoding import Encoder
from models.training.model import FittedModel, Matrix, explains
from models.training.model_package import LoadedModel

#: Columns that a split adds to the predictions of a row: both answers, and whether the challenger's is published.
INCUMBENT, CHALLENGER, ASSIGNED = "incumbent_score", "challenger_score", "by_challenger"
_MINE, _OTHER = "challenger", "incumbent"


class ChallengerFailed(TesseraError):
    """The challenger gave no scores; the incumbent can score alone."""


@dataclass(frozen=True)
class SplitRule:
    """Entities that the challenger scores: a stable share of those of a segment.

    Attributes:
        salt: of the hash; the same entity keeps its model as the share rises.
        share: 0 to 1.
        entity: column that is hashed.
        segment: `feature=value`; "": all.
    """

    salt: str
    share: float
    entity: str
    segment: str = ""

    def assigned(self, rows: pa.RecordBatch | pa.Table) -> NDArray[np.bool_]:
        """Return True for each row that the challenger scores."""
        if self.share <= 0:
            return np.zeros(rows.num_rows, bool)
        inside = self._inside(rows)
        if self.share >= 1:
            return inside
        dealt = Assignment(self.salt, {_MINE: self.share, _OTHER: 1 - self.share})
        found = dealt.column(rows.column(self.entity).cast(pa.string()))
        return inside & pc.equal(found.cast(pa.string()), _MINE).to_numpy(zero_copy_only=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it looks at."""
        return (self.entity, *([self.segment.partition("=")[0]] if self.segment else []))

    def _inside(self, rows: pa.RecordBatch | pa.Table) -> NDArray[np.bool_]:
        if not self.segment:
            return np.ones(rows.num_rows, bool)
        name, _, value = self.segment.partition("=")
        same = pc.equal(rows.column(name).cast(pa.string()), value)
        return np.asarray(pc.fill_null(same, False).to_numpy(zero_copy_only=False), bool)


class SplitEncoder:
    """Columns of the incumbent, then those of the challenger, then 1 where the challenger's score is published."""

    def __init__(self, incumbent: Encoder, challenger: Encoder, rule: SplitRule) -> None:
        self._incumbent, self._challenger, self._rule = incumbent, challenger, rule
        self.width = len(incumbent.feature_names)
        self.feature_names = (*incumbent.feature_names, *challenger.feature_names, ASSIGNED)
        self.numeric = tuple(dict.fromkeys([*incumbent.numeric, *challenger.numeric, *rule.columns[1:]]))
        self.categories = {**incumbent.categories, **challenger.categories}

    def transform(self, rows: pa.RecordBatch | pa.Table, out: Matrix) -> int:
        """Return the number of rows, written to `out[:n]`."""
        n = rows.num_rows
        self._incumbent.transform(rows, out[:, : self.width])
        self._challenger.transform(rows, out[:, self.width : -1])
        out[:n, -1] = self._rule.assigned(rows)
        return n


class SplitModel:
    """Reasons of a row come from the model whose score is published."""

    kind = "split"

    def __init__(self, incumbent: FittedModel, challenger: FittedModel, width: int) -> None:
        self._models, self._width = (incumbent, challenger), width
        self.explains = explains(incumbent) or explains(challenger)

    def contributions(self, rows: Matrix) -> Matrix:
        """Return contributions in the columns of each row's model, 0 in all others."""
        out = np.zeros(rows.shape, np.float32)
        taken = rows[:, -1] > 0
        parts = (slice(0, self._width), slice(self._width, rows.shape[1] - 1))
        for model, part, mine in zip(self._models, parts, (~taken, taken), strict=True):
            if mine.any() and explains(model):
                out[mine, part] = model.contributions(np.ascontiguousarray(rows[mine, part]))
        return out


@dataclass(frozen=True)
class SplitScorer(Scorer):
    """A scorer whose rows are of two versions. `other`: version, package and feature version of the challenger."""

    other: tuple[str, str, str] = ("", "", "")

    @property
    def beside(self) -> frozenset[str]:
        """Keep both answers, and whose is published."""
        return frozenset({INCUMBENT, CHALLENGER, ASSIGNED})

    def versions(self, known: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
        """Return the version columns of rows with these predictions."""
        mine = super().versions(known, rows)
        names = ("model_version", "model_package", "feature_version")
        theirs = {name: pa.repeat(value, rows) for name, value in zip(names, self.other, strict=True)}
        return {name: pc.if_else(known[ASSIGNED], theirs[name], mine[name]) for name in names}


@dataclass(frozen=True)
class Side:
    """One of the two models: as loaded, and how its predictions are made."""

    version: str
    loaded: LoadedModel
    predict: Predict

    @property
    def versions(self) -> tuple[str, str, str]:
        """Return version, package and feature version."""
        return self.version, self.loaded.sha256, self.loaded.card.feature_version


def split_scorer(incumbent: Side, challenger: Side, rule: SplitRule, contract: OutputContract) -> SplitScorer:
    """Return the scorer of both models."""
    encoder = SplitEncoder(incumbent.loaded.encoder, challenger.loaded.encoder, rule)
    predict = _both(incumbent.predict, challenger.predict, encoder.width, contract.score)
    made: Any = encoder
    return SplitScorer(predict, made, *incumbent.versions, contract, challenger.versions)


def split_model(incumbent: Side, challenger: Side, scorer: SplitScorer) -> LoadedModel:
    """Return what a decision rule looks at: the model of reasons over the columns of both."""
    encoder = cast(SplitEncoder, scorer.encoder)
    first = incumbent.loaded
    model: Any = SplitModel(first.model, challenger.loaded.model, encoder.width)
    return LoadedModel(model, scorer.encoder, first.card, first.extras, first.sha256, first.size_bytes)


def _both(incumbent: Predict, challenger: Predict, width: int, score: str) -> Predict:
    def predict(matrix: Matrix) -> dict[str, Any]:
        mine = incumbent(np.ascontiguousarray(matrix[:, :width]))
        theirs = _asked(lambda: challenger(np.ascontiguousarray(matrix[:, width:-1])))
        taken = matrix[:, -1] > 0
        answers = {INCUMBENT: np.asarray(mine[score]), CHALLENGER: np.asarray(theirs[score])}
        published = {name: np.where(taken, theirs[name], values) for name, values in mine.items()}
        return {**published, **answers, ASSIGNED: taken}

    return predict


def _asked(work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return work()
    except TesseraError as error:
        raise ChallengerFailed(error.what, expected=error.expected, todo=error.todo) from error
