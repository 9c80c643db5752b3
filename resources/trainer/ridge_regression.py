"""Ridge regression: the baseline of regression models."""

import importlib.metadata
from typing import Literal

import dagster as dg
from pydantic import ConfigDict, Field

from models.tasks.task import TaskName
from models.training.model import Fit, Groups, Labels, Matrix
from resources.health import Health
from resources.stack.recipes import recipe_of
from resources.trainer.port import Trainer


class RidgeRegressionTrainerConfig(dg.Config):
    """Ridge regression on standardised signed logarithms of the features, by scikit-learn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ridge_regression"] = "ridge_regression"
    target: Literal["log1p", "identity"] = Field(
        default="log1p",
        description="Scale of the training target: log1p for counts and amounts >= 0, else identity.",
    )
    interval_share: float = Field(
        default=0.8, gt=0, lt=1, description="Share of the labels that a prediction interval holds."
    )
    penalty: float = Field(
        default=10.0, gt=0, description="Strength of the L2 penalty, scikit-learn's `alpha`: larger shrinks more."
    )
    folds: int = Field(default=4, ge=2, description="Cross-validation folds for the intervals.")
    seed: int = Field(default=7, ge=0, description="Of the folds.")

    def open(self) -> "RidgeRegressionTrainer":
        """Return the trainer."""
        return RidgeRegressionTrainer(self)


class RidgeRegressionTrainer(Trainer):
    """Fits a ridge regression."""

    name = "ridge_regression"
    task: TaskName = "regression"

    def __init__(self, config: RidgeRegressionTrainerConfig) -> None:
        self._config = config
        self.recipe = recipe_of(config)

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a ridge regression, and its out-of-fold predictions."""
        from models.training.regression_models import fit_ridge

        c = self._config
        return fit_ridge(
            rows,
            labels,
            groups,
            target=c.target,
            share=c.interval_share,
            penalty=c.penalty,
            folds=c.folds,
            seed=c.seed,
        )

    def parameters(self) -> dict[str, str]:
        """Penalty, scale, intervals, imputation, folds, seed and the library's version."""
        values = {
            **self._config.model_dump(exclude={"kind"}),
            "impute": "median",
            "scale": "signed log, standard",
            "scikit-learn": importlib.metadata.version("scikit-learn"),
        }
        return {key: str(value) for key, value in values.items()}

    def check(self) -> Health:
        """Check that scikit-learn is installed."""
        import sklearn.linear_model

        return Health(ok=True, says=f"{sklearn.linear_model.__name__} {sklearn.__version__} is installed")
