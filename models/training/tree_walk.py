"""Margins of a few rows by a walk down a booster's trees in numpy, to the same bits as XGBoost.

A call of XGBoost costs 400 to 1,000 us whatever the number of rows, most of it for its own threads and arrays; a walk
costs 12 to 90 us for one row (30 features, 224 to 400 trees of depth 1 to 6). XGBoost adds up leaves in float32, tree
after tree, from the base score on, and so does the walk: requests, the stream and the night give equal scores.
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
#: Leaves of a tree up to which one row is compared with all nodes at once, in place of those that it meets.
_LEAVES = 8
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
    def _packed(self) -> _PackedWalk | None:
        return _PackedWalk.of(self) if 2**self.depth <= _LEAVES else None

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
        if self._packed is not None and self._packed.width <= len(row):
            return self._packed.margin(row)
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
class _PackedWalk:
    """Trees of at most three splits to a leaf, for a single row: all nodes are compared, a byte of answers per tree.

    Each tree is complete: 7 nodes in the order of a heap, from place 1 on, and 8 leaves; those below a leaf that is
    higher up are equal. The first tree adds the base score. A node compares by `<`, which is false of a missing value:
    one that sends it left asks the negated row whether it goes right.

    Attributes:
        width: columns that nodes compare.
        compared: column that a node compares, of the row and then of the negated row, shape `(8 * n_trees,)`.
        limit: what it compares with, same shape.
        leaves: what leaves add, float32, same shape.
        starts: place of the first leaf of each tree, shape `(n_trees,)`.
    """

    width: int
    compared: NDArray[np.intp]
    limit: NDArray[np.float32]
    leaves: NDArray[np.float32]
    starts: NDArray[np.intp]

    @classmethod
    def of(cls, walk: TreeWalk) -> Self:
        """Return the nodes of a walk."""
        node = np.zeros((len(walk.roots), 2 * _LEAVES), np.intp)
        node[:, 1] = walk.roots
        for place in range(1, _LEAVES):
            at = node[:, place]
            for answer in (0, 1):
                node[:, 2 * place + answer] = walk.children[2 * at + (answer ^ walk.missing_left[at])]
        inner, width = node[:, :_LEAVES], int(walk.feature.max()) + 1
        turned, value = walk.missing_left[inner], walk.value[inner]
        # not below the limit: -x <= -limit, which is -x < what comes after -limit
        limit = np.where(turned, np.nextafter(-value, np.float32(np.inf)), value)
        return cls(
            width,
            np.append(np.zeros(_LEAVES, np.intp), walk.feature[inner] + width * turned),
            np.append(np.zeros(_LEAVES, np.float32), limit),
            np.append(np.full(_LEAVES, walk.base), walk.value[node[:, _LEAVES:]]),
            np.arange(len(walk.roots) + 1) * _LEAVES,
        )

    def margin(self, row: Matrix) -> Vector:
        """Return the margin of one row, shape `(1,)`."""
        both = np.concatenate((row[: self.width], -row[: self.width]))
        leaf = _LEAF_OF.take(np.packbits(both.take(self.compared) < self.limit))
        return np.add.accumulate(self.leaves.take(leaf + self.starts))[-1:]


def _leaf(answers: int) -> int:
    """Return the leaf, 0 to 7, that the answers of a tree's nodes lead to; that of place 1 is the bit of 64."""
    place = 1
    while place < _LEAVES:
        place = 2 * place + (answers >> (_LEAVES - 1 - place) & 1)
    return place - _LEAVES


_LEAF_OF = np.array([_leaf(answers) for answers in range(2**_LEAVES)], np.intp)


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
