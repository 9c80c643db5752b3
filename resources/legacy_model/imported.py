"""An imported model as the registry's packages hold it: its contract, its files, how it is run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from models.errors import TesseraError
from models.legacy.contract import LegacyContract
from models.legacy.inputs import Inputs
from models.training.calibration import log_odds, sigmoid
from models.training.intervals import Intervals, on_scale
from models.training.model import Matrix, Vector
from resources.legacy_model.port import LegacyModel, Signature, config_of


class ImportedModel:
    """A model that was made elsewhere, over the matrix of its own encoder.

    Attributes:
        explains: it gives contributions.
    """

    kind = "imported"

    def __init__(self, contract: LegacyContract, model: LegacyModel, files: Mapping[str, Path]) -> None:
        self.contract, self.encoder = contract, contract.encoder()
        self._inputs = Inputs(contract.features, self.encoder)
        self._model, self._files, self.explains = model, dict(files), model.explains

    def predict(self, rows: Matrix) -> Vector:
        """Return probabilities of the positive class, or numbers, shape `(n_rows,)`.

        Raises:
            TesseraError: the model does not answer, or not with what its contract says.
        """
        return self.of_inputs(self._inputs.of(rows))

    def of_inputs(self, inputs: Matrix) -> Vector:
        """Return scores of inputs of the model, as golden rows have them."""
        output = self.contract.output
        found = self._model.predict(inputs)[:, output.column]
        if output.kind == "log_odds":
            return sigmoid(found)
        if output.is_number:
            return found if output.at_least is None else np.maximum(found, output.at_least)
        outside = (found < 0) | (found > 1)
        if outside.any():
            raise _no_probability(float(found[np.flatnonzero(outside)[0]]))
        return found

    def raw(self, rows: Matrix) -> Vector:
        """Return log-odds, or the numbers themselves, shape `(n_rows,)`."""
        found = self.predict(rows)
        return found if self.contract.output.is_number else log_odds(found)

    def contributions(self, rows: Matrix) -> Matrix:
        """Return the contribution of each column to the model's own log-odds or number.

        Raises:
            TesseraError: this kind of model gives none.
        """
        return self._inputs.spread(self._model.contributions(self._inputs.of(rows)))

    def golden_matrix(self, inputs: Matrix) -> Matrix:
        """Return the matrix of the encoder for inputs of the model."""
        return self._inputs.back(inputs)

    def clock(self) -> float:
        """Return seconds by which the cost of a prediction is measured."""
        return self._model.clock()

    def close(self) -> None:
        """End what runs it."""
        self._model.close()

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Copy the model's files to `folder`, and return its contract."""
        for name, path in self._files.items():
            shutil.copyfile(path, folder / name)
        return {"contract": self.contract.model_dump(mode="json", by_alias=True)}

    def with_intervals(self, intervals: Intervals) -> ImportedNumbers:
        """Return the same model of numbers with intervals around its predictions."""
        return ImportedNumbers(self.contract, self._model, self._files, intervals)

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> ImportedModel:
        """Return the model that `save` described.

        Raises:
            TesseraError: its files, its environment or its library are not those of the import.
        """
        contract = LegacyContract.model_validate(saved["contract"])
        found = ImportedModel(contract, opened(contract, folder), {})
        return found.with_intervals(Intervals.from_json(saved["intervals"])) if "intervals" in saved else found


class ImportedNumbers(ImportedModel):
    """A model of numbers that was made elsewhere, with intervals that were measured at the import."""

    def __init__(
        self, contract: LegacyContract, model: LegacyModel, files: Mapping[str, Path], intervals: Intervals
    ) -> None:
        super().__init__(contract, model, files)
        self._intervals = intervals

    def interval(self, rows: Matrix) -> tuple[Vector, Vector]:
        """Return lower and upper end, each of shape `(n_rows,)`."""
        predicted = self.predict(rows)
        lower, upper = self._intervals.around(on_scale(self._intervals.target, predicted))
        return np.minimum(lower, predicted), np.maximum(upper, predicted)

    @override
    def save(self, folder: Path) -> Mapping[str, Any]:
        return {**super().save(folder), "intervals": self._intervals.to_json()}


def opened(contract: LegacyContract, folder: Path) -> LegacyModel:
    """Return what runs a model, whose files are in `folder`.

    Raises:
        TesseraError: it is not what the contract says.
    """
    signature = Signature(contract.features, contract.output.of)
    return config_of(contract.runs or {}).open(folder, signature)


def _no_probability(found: float) -> TesseraError:
    return TesseraError(
        f"The model gives {found:g} where a probability is due.",
        expected="numbers from 0 to 1",
        todo="If they are logits, say `output: {is: log_odds}` in the contract; of numbers, `{is: number}`; "
        "else the right `output.column`.",
    )
