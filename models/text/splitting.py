"""Splits of labelled texts: by label, reproducible, and with equal texts on one side."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def text_folds(texts: Sequence[str], labels: Sequence[str], *, k: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, 0 to k - 1, shape `(n,)`: labels spread evenly, equal texts in one fold.

    The order of the rows does not matter: texts of a label are dealt out in the order of their hashes.
    """
    folds = np.empty(len(texts), np.int64)
    for start, (_, rows) in enumerate(sorted(_rows_by_label(labels).items())):
        distinct = sorted({_key(texts[row]) for row in rows}, key=lambda key: _hash(f"{seed}:{key}"))
        fold_of = {key: (start + place) % k for place, key in enumerate(distinct)}
        for row in rows:
            folds[row] = fold_of[_key(texts[row])]
    return _equal_texts_together(texts, folds)


def _rows_by_label(labels: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    return rows


def _equal_texts_together(texts: Sequence[str], folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Let a text with two labels be in the fold of its first row."""
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        folds[row] = first.setdefault(_key(text), int(folds[row]))
    return folds


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
