"""The golden set of a model package: rows with the scores that the model gave when it was trained.

A package that was read back may become champion only if it still gives these scores.
"""

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np

from models.errors import TesseraError
from models.training.model import FittedModel, Matrix, explains
from models.training.model_package import LoadedModel, load

#: File of the model package, and the number of its rows.
GOLDEN = "golden.json"
GOLDEN_ROWS = 50
_TOLERANCE = 1e-6
#: Rows whose contributions are asked for: about 3 ms each.
_EXPLAINED_ROWS = 2


def golden_text(model: FittedModel, rows: Matrix) -> str:
    """Return the golden set of `model` as a file of its package: the first rows of `rows` with their scores."""
    first = rows[:GOLDEN_ROWS]
    return json.dumps({"rows": first.astype(float).tolist(), "scores": model.predict(first).tolist()})


def verified_package(folder: Path, trusted: Collection[str] = ()) -> tuple[LoadedModel, int]:
    """Return the model in `folder`, and the number of golden rows that it scores exactly as when it was trained.

    A model that says that it gives contributions must give those of its golden rows.

    `trusted`: packages of third parties whose loaders may run.

    Raises:
        TesseraError: it cannot be loaded, for whatever reason, has no golden set, or any score differs, or
            contributions fail.
    """
    try:
        loaded = load(folder, trusted=trusted)
        rows = golden_rows(loaded)
        _require_contributions(loaded, rows[:_EXPLAINED_ROWS])
        return loaded, len(rows)
    except TesseraError:
        raise
    except Exception as error:  # a broken file, or a third party's model, can fail in any way
        raise TesseraError(
            f"The model package {folder} cannot be used: {type(error).__name__}: {error}.",
            expected="a package that loads and scores its golden set",
            todo="Make an earlier version champion with `tessera rollback`, or train again.",
        ) from error


def golden_rows(loaded: LoadedModel) -> Matrix:
    """Return the golden rows, all of which the model scores exactly as it did when it was trained.

    Raises:
        TesseraError: there is no golden set, or any score differs.
    """
    if GOLDEN not in loaded.extras:
        raise TesseraError(
            f"The model package has no golden set ({GOLDEN}).",
            expected="rows with the scores that the model gave when it was trained",
            todo="Train again; packages are made by `tessera run churn_training` and `fraud_training`.",
        )
    golden = json.loads(loaded.extras[GOLDEN])
    rows, wanted = np.array(golden["rows"], dtype=np.float32), np.array(golden["scores"], dtype=np.float64)
    scores, tolerance = loaded.model.predict(rows), float(golden.get("tolerance", _TOLERANCE))
    allowed = tolerance + float(golden.get("relative_tolerance", 0)) * np.abs(wanted)
    if not (len(rows) and scores.shape == wanted.shape and (np.abs(scores - wanted) <= allowed).all()):
        worst = f"by up to {np.abs(scores - wanted).max():.2g}" if scores.shape == wanted.shape and len(rows) else "all"
        raise TesseraError(
            f"The model scores its golden set differently than when it was trained ({worst}).",
            expected=f"the same scores to {tolerance:g}",
            todo="Compare the library versions in its manifest.json with those installed; train again.",
        )
    return rows


def _require_contributions(loaded: LoadedModel, rows: Matrix) -> None:
    """Refuse a model without contributions that does not say so: the night would fail when it gives reasons.

    Raises:
        TesseraError: they are of another shape than the rows. What the model raises is passed on.
    """
    if not explains(loaded.model):
        return
    found = np.shape(loaded.model.contributions(rows))
    if found != rows.shape:
        raise TesseraError(
            f"The model gives contributions of shape {found} for rows of shape {rows.shape}.",
            expected="a contribution of each feature of each row",
            todo="Correct `contributions` of its class, or set `explains = False` there.",
        )
