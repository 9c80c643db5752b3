"""The trainers: the port's promises, and what only the shipped ones do."""

from typing import ClassVar

import numpy as np
import pytest

from models.errors import TesseraError
from models.training.columns import Columns, PurchaseHistory
from models.training.model import Fit
from resources.conformance import RegressionTrainerConformance, TrainerConformance
from resources.trainer.fan_out import FanOutTrainerConfig
from resources.trainer.hist_gradient_boosting import HistGradientBoostingTrainerConfig
from resources.trainer.logistic_regression import LogisticRegressionTrainerConfig
from resources.trainer.port import Trainer
from resources.trainer.ridge_regression import RidgeRegressionTrainerConfig
from resources.trainer.xgboost import XGBoostTrainerConfig
from resources.trainer.xgboost_regression import XGBoostRegressionTrainerConfig


class ShippedTrainer(TrainerConformance):
    """What the trainers that ship promise beyond the port."""

    library: str

    def test_parameters_name_every_setting_and_the_library(self, trainer: Trainer) -> None:
        assert {"folds", "seed", self.library} < trainer.parameters().keys()

    def test_there_are_as_many_folds_as_the_setting_says(self, fit: Fit) -> None:
        assert np.unique(fit.folds).size == 5

    def test_too_few_entities_of_a_class_are_counted(self, trainer: Trainer) -> None:
        rows, groups = np.zeros((12, 5), np.float32), np.arange(12) // 3
        with pytest.raises(TesseraError, match="1 entities with a positive label"):
            trainer.fit(rows, (groups == 0).astype(np.int8), groups)


class TestXGBoostTrainer(ShippedTrainer):
    config = XGBoostTrainerConfig
    settings: ClassVar = {"max_rounds": 40}
    library = "xgboost"


class TestLogisticRegressionTrainer(ShippedTrainer):
    config = LogisticRegressionTrainerConfig
    library = "scikit-learn"


@pytest.mark.slow
class TestHistGradientBoostingTrainer(ShippedTrainer):
    config = HistGradientBoostingTrainerConfig
    settings: ClassVar = {"rounds": 30}
    library = "scikit-learn"


class TestXGBoostRegressionTrainer(RegressionTrainerConformance):
    config = XGBoostRegressionTrainerConfig
    settings: ClassVar = {"max_rounds": 60}


class TestRidgeRegressionTrainer(RegressionTrainerConformance):
    config = RidgeRegressionTrainerConfig


#: Columns of the tests as if they were a customer's: silence, and how many days had a purchase.
COLUMNS = Columns(
    ("signal", "sparse", "constant", "never_known", "noise"),
    {"signal": 1, "sparse": 1},
    PurchaseHistory(purchase_days="sparse", recency_days="signal", tenure_days="constant", horizon_days=2),
)


class TestMonotoneXGBoostTrainer(ShippedTrainer):
    config = XGBoostTrainerConfig
    settings: ClassVar = {"max_rounds": 40, "max_depth": 2, "monotone": True}
    columns = COLUMNS
    library = "xgboost"

    def test_predictions_never_fall_along_a_direction(self, fit: Fit) -> None:
        rows = np.random.default_rng(3).normal(size=(50, 5)).astype(np.float32)
        steps = np.repeat(rows, 40, axis=0)
        steps[:, 0] = np.tile(np.linspace(-4, 4, 40), 50)
        assert (np.diff(fit.model.predict(steps).reshape(50, 40), axis=1) >= 0).all()


@pytest.mark.slow
class TestPurchaseHistoryTrainer(ShippedTrainer):
    config = LogisticRegressionTrainerConfig
    settings: ClassVar = {"logarithms": True, "bgnbd": True}
    columns = COLUMNS
    library = "scikit-learn"


@pytest.mark.slow
class TestFanOutTrainer(TrainerConformance):
    config = FanOutTrainerConfig
    settings: ClassVar = {
        "of": [
            {"kind": "xgboost", "max_rounds": 40, "max_depth": 2, "monotone": True},
            {"kind": "logistic_regression", "logarithms": True, "bgnbd": True},
        ]
    }
    columns = COLUMNS
