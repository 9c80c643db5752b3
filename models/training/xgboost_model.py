"""Gradient-boosted trees by XGBoost's native booster."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from models.errors import TesseraError
from models.training.calibration import Platt, fit_platt
from models.training.cross_validation import grouped_folds
from models.training.model import Fit, Groups, Labels, Matrix, Vector
from models.training.tree_walk import MOST_ROWS, TreeWalk
from models.training.ubj_files import is_whole

# xgboost has hardly any static types.
# pyright: basic

BOOSTER_FILE = "model.ubj"

T = TypeVar("T")


@dataclass(frozen=True)
class Boosting:
    """Length of boosting. `max_rounds` trees at most; stop when `patience` rounds brought no lower log loss.

    With `rounds` given, exactly that many: the folds choose nothing, they only calibrate.
    """

    max_rounds: int
    patience: int
    folds: int
    seed: int
    rounds: int | None = None


class XGBoostModel:
    """A calibrated booster. Prediction reads the float32 rows in place, without a DMatrix; few rows walk the trees."""

    kind = "xgboost"

    def __init__(self, booster: xgb.Booster, platt: Platt) -> None:
        self._booster = booster
        self._platt = platt

    def raw(self, rows: Matrix) -> Vector:
        """Log-odds before calibration, shape `(n_rows,)`."""
        walk = self._walk if len(rows) <= MOST_ROWS else None
        if walk is not None and walk.takes(rows):
            return walk.margins(rows).astype(np.float64)
        return self._booster.inplace_predict(rows, predict_type="margin").astype(np.float64)

    @cached_property
    def _walk(self) -> TreeWalk | None:
        return TreeWalk.of(self._booster)

    def predict(self, rows: Matrix) -> Vector:
        """Calibrated probability of the positive class, shape `(n_rows,)`."""
        return self._platt(self.raw(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        """Exact TreeSHAP values, shape `(n_rows, n_features)`; about 600 times the cost of a prediction."""
        # One thread to copy the rows: by default all wake for it, which takes 15 ms even of a single row.
        return self._booster.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True)[:, :-1]

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Return the calibration (JSON), after the booster is saved in `folder` as UBJ."""
        self._booster.save_model(folder / BOOSTER_FILE)
        return {"slope": self._platt.slope, "intercept": self._platt.intercept}

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any], *, threads: int = 1) -> "XGBoostModel":
        """Return the model that `save` described. UBJ holds numbers only: reading it runs no code.

        Raises:
            TesseraError: the file is no XGBoost model.
        """
        booster = read_booster(folder, threads=threads)
        return cls(booster, Platt(float(saved["slope"]), float(saved["intercept"])))


def read_booster(folder: Path, *, threads: int = 1) -> xgb.Booster:
    """Return the booster in the folder of a package.

    Raises:
        TesseraError: the file is no XGBoost model.
    """
    file = folder / BOOSTER_FILE
    if not is_whole(file):
        raise _no_model(file)
    try:
        booster = xgb.Booster(model_file=file)
    except ValueError as error:  # XGBoostError is one; decoding its own message may be another
        raise _no_model(file) from error
    booster.set_param({"nthread": threads})
    return booster


def _no_model(file: Path) -> TesseraError:
    return TesseraError(
        f"{file} is no XGBoost model.",
        expected="a whole booster in UBJ format",
        todo="Make an earlier version champion with `tessera rollback`, or train again.",
    )


def fit_xgboost(
    rows: Matrix,
    labels: Labels,
    groups: Groups,
    *,
    parameters: Mapping[str, Any],
    boosting: Boosting,
) -> Fit:
    """Return a booster on all rows, with as many rounds as the folds agree on, calibrated on their out-of-fold scores.

    Args:
        rows: float32, shape `(n, n_features)`, NaN where missing.
        labels: 0 or 1, shape `(n,)`.
        groups: entity of each row.
        parameters: XGBoost's own, as it spells them.
        boosting: rounds, patience, folds and seed.
    """
    folds = grouped_folds(labels, groups, k=boosting.folds, seed=boosting.seed)
    booster_parameters = {**parameters, "seed": boosting.seed}
    rounds, raw = cross_validate(rows, labels, folds, booster_parameters, boosting)
    train = xgb.QuantileDMatrix(rows, labels, max_bin=parameters["max_bin"], nthread=parameters["nthread"])
    booster = xgb.train(booster_parameters, train, num_boost_round=rounds)
    platt = fit_platt(raw, labels)
    return Fit(XGBoostModel(booster, platt), platt(raw), folds, {"rounds": str(rounds)})


def cross_validate(
    rows: Matrix, labels: Labels, folds: NDArray[np.int64], parameters: Mapping[str, Any], boosting: Boosting
) -> tuple[int, Vector]:
    """Return number of rounds with the lowest mean loss (or as given), and the out-of-fold margins at that round.

    All folds boost in step, so that one number of rounds is chosen for all and no fold stops at its own lucky round.
    Each has a thread of its own: it uses a core that is free, and its draws of rows depend on no other fold, since
    XGBoost's generator belongs to the thread (`common::GlobalRandom`).
    """
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(boosting.folds)]

        def each(work: Callable[[int], T]) -> list[T]:
            return [one.result() for one in [thread.submit(work, k) for k, thread in enumerate(threads)]]

        # A seed of its own for each: with one for all, the noise of their draws would not average out.
        runs = each(lambda k: _FoldRun(rows, labels, folds == k, {**parameters, "seed": boosting.seed + k}))
        if boosting.rounds is None:
            best_round = _chosen_round(lambda number: each(lambda k: runs[k].boost(number)), boosting)
        else:
            best_round = boosting.rounds - 1
            each(lambda k: [runs[k].update(number) for number in range(best_round + 1)])
        margins = each(lambda k: runs[k].raw_at(rows, best_round))
    raw = np.empty(labels.size, dtype=np.float64)
    for run, margin in zip(runs, margins, strict=True):
        raw[run.held_out] = margin
    return best_round + 1, raw


def _chosen_round(losses: Callable[[int], list[float]], boosting: Boosting) -> int:
    best_loss, best_round = np.inf, 0
    for number in range(boosting.max_rounds):
        loss = float(np.mean(losses(number)))
        if loss < best_loss:
            best_loss, best_round = loss, number
        elif number - best_round >= boosting.patience:
            break
    return best_round


class _FoldRun:
    """A booster trained on all folds but one, and the log loss on that one after each round."""

    def __init__(
        self, rows: Matrix, labels: Labels, held_out: NDArray[np.bool_], parameters: Mapping[str, Any]
    ) -> None:
        self.held_out = held_out
        bins, threads = parameters["max_bin"], parameters["nthread"]
        self._train = xgb.QuantileDMatrix(rows[~held_out], labels[~held_out], max_bin=bins, nthread=threads)
        # a plain DMatrix: each round's evaluation costs a fifth of that of a QuantileDMatrix
        self._test = xgb.DMatrix(rows[held_out], labels[held_out], nthread=threads)
        self._booster = xgb.Booster(dict(parameters), cache=[self._train, self._test])

    def boost(self, number: int) -> float:
        self.update(number)
        return float(self._booster.eval(self._test, iteration=number).rsplit(":", 1)[1])

    def update(self, number: int) -> None:
        self._booster.update(self._train, number)

    def raw_at(self, rows: Matrix, number: int) -> Vector:
        return self._booster.inplace_predict(
            rows[self.held_out], iteration_range=(0, number + 1), predict_type="margin"
        )
