"""Margins of a few rows by a walk down a booster's trees in numpy, to the same bits as XGBoost.

A call of XGBoost costs 400 to 1,000 us whatever the number of rows, most of it for its own threads and arrays; a walk
costs 20 to 80 us for one row (docs/benchmarks.md). XGBoost adds up leaves in float32, tree after tree, from the base
score on, and so does the walk: requests, the stream and the night give equal scores.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from models.training.model import Matrix, Vector

# xgboost has hardly any static types.
# pyright: basic

#: Rows, and rows times trees, up to which a walk costs less than a call.
MOST_ROWS, _MOST_LEAVES = 32, 5_000
#: Nodes up to which one row is compared with all of them at once, in place of those that it meets.
_MOST_NODES = 10_000
_PROBES = 64


@dataclass(frozen=True, eq=False)
class TreeWalk:
    """All nodes of a booster's trees, one after the other; a leaf is its own child.

    Attributes:
        roots: place of the first node of each tree, shape `(n_trees,)`.
        depth: splits on the longest way to a leaf.
        feature: column that a node compares, shape `(n_nodes,)`.
        value: a row goes left below this; of a leaf, what it adds; float32.
        missing_left: a row without a value goes left.
        children: right and left child of each node, shape `(2 * n_nodes,)`.
        base: margin of a row before the first tree.
    """

    roots: NDArray[np.intp]
    depth: int
    feature: NDArray[np.intp]
    value: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    children: NDArray[np.intp]
    base: np.float32

    @cached_property
    def _flat(self) -> _FlatWalk | None:
        return _FlatWalk.of(self) if len(self.value) <= _MOST_NODES else None

    @classmethod
    def of(cls, booster: xgb.Booster) -> Self | None:
        """Return the walk; None if the booster is of a kind that it cannot walk, or its margins are not the same."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        trees = learner["gradient_booster"].get("model", {}).get("trees", [])
        if not trees or not all(map(_is_plain, trees)) or learner["learner_model_param"]["num_class"] != "0":
            return None
        starts = np.cumsum([0, *(len(tree["left_children"]) for tree in trees)])
        parts = [_nodes(tree, start) for tree, start in zip(trees, starts[:-1].tolist(), strict=True)]
        feature, value, missing_left, children = (np.concatenate(column) for column in zip(*parts, strict=True))
        depth = max(_depth(tree["parents"]) for tree in trees)
        walk = cls(starts[:-1], depth, feature, value, missing_left, children, _base(learner))
        return walk if walk._is_same(booster) else None

    def takes(self, rows: Matrix) -> bool:
        """Return True if a walk costs less than a call of XGBoost for these rows."""
        return len(rows) * len(self.roots) <= _MOST_LEAVES

    def margins(self, rows: Matrix) -> Vector:
        """Return the margin of each row: float32, shape `(n_rows,)`.

        Args:
            rows: float32, shape `(n_rows, n_features)`, NaN where missing.
        """
        if len(rows) == 1:
            return self._margin(rows[0])
        values, width, has_missing = np.ravel(rows), rows.shape[1], bool(np.isnan(rows).any())
        node = np.tile(self.roots, len(rows))
        offset = np.repeat(np.arange(len(rows)) * width, len(self.roots))
        for _ in range(self.depth):
            found = values.take(self.feature.take(node) + offset)
            left = found < self.value.take(node)
            if has_missing:
                left |= np.isnan(found) & self.missing_left.take(node)
            node = self.children.take(2 * node + left)
        terms = np.empty((len(rows), len(self.roots) + 1), np.float32)
        terms[:, 0], terms[:, 1:] = self.base, self.value.take(node).reshape(len(rows), len(self.roots))
        return np.add.accumulate(terms, axis=1)[:, -1]

    def _margin(self, row: Matrix) -> Vector:
        """Return the margin of one row, shape `(1,)`; a third of the cost of the same among others."""
        if self._flat is not None and self._flat.width <= len(row):
            return self._flat.margin(row)
        node, has_missing = self.roots, bool(np.isnan(row).any())
        for _ in range(self.depth):
            found = row.take(self.feature.take(node))
            left = found < self.value.take(node)
            if has_missing:
                left |= np.isnan(found) & self.missing_left.take(node)
            node = self.children.take(2 * node + left)
        terms = np.empty(len(self.roots) + 1, np.float32)
        terms[0], terms[1:] = self.base, self.value.take(node)
        return np.add.accumulate(terms)[-1:]

    def _is_same(self, booster: xgb.Booster) -> bool:
        """Compare with XGBoost on rows at, just below and just above values that nodes compare with."""
        draws, inner = np.random.default_rng(0), self.children[1::2] != np.arange(len(self.value))
        rows = np.full((_PROBES, booster.num_features()), np.nan, np.float32)
        for column in np.unique(self.feature[inner]):
            at = draws.choice(self.value[inner & (self.feature == column)], _PROBES)
            near = [
                at,
                np.nextafter(at, np.float32(-np.inf)),
                np.nextafter(at, np.float32(np.inf)),
                np.full_like(at, np.nan),
            ]
            rows[:, column] = np.choose(draws.integers(0, 4, _PROBES), near)
        expected = booster.inplace_predict(rows, predict_type="margin")
        if expected.shape != (_PROBES,) or not np.array_equal(self.margins(rows), expected):
            return False
        return np.array_equal(np.concatenate([self.margins(rows[at : at + 1]) for at in range(_PROBES)]), expected)


