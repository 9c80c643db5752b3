"""LightGBM boosters in text files."""

# pyright: basic
# lightgbm has no static types.

from pathlib import Path
from typing import ClassVar, Literal

import dagster as dg
import numpy as np
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.errors import TesseraError
from models.training.model import Matrix
from resources.conformance.capabilities import Gap
from resources.legacy_model.port import LegacyModel, Outputs, Signature, checked_outputs, not_installed


class LightGBMConfig(dg.Config):
    """A booster that was saved with `save_model`. Needs the extra `legacy`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: ClassVar = {
        "texts": Gap("its file has numbers only", "^TesseraError: The input .* is text"),
    }

    kind: Literal["lightgbm"] = "lightgbm"
    file: str = Field(default="model.lgb", description="File in the package.")

    def open(self, folder: Path, signature: Signature) -> "LightGBMFile":
        """Return the booster.

        Raises:
            TesseraError: it is none, takes other inputs, or LightGBM is not installed.
        """
        signature.check_numbers(self.kind)
        return LightGBMFile(folder / self.file, signature)


class LightGBMFile(LegacyModel):
    """A booster, on one thread."""

    kind = "lightgbm"
    explains = True

    def __init__(self, file: Path, signature: Signature) -> None:
        try:
            import lightgbm
        except ImportError:
            raise not_installed("lightgbm") from None
        try:
            text = file.read_text(encoding="utf-8")
            if not text.startswith("tree\n") or "end of trees" not in text:
                raise ValueError
            self._booster = lightgbm.Booster(model_str=text)
        except (lightgbm.basic.LightGBMError, ValueError):
            raise TesseraError(
                f"{file.name} is no LightGBM model.",
                expected="a text file that `Booster.save_model` wrote, whole",
                todo="Save it again.",
            ) from None
        names = self._booster.feature_name()
        made_up = [f"Column_{place}" for place in range(len(names))]
        signature.check_width(self._booster.num_feature(), file.name)
        signature.check_names(None if names == made_up else names, file.name)
        self._signature, self._name = signature, file.name

    @override
    def predict(self, inputs: Matrix) -> Outputs:
        found = self._booster.predict(inputs, num_threads=1) if len(inputs) else np.empty((0, self._signature.outputs))
        return checked_outputs(found, len(inputs), self._signature, self._name)

    @override
    def contributions(self, inputs: Matrix) -> Matrix:
        return np.asarray(self._booster.predict(inputs, pred_contrib=True, num_threads=1), np.float32)[:, :-1]
