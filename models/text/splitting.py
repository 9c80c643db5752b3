"""Splits of labelled texts: by label, reproducible, and with equal texts on one side."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def text_folds(texts: Sequence[str], labels: Sequence[str], *, k: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, 0 to k - 1, shape `(n,)`: labels spread evenly, equal texts in one fold.

    The order of the rows does not matter: texts of a label are dealt out in the order of their hashes, each to a fold
    that has fewest of the label. A text of several labels keeps the fold that the first of them gave it.
    """
    keys = [_key(text) for text in texts]
    fold_of: dict[str, int] = {}
    for start, (_, rows) in enumerate(sorted(_rows_by_label(labels).items())):
        distinct = sorted({keys[row] for row in rows}, key=lambda key: _hash(f"{seed}:{key}"))
        held = Counter(fold_of[key] for key in distinct if key in fold_of)
        for key in distinct:
            if key not in fold_of:
                fold_of[key] = min(range(k), key=lambda fold: (held[fold], (fold - start) % k))
                held[fold_of[key]] += 1
    return np.array([fold_of[key] for key in keys], np.int64)


def _rows_by_label(labels: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    return rows


def _key(text: str) -> str:
    return " ".join(text.casefold().split())


def _hash(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest()
