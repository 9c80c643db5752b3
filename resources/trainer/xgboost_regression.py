"""XGBoost for numbers."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any, Literal

import dagster as dg
from pydantic import ConfigDict, Field

from models.tasks.task import TaskName
from models.training.model import Fit, Groups, Labels, Matrix
from resources.health import Health
from resources.stack.recipes import recipe_of
from resources.trainer.port import Trainer


class XGBoostRegressionTrainerConfig(dg.Config):
    """Shallow boosted trees of numbers by XGBoost, with prediction intervals of their out-of-fold errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["xgboost_regression"] = "xgboost_regression"
    target: Literal["log1p", "identity"] = Field(
        default="log1p",
        description="Scale of the training target: log1p for counts and amounts >= 0, else identity.",
    )
    interval_share: float = Field(
        default=0.8, gt=0, lt=1, description="Share of the labels that a prediction interval holds."
    )
    max_depth: int = Field(default=4, ge=1, le=12, description="Depth of a tree.")
    learning_rate: float = Field(default=0.1, gt=0, le=1, description="Share of each tree that is added.")
    max_rounds: int = Field(default=200, ge=1, description="Trees at most; the folds choose how many.")
    patience: int = Field(default=15, ge=1, description="Rounds without a lower error before boosting stops.")
    min_child_weight: float = Field(default=20.0, ge=0, description="Least rows in a leaf.")
    l2: float = Field(default=1.0, ge=0, description="L2 penalty of leaf values (`lambda`).")
    row_share: float = Field(default=0.8, gt=0, le=1, description="Rows drawn for each tree (`subsample`).")
    feature_share: float = Field(
        default=0.7, gt=0, le=1, description="Features drawn for each tree (`colsample_bytree`)."
    )
    max_bin: int = Field(default=256, ge=2, description="Histogram bins per feature.")
    folds: int = Field(default=4, ge=2, description="Cross-validation folds for rounds and intervals.")
    threads: int = Field(default=1, ge=1, description="Threads; more than one stalls for minutes on a busy machine.")
    seed: int = Field(default=7, ge=0, description="Of folds, rows and features drawn.")

    def open(self) -> "XGBoostRegressionTrainer":
        """Return the trainer."""
        return XGBoostRegressionTrainer(self)


class XGBoostRegressionTrainer(Trainer):
    """Fits boosted trees of numbers with XGBoost."""

    name = "xgboost_regression"
    task: TaskName = "regression"

    def __init__(self, config: XGBoostRegressionTrainerConfig, *, rounds: int | None = None) -> None:
        self._config, self._rounds = config, rounds
        self.recipe = recipe_of(config)

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a booster with as many trees as the folds agree on, and its out-of-fold predictions."""
        from models.training.regression_models import fit_xgboost_regression
        from models.training.xgboost_model import Boosting

        c = self._config
        boosting = Boosting(c.max_rounds, c.patience, c.folds, c.seed, rounds=self._rounds)
        return fit_xgboost_regression(
            rows,
            labels,
            groups,
            target=c.target,
            share=c.interval_share,
            parameters=self._native(),
            boosting=boosting,
        )

    def keeping(self, chosen: Mapping[str, str]) -> "XGBoostRegressionTrainer":
        """Return the same trainer with that number of rounds: the folds only make intervals."""
        return XGBoostRegressionTrainer(self._config, rounds=int(chosen["rounds"])) if "rounds" in chosen else self

    def parameters(self) -> dict[str, str]:
        """XGBoost's own parameters as they are passed, scale, intervals, rounds, folds and the library's version."""
        c = self._config
        ours = {name: getattr(c, name) for name in ("target", "interval_share", "max_rounds", "patience", "folds")}
        values = {**self._native(), **ours, "seed": c.seed, "xgboost": importlib.metadata.version("xgboost")}
        return {key: str(value) for key, value in values.items()}

    def check(self) -> Health:
        """Check that XGBoost is installed."""
        import xgboost as xgb

        return Health(ok=True, says=f"XGBoost {xgb.__version__} is installed")

    def _native(self) -> dict[str, Any]:
        c = self._config
        return {
            "objective": "reg:squarederror",
            "eval_metric": "rmse",
            "tree_method": "hist",
            "max_depth": c.max_depth,
            "learning_rate": c.learning_rate,
            "min_child_weight": c.min_child_weight,
            "lambda": c.l2,
            "subsample": c.row_share,
            "colsample_bytree": c.feature_share,
            "max_bin": c.max_bin,
            "nthread": c.threads,
            "verbosity": 0,
        }
