"""XGBoost boosters in UBJ or JSON files."""

# pyright: basic
# xgboost has hardly any static types.

import json
from pathlib import Path
from typing import ClassVar, Literal

import dagster as dg
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.training.model import Matrix
from models.training.ubj_files import is_whole
from resources.conformance.capabilities import Gap
from resources.legacy_model.port import LegacyModel, Outputs, Signature, checked_outputs


class XGBoostConfig(dg.Config):
    """A booster that was saved with `save_model`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar = {
        "texts": Gap("its file has numbers only", "^TesseraError: The input .* is text"),
    }

    kind: Literal["xgboost"] = "xgboost"
    file: str = Field(default="model.ubj", description="File in the package: .ubj or .json.")

    def open(self, folder: Path, signature: Signature) -> "XGBoostFile":
        """Return the booster.

        Raises:
            TesseraError: it is none, or takes other inputs.
        """
        signature.check_numbers(self.kind)
        return XGBoostFile(folder / self.file, signature)


class XGBoostFile(LegacyModel):
    """A booster; prediction reads float32 rows in place."""

    kind = "xgboost"
    explains = True

    def __init__(self, file: Path, signature: Signature) -> None:
        import xgboost as xgb

        if not _is_whole(file):
            raise _no_model(file)
        try:
            booster = xgb.Booster({"nthread": 1}, model_file=file)
        except xgb.core.XGBoostError:
            raise _no_model(file) from None
        signature.check_names(booster.feature_names, file.name)
        signature.check_width(booster.num_features(), file.name)
        booster.feature_names = None
        self._xgb, self._booster, self._signature, self._name = xgb, booster, signature, file.name

    @override
    def predict(self, inputs: Matrix) -> Outputs:
        found = self._booster.inplace_predict(inputs, validate_features=False)
        return checked_outputs(found, len(inputs), self._signature, self._name)

    @override
    def contributions(self, inputs: Matrix) -> Matrix:
        return self._booster.predict(self._xgb.DMatrix(inputs, nthread=1), pred_contribs=True)[:, :-1]


def _is_whole(file: Path) -> bool:
    if file.suffix == ".ubj":
        return is_whole(file)
    try:
        return "learner" in json.loads(file.read_bytes())
    except (ValueError, RecursionError, TypeError):
        return False


def _no_model(file: Path) -> TesseraError:
    return TesseraError(
        f"{file.name} is no XGBoost model.",
        expected="a file that `Booster.save_model` wrote as .ubj or .json (the binary format before XGBoost 2 is none)",
        todo="Save it again with the XGBoost that made it.",
    )
