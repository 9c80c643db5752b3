"""A model of the registry as a part of a composition."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.compose.budget import Estimate
from models.compose.fields import Column, fields
from models.compose.package import Pin
from models.compose.step import Leaf, Step
from models.training.children import ChildFacts
from models.training.model_package import LoadedModel, load


class ModelPart:
    """A model package as a step: takes the model's features, gives its prediction as the number `gives`.

    A feature without a value is a missing number.
    """

    loader = "models.compose.model_part:ModelPart.read"
    needs: tuple[str, ...] = ()

    def __init__(self, package: Path, loaded: LoadedModel, *, gives: str, cost: Estimate) -> None:
        self._package = package
        self._loaded = loaded
        self._gives = gives
        self._cost = cost

    @classmethod
    def of(
        cls, package: Path, *, gives: str = "probability", cost: Estimate | None = None, trusted: tuple[str, ...] = ()
    ) -> ModelPart:
        """Return the model in the folder of a package, as the registry hands it out.

        Raises:
            TesseraError: the package is refused.
        """
        return cls(package, load(package, trusted=trusted), gives=gives, cost=cost or Estimate())

    @classmethod
    def read(cls, folder: Path, saved: Mapping[str, Any], resources: Mapping[str, Any]) -> ModelPart:  # noqa: ARG003
        """Return the part that `save` wrote."""
        return cls.of(folder, gives=str(saved["gives"]), cost=Estimate(**saved["cost"]))

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Copy the model's package."""
        shutil.copytree(self._package, folder, dirs_exist_ok=True)
        return {"gives": self._gives, "cost": vars(self._cost)}

    @property
    def facts(self) -> ChildFacts:
        """Training set and metrics, from the model's card."""
        card = self._loaded.card
        rows: dict[str, str | int] = {"app": card.app, "as_of": str(card.as_of), "rows": card.rows}
        return ChildFacts(kind=self._loaded.model.kind, trained_on=rows, metrics=card.metrics)

    def step(self, name: str) -> Step:
        """Return the model as a step: numbers and texts of its features in, its prediction out."""
        encoder = self._loaded.encoder
        takes = {**dict.fromkeys(encoder.numeric, "number?"), **dict.fromkeys(encoder.categories, "text?")}

        def predict(**columns: Column) -> Mapping[str, Column]:
            rows = np.empty((next(iter(columns.values())).shape[0], len(encoder.feature_names)), dtype=np.float32)
            for place, feature in enumerate(encoder.numeric):
                rows[:, place] = columns[feature]
            place = len(encoder.numeric)
            for feature, values in encoder.categories.items():
                for value in values:
                    rows[:, place] = columns[feature] == value
                    place += 1
            return {self._gives: self._loaded.model.predict(rows)}

        card = self._loaded.card
        contracts = fields(card.feature_service, takes), fields(f"{card.app}'s prediction", {self._gives: "number"})
        return Leaf(name, *contracts, predict, cost=self._cost, version=self._loaded.sha256)

    def pin(self, app: str, version: str) -> Pin:
        """Return the pin of the version that the package is of."""
        return Pin(app, version, self._loaded.sha256)
