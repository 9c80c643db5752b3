"""An imported model as the registry's packages hold it: its contract, its files, how it is run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import TesseraError
from models.legacy.contract import LegacyContract
from models.legacy.inputs import Inputs
from models.training.calibration import log_odds, sigmoid
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
        """Return probabilities of the positive class, shape `(n_rows,)`.

        Raises:
            TesseraError: the model does not answer, or not with probabilities.
        """
        return self.of_inputs(self._inputs.of(rows))

    def of_inputs(self, inputs: Matrix) -> Vector:
        """Return probabilities of inputs of the model, as golden rows have them."""
        output = self.contract.output
        found = self._model.predict(inputs)[:, output.column]
        if output.kind == "log_odds":
            return sigmoid(found)
        outside = (found < 0) | (found > 1)
        if outside.any():
            raise _no_probability(float(found[np.flatnonzero(outside)[0]]))
        return found

    def raw(self, rows: Matrix) -> Vector:
        """Return log-odds, shape `(n_rows,)`."""
        return log_odds(self.predict(rows))

    def contributions(self, rows: Matrix) -> Matrix:
        """Return the contribution of each column to the log-odds.

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

    @classmethod
    def load(cls, folder: Path, saved: Mapping[str, Any]) -> ImportedModel:
        """Return the model that `save` described.

        Raises:
            TesseraError: its files, its environment or its library are not those of the import.
        """
        contract = LegacyContract.model_validate(saved["contract"])
        return cls(contract, opened(contract, folder), {})


def opened(contract: LegacyContract, folder: Path) -> LegacyModel:
    """Return what runs a model, whose files are in `folder`.

    Raises:
        TesseraError: it is not what the contract says.
    """
    signature = Signature(contract.features, contract.output.of)
    return config_of(contract.runs or {}).open(folder, signature)


def golden_differences(stored: Vector, scores: Vector, tolerance: float) -> NDArray[np.intp]:
    """Return the places of golden rows whose score is not the stored one."""
    return np.flatnonzero(~(np.abs(stored - scores) <= tolerance))


def _no_probability(found: float) -> TesseraError:
    return TesseraError(
        f"The model gives {found:g} where a probability is due.",
        expected="numbers from 0 to 1",
        todo="If they are logits, say `output: {is: log_odds}` in the contract; else name the right `output.column`.",
    )
