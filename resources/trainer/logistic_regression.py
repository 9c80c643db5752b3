"""Logistic regression: the baseline of binary classifiers."""

import importlib.metadata
from copy import copy
from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field

from models.training.columns import UNKNOWN, Columns
from models.training.model import Fit, Groups, Labels, Matrix
from resources.health import Health
from resources.stack.recipes import recipe_of
from resources.trainer.port import Trainer


class LogisticRegressionTrainerConfig(dg.Config):
    """Logistic regression on standardised features, by scikit-learn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["logistic_regression"] = "logistic_regression"
    inverse_penalty: float = Field(
        default=0.1,
        gt=0,
        description="Inverse of the penalty (`C` of scikit-learn): a smaller one shrinks the weights more.",
    )
    logarithms: bool = Field(
        default=False,
        description="Take the logarithm of each feature, `sign(x) log1p(abs(x))`: for counts and money.",
    )
    bgnbd: bool = Field(
        default=False,
        description="Add what the BG/NBD model of repeat purchases expects within the horizon; the application must"
        " declare a purchase history, as churn does.",
    )
    max_steps: int = Field(default=100, ge=1, description="Largest number of Newton steps.")
    folds: int = Field(default=5, ge=2, description="Cross-validation folds for calibration.")
    seed: int = Field(default=7, ge=0, description="Seed of the folds.")

    def open(self) -> "LogisticRegressionTrainer":
        """Return the trainer."""
        return LogisticRegressionTrainer(self)


class LogisticRegressionTrainer(Trainer):
    """Fits a calibrated logistic regression."""

    name = "logistic_regression"

    def __init__(self, config: LogisticRegressionTrainerConfig, columns: Columns = UNKNOWN) -> None:
        self._config, self._columns = config, columns
        self.recipe = recipe_of(config)

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a calibrated logistic regression, and its out-of-fold probabilities."""
        from models.training.linear_inputs import InputSettings
        from models.training.linear_model import fit_linear

        c = self._config
        return fit_linear(
            rows,
            labels,
            groups,
            inverse_penalty=c.inverse_penalty,
            max_steps=c.max_steps,
            folds=c.folds,
            seed=c.seed,
            inputs=InputSettings(c.logarithms, c.bgnbd, self._columns),
        )

    def knowing(self, columns: Columns) -> "LogisticRegressionTrainer":
        """Return the same trainer with the columns of a purchase history."""
        found = copy(self)
        found._columns = columns
        return found

    def parameters(self) -> dict[str, str]:
        """Penalty, solver, imputation, folds, seed and the library's version."""
        c = self._config
        values = {
            "C": c.inverse_penalty,
            "l1_ratio": 0.0,
            "solver": "newton-cholesky",
            "max_iter": c.max_steps,
            "tol": 1e-6,
            "impute": "median + indicator",
            "scale": "standard",
            "logarithms": c.logarithms,
            "bgnbd": c.bgnbd,
            "folds": c.folds,
            "seed": c.seed,
            "scikit-learn": importlib.metadata.version("scikit-learn"),
        }
        return {key: str(value) for key, value in values.items()}

    def check(self) -> Health:
        """Check that scikit-learn is installed."""
        import sklearn.linear_model

        return Health(ok=True, says=f"{sklearn.linear_model.__name__} {sklearn.__version__} is installed")
