"""XGBoost."""

import importlib.metadata
from collections.abc import Mapping
from copy import copy
from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field

from models.training.columns import UNKNOWN, Columns
from models.training.model import Fit, Groups, Labels, Matrix
from resources.health import Health
from resources.stack.recipes import recipe_of
from resources.trainer.port import Trainer


class XGBoostTrainerConfig(dg.Config):
    """Shallow boosted trees by XGBoost.

    Every parameter whose default changed between XGBoost 1 and 3 (`tree_method`, `base_score`) is pinned here; left
    open, an upgrade moved the average precision of one and the same data from 0.64 to 0.56.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["xgboost"] = "xgboost"
    max_depth: int = Field(default=3, ge=1, le=12, description="Depth of a tree.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Share of each tree that is added.")
    max_rounds: int = Field(
        default=400, ge=1, description="Largest number of trees; cross-validation chooses how many."
    )
    patience: int = Field(default=25, ge=1, description="Rounds without a lower log loss before boosting stops.")
    min_child_weight: float = Field(default=5.0, ge=0, description="Least sum of hessians in a leaf.")
    l2: float = Field(default=1.0, ge=0, description="L2 penalty of leaf values (`lambda`).")
    l1: float = Field(default=0.0, ge=0, description="L1 penalty of leaf values (`alpha`).")
    min_split_loss: float = Field(default=0.0, ge=0, description="Least gain of a split (`gamma`).")
    row_share: float = Field(
        default=0.8, gt=0, le=1, description="Share of the rows drawn for each tree (`subsample`)."
    )
    feature_share: float = Field(
        default=0.8, gt=0, le=1, description="Share of the features drawn for each tree (`colsample_bytree`)."
    )
    max_bin: int = Field(default=256, ge=2, description="Histogram bins per feature.")
    monotone: bool = Field(
        default=False,
        description="Let predictions move with a feature only in the direction that the application declares"
        " (`monotone_constraints`), as churn does.",
    )
    tree_method: Literal["hist", "exact"] = Field(default="hist", description="XGBoost's method of finding splits.")
    base_score: float = Field(default=0.5, gt=0, lt=1, description="Probability that boosting starts from.")
    folds: int = Field(default=5, ge=2, description="Cross-validation folds for rounds and calibration.")
    threads: int = Field(default=1, ge=1, description="Threads; more than one stalls for minutes on a busy machine.")
    seed: int = Field(default=7, ge=0, description="Seed of the folds and of the rows and features that are drawn.")

    def open(self) -> "XGBoostTrainer":
        """Return the trainer."""
        return XGBoostTrainer(self)


class XGBoostTrainer(Trainer):
    """Fits calibrated boosted trees with XGBoost."""

    name = "xgboost"

    def __init__(self, config: XGBoostTrainerConfig) -> None:
        self._config = config
        self._rounds: int | None = None
        self._columns = UNKNOWN
        self.recipe = recipe_of(config)

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a calibrated booster with as many trees as the folds agree on, and its out-of-fold probabilities."""
        from models.training.xgboost_model import Boosting, fit_xgboost

        c = self._config
        boosting = Boosting(c.max_rounds, c.patience, c.folds, c.seed, rounds=self._rounds)
        parameters = {**self._native(), **self._constraints()}
        return fit_xgboost(rows, labels, groups, parameters=parameters, boosting=boosting)

    def knowing(self, columns: Columns) -> "XGBoostTrainer":
        """Return the same trainer with the directions of these columns."""
        found = copy(self)
        found._columns = columns
        return found

    def keeping(self, chosen: Mapping[str, str]) -> "XGBoostTrainer":
        """Return the same trainer with that number of rounds: the folds only calibrate."""
        found = copy(self)
        found._rounds = int(chosen["rounds"]) if "rounds" in chosen else self._rounds
        return found

    def parameters(self) -> dict[str, str]:
        """XGBoost's own parameters as they are passed, rounds, folds, seed and the library's version."""
        c = self._config
        ours = {"max_rounds": c.max_rounds, "patience": c.patience, "folds": c.folds, "seed": c.seed}
        ours |= {"monotone": c.monotone}
        values = {**self._native(), **ours, "xgboost": importlib.metadata.version("xgboost")}
        return {key: str(value) for key, value in values.items()}

    def check(self) -> Health:
        """Check that XGBoost is installed and trains a tree."""
        import numpy as np
        import xgboost as xgb

        rows = np.array([[0.0], [1.0]], dtype=np.float32)
        xgb.train(self._native(), xgb.QuantileDMatrix(rows, [0, 1], max_bin=self._config.max_bin), num_boost_round=1)
        return Health(ok=True, says=f"XGBoost {xgb.__version__} trains")

    def _constraints(self) -> dict[str, str]:
        """Return XGBoost's constraints, if any are asked for.

        Raises:
            TesseraError: the application declares no directions.
        """
        if not self._config.monotone:
            return {}
        return {"monotone_constraints": f"({','.join(map(str, self._columns.constraints()))})"}

    def _native(self) -> dict[str, str | int | float]:
        c = self._config
        return {
            "objective": "binary:logistic",
            "eval_metric": "logloss",
            "tree_method": c.tree_method,
            "base_score": c.base_score,
            "max_depth": c.max_depth,
            "learning_rate": c.learning_rate,
            "min_child_weight": c.min_child_weight,
            "lambda": c.l2,
            "alpha": c.l1,
            "gamma": c.min_split_loss,
            "subsample": c.row_share,
            "colsample_bytree": c.feature_share,
            "max_bin": c.max_bin,
            "nthread": c.threads,
            "verbosity": 0,
        }
