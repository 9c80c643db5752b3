"""Models of numbers: intervals that hold what they promise, packages that give the same numbers again."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.errors import TesseraError
from models.training.encoding import Encoder
from models.training.golden import GOLDEN, golden_text, verified_package
from models.training.intervals import fit_intervals, on_scale
from models.training.model import IntervalModel
from models.training.model_package import ModelCard, save
from resources.trainer.port import Trainer
from resources.trainer.ridge_regression import RidgeRegressionTrainerConfig
from resources.trainer.xgboost_regression import XGBoostRegressionTrainerConfig

TRAINERS = {
    "xgboost": XGBoostRegressionTrainerConfig(max_rounds=40),
    "ridge": RidgeRegressionTrainerConfig(),
    "xgboost of any number": XGBoostRegressionTrainerConfig(max_rounds=40, target="identity"),
}
ENTITIES = np.repeat(np.arange(600), 4)


def counts(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts whose mean follows the first column; a missing value means nothing; many are 0."""
    rng = np.random.default_rng(seed)
    rows = rng.exponential(4, size=(ENTITIES.size, 3)).astype(np.float32)
    rows[rng.random(ENTITIES.size) < 0.1, 1] = np.nan
    return rows, rng.poisson(rows[:, 0] * rng.gamma(4, 0.25, ENTITIES.size)).astype(np.float64)


@pytest.fixture(params=TRAINERS)
def trainer(request: pytest.FixtureRequest) -> Trainer:
    return TRAINERS[request.param].open()


@pytest.mark.slow
def test_intervals_hold_as_many_labels_of_unseen_entities_as_they_promise(trainer: Trainer) -> None:
    rows, labels = counts(1)
    model = trainer.fit(rows, labels, ENTITIES).model
    assert isinstance(model, IntervalModel)
    unseen, truth = counts(2)
    lower, upper = model.interval(unseen)
    assert 0.77 <= ((truth >= lower) & (truth <= upper)).mean() <= 0.87, "80 %, and the ends of counts are counted in"
    predicted = model.predict(unseen)
    assert ((lower <= predicted) & (predicted <= upper)).all()
    assert np.abs(predicted - truth).mean() < 0.75 * np.abs(np.median(labels) - truth).mean()


@pytest.mark.slow
def test_a_package_gives_the_same_numbers_and_intervals_again(trainer: Trainer, tmp_path: Path) -> None:
    rows, labels = counts(1)
    model = trainer.fit(rows, labels, ENTITIES).model
    card = ModelCard(
        app="demand",
        as_of=date(2026, 1, 1),
        label_end=date(2026, 1, 1),
        train_cutoffs=(),
        feature_service="demand_v1",
        feature_version="demand_v1",
        rows=len(rows),
        labels={},
        parameters=trainer.parameters(),
        metrics={},
    )
    save(tmp_path / "p", model, Encoder(("a", "b", "c"), {}), card, {GOLDEN: golden_text(model, rows)})
    loaded, golden = verified_package(tmp_path / "p")
    assert golden == 50
    assert isinstance(loaded.model, IntervalModel)
    assert isinstance(model, IntervalModel)
    assert np.array_equal(loaded.model.predict(rows), model.predict(rows))
    assert np.array_equal(loaded.model.interval(rows), model.interval(rows))


@pytest.mark.slow
def test_contributions_add_up_to_the_value_on_the_models_own_scale(trainer: Trainer) -> None:
    rows, labels = counts(1)
    model = trainer.fit(rows, labels, ENTITIES).model
    rest = model.raw(rows) - model.contributions(rows).sum(axis=1)
    assert rest == pytest.approx(np.full(len(rows), rest[0]), abs=1e-4)


def test_a_row_does_not_depend_on_the_rows_it_comes_with(trainer: Trainer) -> None:
    rows, labels = counts(1)
    model = trainer.fit(rows, labels, ENTITIES).model
    assert np.array_equal(model.predict(rows[5:6]), model.predict(rows)[5:6])


def test_the_rounds_that_were_chosen_can_be_kept() -> None:
    rows, labels = counts(1)
    trainer = TRAINERS["xgboost"].open()
    chosen = trainer.fit(rows, labels, ENTITIES)
    again = trainer.keeping(chosen.notes).fit(rows, labels, ENTITIES)
    assert again.notes == chosen.notes
    assert np.array_equal(again.model.predict(rows), chosen.model.predict(rows))


def test_fewer_entities_than_folds_are_refused(trainer: Trainer) -> None:
    rows, labels = counts(1)
    with pytest.raises(TesseraError, match="3 entities"):
        trainer.fit(rows[:12], labels[:12], ENTITIES[:12])


@settings(max_examples=25)
@given(
    st.integers(1, 80).flatmap(
        lambda n: st.tuples(
            arrays(np.float64, n, elements=st.floats(0, 50)), arrays(np.float64, n, elements=st.floats(0, 1e4))
        )
    ),
    st.floats(0.1, 0.95),
    st.integers(1, 12),
)
def test_intervals_hold_their_share_of_the_errors_they_were_made_of(
    drawn: tuple[np.ndarray, np.ndarray], share: float, parts: int
) -> None:
    raw, labels = drawn
    found = fit_intervals("log1p", raw, labels, share=share, parts=parts)
    lower, upper = found.lower, found.upper
    part = np.searchsorted(found.edges, raw, side="right")
    errors = on_scale("log1p", labels) - raw
    held = (errors >= lower[part]) & (errors <= upper[part])
    assert held.mean() >= share
    assert (lower <= 0).all()
    assert (upper >= 0).all()
    ends = found.around(raw)
    assert (ends[0] <= found.value(raw)).all()
    assert (found.value(raw) <= ends[1]).all()
