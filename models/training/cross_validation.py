"""Folds that keep all rows of an entity together."""

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.training.model import Groups, Labels


def grouped_folds(labels: Labels, groups: Groups, *, k: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, `0..k-1`: rows of a group share a fold, folds have nearly equal numbers of groups.

    Groups are dealt out by their number of positive rows, so that folds also have nearly equal shares of positives.

    Raises:
        TesseraError: one class is missing, or there are fewer than `k` groups of either class.
    """
    _check_classes(labels, groups, k)
    return _dealt(groups, labels, k, seed)


def dealt_groups(groups: Groups, *, k: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, `0..k-1`, for labels of any kind: rows of a group share a fold.

    Raises:
        TesseraError: there are fewer than `k` groups.
    """
    found = np.unique(groups).size
    if found < k:
        raise _too_few(f"Training rows hold {found} entities.", k)
    return _dealt(groups, np.zeros(groups.size), k, seed)


def _dealt(groups: Groups, labels: Labels, k: int, seed: int) -> NDArray[np.int64]:
    """Deal groups out by the sum of their labels, at random among equal ones."""
    codes, inverse = np.unique(groups, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(codes.size), np.bincount(inverse, weights=labels)))
    fold_of_group = np.empty(codes.size, dtype=np.int64)
    fold_of_group[order] = np.arange(codes.size) % k
    return fold_of_group[inverse]


def _check_classes(labels: Labels, groups: Groups, k: int) -> None:
    for value, name in ((1, "positive"), (0, "negative")):
        found = np.unique(groups[labels == value]).size
        if found < k:
            raise _too_few(f"Training rows hold {found} entities with a {name} label.", k)


def _too_few(what: str, k: int) -> TesseraError:
    return TesseraError(
        what,
        expected=f"at least {k}, one for each cross-validation fold",
        todo="Give it more history: an earlier first day, more training cut-offs, or more customers.",
    )
