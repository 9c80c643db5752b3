"""The tests of the trainer port."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from models.errors import TesseraError
from models.evaluation.metrics import auc
from models.training.columns import Columns
from models.training.encoding import Encoder
from models.training.model import Fit, Groups, Labels, Matrix, explains
from models.training.model_package import ModelCard, load, save
from models.training.recipe import Recipe
from resources.conformance.capabilities import gaps_of
from resources.conformance.suite import Conformance, needs
from resources.stack.loader import opened
from resources.stack.recipes import described, recipe_of, trainer_of
from resources.trainer.port import Trainer

_NAMES = ("signal", "sparse", "constant", "never_known", "noise")


def _data(entities: int = 200, seed: int = 1) -> tuple[Matrix, Labels, Groups]:
    """Four rows per entity; a signal, a half-missing signal, a constant, a column without values, and noise."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(entities), 4)
    rows = rng.normal(size=(groups.size, len(_NAMES))).astype(np.float32)
    chance = 1 / (1 + np.exp(-(1.5 * rows[:, 0] + rows[:, 1])))
    rows[rng.random(groups.size) < 0.4, 1] = np.nan
    rows[:, 2], rows[:, 3] = 7.0, np.nan
    return rows, (rng.random(groups.size) < chance).astype(np.int8), groups


def _package(folder: Path, fit: Fit) -> Path:
    card = ModelCard(
        app="churn",
        as_of=date(2025, 6, 30),
        label_end=date(2025, 4, 1),
        train_cutoffs=(),
        feature_service="churn_v1",
        feature_version="1",
        rows=800,
        labels={"positives": 400},
        parameters={},
        metrics={},
    )
    save(folder, fit.model, Encoder(_NAMES, {}), card)
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


class TrainerPromises(Conformance):
    """The tests that trainers of every kind of prediction must pass.

    A harness sets `settings` if the defaults are slow, `trusted` if its models have a loader of their own, and
    `columns` if the trainer uses what columns mean.
    """

    port: ClassVar = "trainer"
    settings: ClassVar[Mapping[str, Any]] = {}
    trusted: ClassVar[Sequence[str]] = ()
    columns: ClassVar[Columns] = Columns(_NAMES)

    @staticmethod
    def drawn(entities: int = 200, seed: int = 1) -> tuple[Matrix, Labels, Groups]:
        """Rows, labels and entities of the kind of prediction."""
        return _data(entities, seed)

    @pytest.fixture(scope="class")
    @classmethod
    def trainer(cls) -> Trainer:
        """The trainer as the stack opens it."""
        config = cls.config(**cls.settings)
        return described(opened(config), recipe_of(config)).knowing(cls.columns)

    @pytest.fixture(scope="class")
    @classmethod
    def fit(cls, trainer: Trainer) -> Fit:
        """A model of data with a signal."""
        return trainer.fit(*cls.drawn())

    def test_a_row_scores_the_same_alone_and_in_company(self, fit: Fit) -> None:
        rows, _, _ = self.drawn(seed=5)
        together = fit.model.predict(rows)
        alone = [fit.model.predict(rows[place : place + 1]) for place in range(0, len(rows), 5)]
        assert np.array_equal(together[::5], np.concatenate(alone))
        buffer = np.zeros((len(rows) + 7, len(_NAMES)), np.float32)
        buffer[: len(rows)] = rows
        assert np.array_equal(together, fit.model.predict(buffer[: len(rows)]))

    def test_rows_are_only_read(self, trainer: Trainer) -> None:
        rows, labels, groups = self.drawn(entities=40)
        before = rows.copy()
        trainer.fit(rows, labels, groups).model.predict(rows)
        assert np.array_equal(rows, before, equal_nan=True)

    def test_the_same_data_gives_the_same_bytes(self, trainer: Trainer, fit: Fit, tmp_path: Path) -> None:
        again = trainer.fit(*self.drawn())
        assert _contents(_package(tmp_path / "a", fit)) == _contents(_package(tmp_path / "b", again))
        assert np.array_equal(fit.out_of_fold, again.out_of_fold)

    def test_a_model_read_back_scores_the_same_to_the_bit(self, fit: Fit, tmp_path: Path) -> None:
        rows, _, _ = self.drawn(seed=6)
        loaded = load(_package(tmp_path / "a", fit), trusted=self.trusted)
        assert np.array_equal(loaded.model.predict(rows), fit.model.predict(rows))
        assert loaded.model.kind == fit.model.kind

    def test_a_model_read_back_is_written_the_same(self, fit: Fit, tmp_path: Path) -> None:
        loaded = load(_package(tmp_path / "a", fit), trusted=self.trusted)
        again = Fit(loaded.model, fit.out_of_fold, fit.folds, {})
        assert _contents(_package(tmp_path / "b", again)) == _contents(tmp_path / "a")

    def test_no_entity_stands_on_both_sides_of_a_fold(self, fit: Fit) -> None:
        _, _, groups = self.drawn()
        for entity in np.unique(groups):
            assert np.unique(fit.folds[groups == entity]).size == 1
        assert np.unique(fit.folds).size > 1

    def test_the_model_says_whether_it_gives_contributions(self, fit: Fit) -> None:
        assert explains(fit.model) == ("contributions" not in gaps_of(self.config)), "`explains` of the model's class"

    def test_parameters_are_texts(self, trainer: Trainer) -> None:
        parameters = trainer.parameters()
        assert parameters
        assert all(isinstance(value, str) and value for value in parameters.values())

    def test_it_says_that_it_works(self, trainer: Trainer) -> None:
        assert trainer.check().ok

    def test_made_again_from_its_recipe_and_keeping_what_was_chosen_it_gives_the_same_model(
        self, trainer: Trainer, fit: Fit, tmp_path: Path
    ) -> None:
        assert trainer.recipe is not None
        recipe = Recipe.model_validate_json(trainer.recipe.model_dump_json())
        again = trainer_of(recipe).knowing(self.columns).keeping(fit.notes)
        assert again.recipe is not None
        assert again.recipe.same_settings(trainer.recipe)
        rows, labels, groups = self.drawn()
        refit = again.fit(rows, labels, groups)
        assert refit.notes == fit.notes
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        assert refit.model.save(tmp_path / "one") == fit.model.save(tmp_path / "two")