@dataclass(frozen=True, eq=False)
class _FlatWalk:
    """The same nodes for a single row, and one more, a leaf that adds the base score.

    Each node compares by `<`, which is false of a missing value: one that sends it left asks the negated row whether it
    goes right.

    Attributes:
        width: columns that nodes compare.
        roots: the leaf of the base score, then the first node of each tree.
        depth: splits on the longest way to a leaf.
        compared: column that a node compares, of the row and then of the negated row.
        limit: what it compares with.
        below: the next node where that is so.
        others: the next node where it is not.
        value: of a leaf, what it adds.
    """

    width: int
    roots: NDArray[np.intp]
    depth: int
    compared: NDArray[np.intp]
    limit: NDArray[np.float32]
    below: NDArray[np.intp]
    others: NDArray[np.intp]
    value: NDArray[np.float32]

    @classmethod
    def of(cls, walk: TreeWalk) -> Self:
        """Return the nodes of a walk."""
        base = len(walk.value)
        right, left = np.append(walk.children[0::2], base), np.append(walk.children[1::2], base)
        turned, value = np.append(walk.missing_left, False), np.append(walk.value, walk.base)
        width = int(walk.feature.max()) + 1
        return cls(
            width,
            np.concatenate([[base], walk.roots]),
            walk.depth,
            np.append(walk.feature, 0) + width * turned,
            # not below the limit: -x <= -limit, which is -x < what comes after -limit
            np.where(turned, np.nextafter(-value, np.float32(np.inf)), value),
            np.where(turned, right, left),
            np.where(turned, left, right),
            value,
        )

    def margin(self, row: Matrix) -> Vector:
        """Return the margin of one row, shape `(1,)`."""
        both = np.concatenate((row[: self.width], -row[: self.width]))
        following = np.where(both.take(self.compared) < self.limit, self.below, self.others)
        node = self.roots
        for _ in range(self.depth):
            node = following.take(node)
        return np.add.accumulate(self.value.take(node))[-1:]


def _is_plain(tree: dict[str, Any]) -> bool:
    """Return True if each node compares with one number, and each leaf adds one."""
    return not tree["categories_nodes"] and tree["tree_param"].get("size_leaf_vector", "1") in ("0", "1")


def _nodes(tree: dict[str, Any], start: int) -> tuple[NDArray[Any], ...]:
    own = np.arange(len(tree["left_children"])) + start
    left, right = (np.array(tree[side], np.intp) for side in ("left_children", "right_children"))
    is_leaf = left < 0
    children = np.stack([np.where(is_leaf, own, right + start), np.where(is_leaf, own, left + start)], axis=1).ravel()
    feature = np.where(is_leaf, 0, np.array(tree["split_indices"], np.intp))
    missing_left = np.array(tree["default_left"], bool) & ~is_leaf
    return feature, np.array(tree["split_conditions"], np.float32), missing_left, children


def _depth(parents: list[int]) -> int:
    """Return the splits above the deepest node; XGBoost numbers parents before their children."""
    depths = [0] * len(parents)
    for node, parent in enumerate(parents[1:], 1):
        depths[node] = depths[parent] + 1
    return max(depths)


def _base(learner: dict[str, Any]) -> np.float32:
    """Return the base score as a margin, rounded to float32 at each step as XGBoost does."""
    base = np.float32(learner["learner_model_param"]["base_score"].strip("[]"))
    if learner["objective"]["name"] != "binary:logistic":
        return base
    one = np.float32(1)
    return np.float32(-math.log(float(one / base - one)))
