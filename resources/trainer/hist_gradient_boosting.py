"""scikit-learn's histogram gradient boosting: a second opinion on XGBoost."""

import importlib.metadata
from collections.abc import Mapping
from typing import ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field

from models.training.model import Fit, Groups, Labels, Matrix
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.stack.recipes import recipe_of
from resources.trainer.port import Trainer


class HistGradientBoostingTrainerConfig(dg.Config):
    """Shallow boosted trees by scikit-learn. Its threads follow OMP_NUM_THREADS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar[Mapping[str, Gap]] = {"contributions": Gap("scikit-learn gives none for this kind of model")}

    kind: Literal["hist_gradient_boosting"] = "hist_gradient_boosting"
    max_depth: int = Field(default=3, ge=1, le=12, description="Depth of a tree.")
    learning_rate: float = Field(default=0.08, gt=0, le=1, description="Share of each tree that is added.")
    rounds: int = Field(default=120, ge=1, description="Number of trees.")
    min_leaf_rows: int = Field(default=20, ge=1, description="Least rows in a leaf.")
    l2: float = Field(default=1.0, ge=0, description="L2 penalty of leaf values.")
    max_bins: int = Field(default=255, ge=2, le=255, description="Histogram bins per feature.")
    folds: int = Field(default=5, ge=2, description="Cross-validation folds for calibration.")
    seed: int = Field(default=7, ge=0, description="Seed of the folds.")

    def open(self) -> "HistGradientBoostingTrainer":
        """Return the trainer."""
        return HistGradientBoostingTrainer(self)


class HistGradientBoostingTrainer(Trainer):
    """Fits calibrated boosted trees with scikit-learn."""

    name = "hist_gradient_boosting"

    def __init__(self, config: HistGradientBoostingTrainerConfig) -> None:
        self._config = config
        self.recipe = recipe_of(config)

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return a calibrated booster, and its out-of-fold probabilities."""
        from models.training.boosted_model import fit_histogram

        c = self._config
        return fit_histogram(rows, labels, groups, parameters=self._native(), folds=c.folds, seed=c.seed)

    def parameters(self) -> dict[str, str]:
        """scikit-learn's own parameters as they are passed, folds, seed and the library's version."""
        ours = {"early_stopping": False, "folds": self._config.folds, "seed": self._config.seed}
        values = {**self._native(), **ours, "scikit-learn": importlib.metadata.version("scikit-learn")}
        return {key: str(value) for key, value in values.items()}

    def check(self) -> Health:
        """Check that scikit-learn is installed."""
        import sklearn.ensemble

        return Health(ok=True, says=f"{sklearn.ensemble.__name__} {sklearn.__version__} is installed")

    def _native(self) -> dict[str, float]:
        c = self._config
        return {
            "max_iter": c.rounds,
            "learning_rate": c.learning_rate,
            "max_depth": c.max_depth,
            "max_leaf_nodes": 2**c.max_depth,
            "min_samples_leaf": c.min_leaf_rows,
            "l2_regularization": c.l2,
            "max_bins": c.max_bins,
        }
