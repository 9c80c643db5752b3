"""Several trainers' models side by side and merged, as one candidate."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Literal, TypeVar

import dagster as dg
from pydantic import ConfigDict, Field, field_validator

from models.errors import TesseraError
from models.settings import TrainerSettings
from models.training.columns import Columns
from models.training.model import Fit, Groups, Labels, Matrix
from models.training.recipe import Recipe
from resources.health import Health
from resources.stack.recipes import trainers_of
from resources.trainer.port import Trainer

T = TypeVar("T")


class FanOutTrainerConfig(dg.Config):
    """Several classifiers, each a candidate of its own kind and settings, whose log-odds are merged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fan_out"] = "fan_out"
    merge: Literal["mean", "stacking"] = Field(
        default="mean",
        description="`mean`: all count the same; `stacking`: weights are chosen on out-of-fold predictions.",
    )
    of: list[dict[str, Any]] = Field(
        min_length=2,
        description="The trainers, as `candidates` names them: `[{kind: xgboost}, {kind: logistic_regression}]`.",
    )

    @field_validator("of")
    @classmethod
    def _names_each_kind(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for number, part in enumerate(value):
            if not isinstance(part.get("kind"), str):
                raise ValueError(f"entry {number} names no `kind`")
        return value

    def open(self) -> "FanOutTrainer":
        """Return the trainer.

        Raises:
            TesseraError: no such kind, wrong settings, or a trainer of another task.
        """
        return FanOutTrainer(trainers_of([TrainerSettings.model_validate(one) for one in self.of]), self.merge)


class FanOutTrainer(Trainer):
    """Fits every trainer to the same rows; their merge is the model, and its name that of the candidate."""

    def __init__(self, trainers: Sequence[Trainer], merge: Literal["mean", "stacking"]) -> None:
        self.name = merge
        self._merge: Literal["mean", "stacking"] = merge
        self.parts = tuple(trainers)
        for trainer in trainers:
            if trainer.task != "binary":
                raise TesseraError(
                    f"The trainer {trainer.name!r} of a fan-out makes models of a {trainer.task} task.",
                    expected="trainers of classifiers of two classes",
                    todo="Correct `of` in settings.<app>.candidates.",
                )
        recipes = [trainer.recipe for trainer in trainers if trainer.recipe is not None]
        if len(recipes) == len(self.parts):
            # With every default, so that an upgrade that changes one does not change the champion's settings.
            of = [{"kind": recipe.trainer, **recipe.settings} for recipe in recipes]
            self.recipe = Recipe(trainer="fan_out", settings={"merge": merge, "of": of})

    def fit(self, rows: Matrix, labels: Labels, groups: Groups) -> Fit:
        """Return the calibrated merge, and its out-of-fold probabilities."""
        from models.training.merged_model import merged

        fits = [trainer.fit(rows, labels, groups) for trainer in self.parts]
        return merged(fits, rows, labels, _numbered([fit.notes for fit in fits]), self._merge)

    def knowing(self, columns: Columns) -> "FanOutTrainer":
        """Return the same trainer, each of whose trainers knows the columns."""
        return self._each(lambda _, trainer: trainer.knowing(columns))

    def keeping(self, chosen: Mapping[str, str]) -> "FanOutTrainer":
        """Return the same trainer, each of whose trainers keeps what it chose."""
        return self._each(lambda place, trainer: trainer.keeping(_part(chosen, place)))

    def parameters(self) -> dict[str, str]:
        """Parameters of each trainer, its number before their names."""
        parts = [{"trainer": trainer.name, **trainer.parameters()} for trainer in self.parts]
        return {"merge": f"{self._merge} of log-odds", **_numbered(parts)}

    def check(self) -> Health:
        """Check every trainer."""
        found = [trainer.check() for trainer in self.parts]
        return Health(ok=all(one.ok for one in found), says="; ".join(one.says for one in found))

    def _each(self, changed: Callable[[int, Trainer], Trainer]) -> "FanOutTrainer":
        found = copy(self)
        found.parts = tuple(changed(place, trainer) for place, trainer in enumerate(self.parts))
        return found


def _numbered(parts: Sequence[Mapping[str, T]]) -> dict[str, T]:
    return {f"{place}.{name}": value for place, part in enumerate(parts) for name, value in part.items()}


def _part(chosen: Mapping[str, str], place: int) -> dict[str, str]:
    start = f"{place}."
    return {name.removeprefix(start): value for name, value in chosen.items() if name.startswith(start)}
