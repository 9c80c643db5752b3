"""The tests of trainers of models of numbers."""

import numpy as np
import pytest

from models.errors import TesseraError
from models.evaluation.regression_metrics import D2_ABSOLUTE_ERROR
from models.training.model import Fit, Groups, IntervalModel, Labels, Matrix, explains
from resources.conformance.suite import needs
from resources.conformance.trainer import TrainerPromises
from resources.trainer.port import Trainer


class RegressionTrainerConformance(TrainerPromises):
    """The tests that every trainer of models of numbers must pass."""

    @staticmethod
    def drawn(entities: int = 200, seed: int = 1) -> tuple[Matrix, Labels, Groups]:
        """Counts, four of each entity; a signal, a half-missing signal, a constant, a column without values, noise."""
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(entities), 4)
        rows = rng.exponential(3, size=(groups.size, 5)).astype(np.float32)
        labels = rng.poisson(2 * rows[:, 0] + rows[:, 1]).astype(np.float64)
        rows[rng.random(groups.size) < 0.4, 1] = np.nan
        rows[:, 2], rows[:, 3] = 7.0, np.nan
        return rows, labels, groups

    def test_learns_the_signal_for_rows_and_entities_it_has_not_seen(self, fit: Fit) -> None:
        rows, labels, groups = self.drawn(seed=2)
        assert D2_ABSOLUTE_ERROR.value(labels, fit.model.predict(rows), groups) > 0.25
        assert D2_ABSOLUTE_ERROR.value(self.drawn()[1], fit.out_of_fold, groups) > 0.25

    def test_an_interval_holds_its_prediction_and_about_as_many_labels_as_it_promises(self, fit: Fit) -> None:
        rows, labels, _ = self.drawn(entities=1000, seed=3)
        assert isinstance(fit.model, IntervalModel)
        predicted, (lower, upper) = fit.model.predict(rows), fit.model.interval(rows)
        assert ((lower <= predicted) & (predicted <= upper)).all()
        assert 0.7 <= ((labels >= lower) & (labels <= upper)).mean() <= 0.95

    def test_extreme_and_missing_values_give_finite_numbers(self, fit: Fit) -> None:
        rows = np.full((3, 5), np.nan, dtype=np.float32)
        rows[1], rows[2] = 1e6, -1e6
        assert np.isfinite(fit.model.predict(rows)).all()

    def test_it_names_its_kind_of_prediction(self, trainer: Trainer) -> None:
        assert trainer.task == "regression"

    def test_fewer_entities_than_folds_are_refused(self, trainer: Trainer) -> None:
        rows, labels, _ = self.drawn(entities=4)
        with pytest.raises(TesseraError):
            trainer.fit(rows, labels, np.zeros(len(rows), dtype=np.int64))

    @needs("contributions")
    def test_contributions_add_up_to_the_models_own_scale(self, fit: Fit) -> None:
        assert explains(fit.model)
        rows, _, _ = self.drawn(seed=9)
        rest = fit.model.raw(rows) - fit.model.contributions(rows).sum(axis=1)
        assert np.ptp(rest) < 1e-4
