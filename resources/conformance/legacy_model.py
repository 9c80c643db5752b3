"""The tests of the legacy model port."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest

from models.errors import TesseraError
from models.legacy.contract import InputFeature
from models.training.model import Matrix
from resources.conformance.suite import Conformance, needs
from resources.legacy_model.port import LegacyModel, Outputs, Signature

#: Inputs of the model under test, in its order. It gives one score per row, which no two of these rows share.
INPUTS = tuple(InputFeature(name=name) for name in ("recency", "orders", "spend"))
ROWS: Matrix = np.array([[0.1, 1, 20], [300, 0, 0], [12.5, 7, 1e5], [84, 3, 333.33], [2**24, 1, -5]], dtype=np.float32)
SIGNATURE = Signature(INPUTS, 1)


def _equal(found: Outputs, expected: Outputs) -> bool:
    """Return True if scores are the same but for the last bits, which may depend on the number of rows."""
    return found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=1e-12)


class LegacyModelConformance(Conformance):
    """The tests that every legacy model must pass. A harness overrides the fixture `opened`."""

    port: ClassVar = "legacy_model"

    @pytest.fixture
    def opened(self) -> Callable[[Signature], LegacyModel]:
        """A function that opens the model under test as another process would, and closes it after the test."""
        raise NotImplementedError("The harness overrides the fixture `opened`.")

    def test_every_row_has_its_outputs(self, opened: Callable[[Signature], LegacyModel]) -> None:
        found = opened(SIGNATURE).predict(ROWS)
        assert (found.shape, found.dtype) == ((len(ROWS), 1), np.float64)
        assert len(np.unique(found)) > 1
        assert np.isfinite(found).all()

    def test_no_rows_have_no_outputs(self, opened: Callable[[Signature], LegacyModel]) -> None:
        assert opened(SIGNATURE).predict(ROWS[:0]).shape == (0, 1)

    def test_a_row_has_the_same_score_alone_in_any_order_and_in_another_process(
        self, opened: Callable[[Signature], LegacyModel]
    ) -> None:
        model = opened(SIGNATURE)
        found = model.predict(ROWS)
        assert _equal(model.predict(np.ascontiguousarray(ROWS[::-1]))[::-1], found)
        assert _equal(np.concatenate([model.predict(ROWS[n : n + 1]) for n in range(len(ROWS))]), found)
        model.close()
        assert _equal(model.predict(ROWS), found)
        assert _equal(opened(SIGNATURE).predict(ROWS), found)

    def test_more_rows_than_a_batch_keep_their_order(self, opened: Callable[[Signature], LegacyModel]) -> None:
        model = opened(SIGNATURE)
        many = np.tile(ROWS, (501, 1))
        assert _equal(model.predict(many), np.tile(model.predict(ROWS), (501, 1)))

    def test_rows_stay_as_they_were(self, opened: Callable[[Signature], LegacyModel]) -> None:
        rows = ROWS.copy()
        opened(SIGNATURE).predict(rows)
        assert np.array_equal(rows, ROWS)

    def test_threads_get_the_scores_of_their_own_rows(self, opened: Callable[[Signature], LegacyModel]) -> None:
        model = opened(SIGNATURE)
        alone = model.predict(ROWS)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda n: model.predict(ROWS[n % 5 : n % 5 + 1]), range(20)))
        assert _equal(np.concatenate(found), np.tile(alone, (4, 1)))

    def test_another_number_of_inputs_or_outputs_is_refused(self, opened: Callable[[Signature], LegacyModel]) -> None:
        for signature, rows in ((Signature(INPUTS, 3), ROWS), (Signature(INPUTS[:2], 1), ROWS[:, :2])):
            with pytest.raises(TesseraError):
                opened(signature).predict(rows)

    def test_the_clock_goes_on(self, opened: Callable[[Signature], LegacyModel]) -> None:
        model = opened(SIGNATURE)
        before = model.clock()
        model.predict(ROWS)
        assert model.clock() >= before

    @needs("nulls")
    def test_null_is_passed_on(self, opened: Callable[[Signature], LegacyModel]) -> None:
        rows = ROWS.copy()
        rows[1, 0] = np.nan
        model = opened(SIGNATURE)
        found = model.predict(rows)
        assert _equal(found[[0, 2, 3, 4]], model.predict(ROWS)[[0, 2, 3, 4]])

    @needs("contributions")
    def test_contributions_have_the_shape_of_the_inputs(self, opened: Callable[[Signature], LegacyModel]) -> None:
        model = opened(SIGNATURE)
        assert np.isfinite(model.contributions(ROWS)).all()
        assert model.contributions(ROWS).shape == ROWS.shape

    @needs("texts")
    def test_text_arrives_as_text(self, opened: Callable[[Signature], LegacyModel]) -> None:
        country = InputFeature.model_validate({"name": "spend", "type": "text", "values": ("DE", "Größe")})
        model = opened(Signature((*INPUTS[:2], country), 1))
        found = model.predict(np.array([[1, 1, 0], [1, 1, 1]], np.float32))
        assert found[0] != found[1]
