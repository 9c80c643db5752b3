"""The population stability index."""

import json

import numpy as np
import pytest

from models.evaluation.drift import DriftReference, drift, learn_references


def test_two_bins_by_hand() -> None:
    reference = DriftReference((0.0,), (0.5, 0.5, 0.0))
    moved = np.array([-1.0] * 30 + [1.0] * 70)
    missing_floor = 0.0
    expected = (0.3 - 0.5) * np.log(0.3 / 0.5) + (0.7 - 0.5) * np.log(0.7 / 0.5) + missing_floor
    assert reference.psi(moved) == pytest.approx(expected)


def test_the_rows_it_was_learnt_from_have_none_and_a_shift_has_much() -> None:
    values = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    reference = DriftReference.learn(values)
    assert reference.psi(values) == 0
    assert reference.psi(np.random.default_rng(2).normal(size=5000)) < 0.02
    assert reference.psi(values + 1) > 0.25


def test_missing_values_are_a_bin_of_their_own() -> None:
    values = np.random.default_rng(3).normal(size=1000)
    half = np.where(np.arange(1000) % 2 == 0, np.nan, values)
    assert DriftReference.learn(values).psi(half) > 1
    assert DriftReference.learn(half).psi(half) == 0
    assert DriftReference.learn(np.full(9, np.nan)).psi(values) > 1


def test_a_column_of_few_values_and_a_constant_one() -> None:
    flags = np.repeat([0.0, 1.0], [90, 10])
    reference = DriftReference.learn(flags)
    assert reference.psi(flags) == 0
    assert reference.psi(1 - flags) > 1
    assert DriftReference.learn(np.zeros(10)).psi(np.zeros(99)) == 0
    assert DriftReference.learn(np.zeros(10)).psi(np.ones(99)) > 1


def test_a_table_of_columns_largest_first_through_json() -> None:
    rows = np.random.default_rng(4).normal(size=(400, 3)).astype(np.float32)
    saved = {name: r.to_json() for name, r in learn_references(["a", "b", "c"], rows).items()}
    references = {name: DriftReference.from_json(v) for name, v in json.loads(json.dumps(saved)).items()}
    rows[:, 1] += 2
    found = drift(references, ["a", "b", "c", "new"], np.column_stack([rows, rows[:, 0]]))
    assert next(iter(found)) == "b"
    assert found["a"] == 0
    assert "new" not in found
