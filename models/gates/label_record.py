"""Labels of a candidate's rows and the relation of each feature to them: recorded in its package, compared later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.evaluation.metrics import auc
from models.evaluation.mid_ranks import mid_ranks
from models.gates.leakage import correlation_with
from models.training.dataset import Split
from models.training.model import Labels, Matrix

#: File of the model package.
LABEL_RECORD = "labels.json"
#: Rows beyond which the record is made of some of them, evenly spaced.
_MAX_ROWS = 50_000


class LabelRecord(BaseModel):
    """Labels and features of the rows that a model was trained and evaluated on.

    Attributes:
        binary: labels are 0 and 1.
        entities: whose rows they are.
        fewest: entities of the rarer side of the label; of numbers all of them.
        mean: label; of two classes the share of the positive one.
        spread: standard deviation of the labels.
        relations: feature -> relation to the label, -1 to 1: of two classes 2 AUC - 1 (Somers' D), of numbers the rank
            correlation; missing values count as lowest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    binary: bool
    entities: int
    fewest: int
    mean: float
    spread: float
    relations: Mapping[str, float]


def label_record(split: Split) -> LabelRecord:
    """Return the record of all rows of a split, training and hold-out."""
    parts = (split.train, split.holdout)
    rows, labels, groups = (np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS)
    step = -(-labels.size // _MAX_ROWS)
    rows, labels, groups = rows[::step], labels[::step], groups[::step]
    binary = _has_two_classes(labels)
    sides = [np.unique(groups[labels == value]).size for value in np.unique(labels)[:2]]
    everyone = int(np.unique(groups).size)
    return LabelRecord(
        binary=binary,
        entities=everyone,
        fewest=min(sides) if binary else everyone,
        mean=float(labels.mean()),
        spread=float(labels.std()),
        relations=_relations(split.encoder.feature_names, rows, labels),
    )


_ARRAYS = ("rows", "labels", "groups")


def _has_two_classes(labels: Labels) -> bool:
    return bool(np.isin(labels, (0, 1)).all())


def _relations(names: tuple[str, ...], rows: Matrix, labels: Labels) -> dict[str, float]:
    binary, ranks = _has_two_classes(labels), mid_ranks(labels)
    found: dict[str, float] = {}
    for index, name in enumerate(names):
        column = rows[:, index].astype(np.float64)
        lowest = np.where(np.isnan(column), -np.inf, column)
        found[name] = round(2 * auc(labels, lowest) - 1 if binary else correlation_with(ranks, lowest), 6)
    return found


def relation_error(relation: float, record: LabelRecord) -> float:
    """Return an upper bound of a relation's standard error, entities counted once.

    Var(AUC) <= AUC (1 - AUC) / min(m, n) whatever the distributions are (Birnbaum and Klose, 1957); a rank correlation
    of independent values has the variance 1 / (n - 1).
    """
    area = (min(abs(relation), 0.99) + 1) / 2
    return 2 * float(np.sqrt(area * (1 - area) / max(record.fewest, 1)))


def mean_error(record: LabelRecord) -> float:
    """Return the standard error of the mean label, entities counted once."""
    return record.spread / max(record.entities, 1) ** 0.5
