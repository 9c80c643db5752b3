"""Exact contributions of features, turned into words."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.training.model import FittedModel, Matrix


def explain(model: FittedModel, rows: Matrix, feature_names: Sequence[str], *, per_row: int) -> list[list[str]]:
    """For each row what raises its risk, e.g. `recency_days 84 raises the risk`, the largest contribution first.

    The columns of one category (`country=DE`, `country=FR`, ...) are one feature: contributions are additive, so
    theirs are summed. Only features that raise the risk are named: there may be fewer than `per_row`, or none.

    Args:
        model: gives exact contributions; about 2.7 ms a row for 300 trees of depth 6 (600 predictions).
        rows: shape `(n_rows, n_features)`; NaN means missing.
        feature_names: names of the columns, `name` or `name=value`.
        per_row: at most this many.
    """
    if not len(rows):
        return []
    columns = _columns_by_feature(feature_names)
    contributions = model.contributions(rows)
    summed = np.stack([contributions[:, at].sum(axis=1) for at in columns.values()], axis=1)
    order: NDArray[np.intp] = np.argsort(-summed, axis=1, kind="stable")[:, :per_row]
    members = list(columns.values())
    return [
        [_words(members[int(at)], rows[number], feature_names) for at in order[number] if summed[number, at] > 0]
        for number in range(len(rows))
    ]


def _columns_by_feature(feature_names: Sequence[str]) -> dict[str, list[int]]:
    columns: dict[str, list[int]] = {}
    for position, name in enumerate(feature_names):
        columns.setdefault(name.partition("=")[0], []).append(position)
    return columns


def _words(columns: list[int], row: NDArray[np.float32], feature_names: Sequence[str]) -> str:
    feature, category, _ = feature_names[columns[0]].partition("=")
    if not category:
        return f"{feature} {_number(float(row[columns[0]]))} raises the risk"
    hot = [feature_names[at].partition("=")[2] for at in columns if row[at] == 1]
    return f"{feature} {hot[0] if hot else 'other'} raises the risk"


def _number(value: float) -> str:
    if np.isnan(value):
        return "unknown"
    return f"{value:.0f}" if value.is_integer() or abs(value) >= 1000 else f"{value:.3g}"