class TrainerConformance(TrainerPromises):
    """The tests that every trainer of binary classifiers must pass."""

    def test_learns_the_signal_for_rows_and_entities_it_has_not_seen(self, fit: Fit) -> None:
        rows, labels, _ = _data(seed=2)
        assert auc(labels, fit.model.predict(rows)) > 0.75
        assert auc(_data()[1], fit.out_of_fold) > 0.75

    def test_probabilities_lie_in_the_unit_interval_and_mean_what_they_say(self, fit: Fit) -> None:
        rows, labels, _ = _data(entities=1000, seed=3)
        scores = fit.model.predict(rows)
        assert scores.dtype == np.float64
        assert scores.shape == (len(rows),)
        assert scores.min() >= 0
        assert scores.max() <= 1
        assert abs(scores.mean() - labels.mean()) < 0.04

    def test_calibration_keeps_the_order_strictly(self, fit: Fit) -> None:
        rows, _, _ = _data(seed=4)
        order = np.argsort(fit.model.raw(rows))
        raw, scores = fit.model.raw(rows)[order], fit.model.predict(rows)[order]
        assert ((np.diff(scores) > 0) == (np.diff(raw) > 0)).all()

    def test_extreme_and_missing_values_give_probabilities(self, fit: Fit) -> None:
        rows = np.full((3, len(_NAMES)), np.nan, dtype=np.float32)
        rows[1], rows[2] = 1e30, -1e30
        scores = fit.model.predict(rows)
        assert ((scores >= 0) & (scores <= 1)).all()

    def test_labels_of_entities_that_can_be_recognised_are_not_learnt(self, trainer: Trainer) -> None:
        """Each entity has a number of its own as feature, and labels by chance: split entities would show at once."""
        rng = np.random.default_rng(8)
        groups = np.repeat(np.arange(150), 8)
        rows = rng.normal(size=(150, 5)).astype(np.float32)[groups]
        labels = rng.integers(0, 2, 150).astype(np.int8)[groups]
        assert auc(labels, trainer.fit(rows, labels, groups).out_of_fold) < 0.6

    def test_too_few_entities_of_a_class_are_refused(self, trainer: Trainer) -> None:
        rows, labels, groups = _data(entities=20)
        labels[:] = 0
        labels[:3] = 1
        with pytest.raises(TesseraError):
            trainer.fit(rows, labels, groups)

    @needs("contributions")
    def test_contributions_add_up_to_the_log_odds(self, fit: Fit) -> None:
        assert explains(fit.model)
        rows, _, _ = _data(seed=9)
        contributions = fit.model.contributions(rows)
        assert contributions.shape == rows.shape
        rest = fit.model.raw(rows) - contributions.sum(axis=1)
        assert np.ptp(rest) < 1e-4
        assert np.abs(contributions[:, 0]).mean() > 2 * np.abs(contributions[:, 4]).mean()
        assert not contributions[:, 2:4].any()
