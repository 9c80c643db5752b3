"""Checks of a model by golden rows before it is imported: the same scores, each time, alone or together."""

from __future__ import annotations

import json

import numpy as np

from models.errors import TesseraError
from models.training.calibration import sigmoid
from models.training.model import Matrix, Vector
from resources.legacy_model.importing import GoldenRows, Opened

#: Rows that are kept in the package and scored whenever it is loaded; and that are scored alone at the import.
_KEPT_ROWS, _ALONE_ROWS = 200, 5


def check_golden(opened: Opened) -> None:
    """Check that the model gives the stored scores, and the same ones each time.

    It is closed and asked again, in another order and row by row.

    Raises:
        TesseraError: a score differs from the stored one, or from another answer of the model.
    """
    model, golden, tolerance = opened.model, opened.golden, opened.model.contract.golden.tolerance
    _check_varied(golden)
    matrix = model.golden_matrix(golden.inputs)
    first = model.predict(matrix)
    model.close()
    turned = model.predict(np.ascontiguousarray(matrix[::-1]))[::-1]
    alone = np.concatenate([model.predict(matrix[place : place + 1]) for place in range(_ALONE_ROWS)])
    again = np.concatenate([turned, alone])
    before = np.concatenate([first, first[:_ALONE_ROWS]])
    relative = tolerance if model.contract.output.is_number else 0.0
    if not np.allclose(again, before, rtol=relative, atol=tolerance):
        raise TesseraError(
            f"The model answers differently when it is asked again (by up to {np.abs(again - before).max():.2g}).",
            expected=f"the same score of a row each time, alone or with others, to {tolerance:g}",
            todo="Fix its seed, and take out what depends on other rows, the clock or the process.",
        )
    wrong = np.flatnonzero(~(np.abs(first - golden.scores) <= tolerance + relative * np.abs(golden.scores)))
    if wrong.size:
        raise _unequal(opened, first, wrong[0], wrong.size)


def golden_set(opened: Opened) -> str:
    """Return the golden set as a file of the package: rows, stored scores, tolerance."""
    model, golden = opened.model, opened.golden
    kept = np.unique(np.linspace(0, len(golden.scores) - 1, _KEPT_ROWS).astype(int))
    rows: Matrix = model.golden_matrix(golden.inputs[kept])
    found = {"rows": rows.astype(float).tolist(), "scores": golden.scores[kept].tolist()}
    tolerance = model.contract.golden.tolerance
    relative = {"relative_tolerance": tolerance} if model.contract.output.is_number else {}
    return json.dumps({**found, "tolerance": tolerance, **relative})


def _check_varied(golden: GoldenRows) -> None:
    if np.ptp(golden.scores) == 0:
        raise TesseraError(
            f"All {len(golden.scores)} golden rows have the score {golden.scores[0]:g}.",
            expected="rows of different scores: equal ones would not show exchanged inputs",
            todo="Take rows from all over the population.",
        )


def _unequal(opened: Opened, scores: Vector, place: int, count: int) -> TesseraError:
    golden, tolerance = opened.golden, opened.model.contract.golden.tolerance
    stored = golden.scores
    hint = (
        "Compare order and units of `features` with the model's. A wider `golden.tolerance` is right only if both "
        "computed the same in other precision."
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        before_sigmoid = np.log(scores / (1 - scores))
    for says, turned in (
        ("They are those of the other class: correct `output.column`.", 1 - scores),
        ("They are logits: say `output: {is: log_odds}`.", sigmoid(scores)),
        ("They are probabilities before they are turned: say `output: {is: probability}`.", before_sigmoid),
    ):
        if not opened.model.contract.output.is_number and np.abs(turned - stored).max() <= max(tolerance, 1e-6):
            hint = says
    return TesseraError(
        f"{count} of {len(stored)} golden rows have other scores than stored: {scores[place]:.6g} instead of "
        f"{stored[place]:.6g} in row {place + 1} (largest difference {np.abs(scores - stored).max():.2g}).",
        expected=f"the stored scores to {tolerance:g}",
        todo=hint,
    )
