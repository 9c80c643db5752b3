import importlib.metadata
from typing import Literal

import dagster as dg

from resources.health import Health
from resources.trainer.port import Trainer


class LightGBMTrainerConfig(dg.Config):
    """Boosted trees by LightGBM."""

    kind: Literal["acme_lightgbm.trainer.LightGBMTrainerConfig"] = "acme_lightgbm.trainer.LightGBMTrainerConfig"
    rounds: int = 60
    leaves: int = 8
    learning_rate: float = 0.1
    folds: int = 3

    def open(self):
        return LightGBMTrainer(self)


class LightGBMTrainer(Trainer):
    name = "lightgbm"

    def __init__(self, config):
        self._config = config

    def fit(self, rows, labels, groups):
        from acme_lightgbm.model import fit_lightgbm

        c = self._config
        return fit_lightgbm(rows, labels, groups, self._native(), c.rounds, c.folds, 7)

    def parameters(self):
        versions = {"lightgbm": importlib.metadata.version("lightgbm")}
        return {
            name: str(value) for name, value in {**self._native(), "rounds": self._config.rounds, **versions}.items()
        }

    def check(self):
        import lightgbm

        return Health(ok=True, says=f"LightGBM {lightgbm.__version__} is installed")

    def _native(self):
        c = self._config
        return {
            "objective": "binary", "num_leaves": c.leaves, "learning_rate": c.learning_rate, "num_threads": 1,
            "deterministic": True, "force_row_wise": True, "seed": 7, "verbosity": -1,
        }  # fmt: skip
