"""scikit-learn models in skops files, of the types on our own list."""

# pyright: basic
# scikit-learn has no static types.

import warnings
from pathlib import Path
from typing import Any, ClassVar, Literal

import dagster as dg
import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.training.model import Matrix
from resources.conformance.capabilities import Gap
from resources.legacy_model.port import LegacyModel, Outputs, Signature, checked_outputs


class SkopsConfig(dg.Config):
    """A skops file; types that our list lacks (random forests) run as a command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar = {
        "contributions": Gap("scikit-learn gives none for most models", "^TesseraError: .*cannot say"),
        "nulls": Gap("that depends on the estimator: `if_missing` stands in", "^TesseraError: .*cannot score"),
        "texts": Gap("a matrix has numbers only", "^TesseraError: The input .* is text"),
    }

    kind: Literal["skops"] = "skops"
    file: str = Field(default="model.skops", description="File in the package.")

    def open(self, folder: Path, signature: Signature) -> "SkopsFile":
        """Return the model.

        Raises:
            TesseraError: it is none, names a type that is not on the list, or takes other inputs.
        """
        signature.check_numbers(self.kind)
        return SkopsFile(folder / self.file, signature)


class SkopsFile(LegacyModel):
    """A scikit-learn estimator."""

    kind = "skops"

    def __init__(self, file: Path, signature: Signature) -> None:
        from models.training.skops_files import read_skops

        self._model: Any = read_skops(file)
        if not hasattr(self._model, "predict_proba") and not hasattr(self._model, "predict"):
            raise TesseraError(
                f"{file.name} holds a {type(self._model).__name__}.", expected="an estimator", todo="Save the model."
            )
        names = getattr(self._model, "feature_names_in_", None)
        signature.check_names(None if names is None else [str(name) for name in names], file.name)
        signature.check_width(getattr(self._model, "n_features_in_", None), file.name)
        self._signature, self._name = signature, file.name

    @override
    def predict(self, inputs: Matrix) -> Outputs:
        if not len(inputs):  # scikit-learn refuses them
            return np.empty((0, self._signature.outputs))
        score = getattr(self._model, "predict_proba", None) or self._model.predict
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="X does not have valid feature names")
                found = score(inputs)
        except (ValueError, TypeError, AttributeError) as error:
            raise TesseraError(
                f"{self._name} cannot score {len(inputs)} rows: {error}.",
                expected="a model that takes these inputs, NULL included",
                todo="Give `if_missing` for inputs whose NULL it cannot take.",
            ) from error
        return checked_outputs(found, len(inputs), self._signature, self._name)
