"""What a linear model makes of its features, and how the terms of BG/NBD are shared among three of them."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import TesseraError
from models.training.bgnbd import BgNbd
from models.training.columns import Columns, PurchaseHistory
from models.training.linear_inputs import InputSettings, LinearInputs, PurchaseTerms

PURCHASES = PurchaseHistory("days", "recency", "tenure", 30)
COLUMNS = Columns(("noise", "tenure", "days", "recency"), purchases=PURCHASES)
TERMS = PurchaseTerms(BgNbd(0.5, 26.0, 0.4, 1.4), (2, 3, 1), 30, (3.0, 40.0, 120.0))
ODD = st.one_of(st.floats(-50, 500, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0]))


def rows(n: int = 400, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tenure = rng.uniform(0, 300, n)
    return np.column_stack([rng.normal(size=n), tenure, 1 + rng.poisson(2, n), tenure * rng.random(n)]).astype(
        np.float32
    )


@pytest.mark.slow
@given(st.lists(st.tuples(ODD, ODD, ODD), min_size=1, max_size=5))
def test_any_history_gives_finite_terms(histories: list[tuple[float, float, float]]) -> None:
    assert np.isfinite(TERMS.terms(np.array(histories, dtype=np.float64))).all()


def test_longer_silence_means_less_activity_and_fewer_purchases() -> None:
    history = np.column_stack([np.full(50, 4.0), np.linspace(0, 200, 50), np.full(50, 250.0)])
    none, expected, active = TERMS.terms(history).T
    assert (np.diff(none) > 0).all()
    assert (np.diff(expected) < 0).all()
    assert (np.diff(active) < 0).all()


def test_parts_are_shapley_values_by_every_order_in_which_features_become_known() -> None:
    def value(terms: np.ndarray) -> np.ndarray:
        return terms @ np.array([0.7, -0.2, 0.4])

    history = TERMS.history(rows(20))
    expected = np.zeros((20, 3))
    for order in permutations(range(3)):
        known = np.tile(TERMS.reference, (20, 1))
        for place in order:
            before = value(TERMS.terms(known))
            known[:, place] = history[:, place]
            expected[:, place] += (value(TERMS.terms(known)) - before) / 6
    parts = TERMS.shapley(value, history)
    assert np.allclose(parts, expected)
    reference = value(TERMS.terms(np.array([TERMS.reference])))
    assert np.allclose(parts.sum(axis=1), value(TERMS.terms(history)) - reference)
    assert not TERMS.shapley(value, np.array([TERMS.reference])).any()


def test_inputs_come_back_from_json_to_the_bit() -> None:
    made = InputSettings(logarithms=True, bgnbd=True, columns=COLUMNS).fit(rows())
    again = LinearInputs.from_json(made.to_json())
    assert again == made
    assert np.array_equal(again(rows(seed=2)), made(rows(seed=2)))
    assert LinearInputs.from_json({}) == LinearInputs()


def test_without_settings_the_inputs_are_the_rows_themselves() -> None:
    given_rows = rows()
    assert LinearInputs()(given_rows) is given_rows
    assert LinearInputs().to_json() == {}


@pytest.mark.slow
def test_each_fold_fits_the_purchase_model_to_its_own_training_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.training.linear_model import fit_linear

    seen: list[int] = []
    fit = PurchaseTerms.fit.__func__  # pyright: ignore[reportFunctionMemberAccess]

    def counted(cls: type[PurchaseTerms], given_rows: np.ndarray, columns: Columns) -> PurchaseTerms:
        seen.append(len(given_rows))
        return fit(cls, given_rows, columns)

    monkeypatch.setattr(PurchaseTerms, "fit", classmethod(counted))
    labels = (np.arange(400) % 3 == 0).astype(np.int8)
    inputs = InputSettings(bgnbd=True, columns=COLUMNS)
    fit_linear(rows(), labels, np.arange(400), inverse_penalty=0.1, max_steps=50, folds=4, seed=1, inputs=inputs)
    assert sorted(seen) == [300, 300, 300, 300, 400]


def test_a_column_that_the_matrix_lacks_is_named() -> None:
    lacking = Columns(("noise", "tenure", "days"), {"dayz": -1}, PURCHASES)
    with pytest.raises(TesseraError, match="no column 'recency'"):
        lacking.history()
    with pytest.raises(TesseraError, match=r"no column 'dayz'.*did you mean 'days'"):
        lacking.constraints()


def test_directions_of_churn_are_of_its_features() -> None:
    from assets.churn.training import DIRECTIONS
    from assets.churn.training import PURCHASES as OF_CHURN
    from models.features.churn import FEATURES

    columns = Columns(FEATURES, DIRECTIONS, PurchaseHistory(*OF_CHURN, 90))
    assert dict(zip(FEATURES, columns.constraints(), strict=True))["recency_days"] == 1
    assert [FEATURES[place] for place in columns.history()[1]] == list(OF_CHURN)
