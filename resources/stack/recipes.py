"""Trainers as recipes: what a model package keeps of its trainer, and the trainer made from it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import dagster as dg
from pydantic import ValidationError

from models.errors import TesseraError
from models.settings import TrainerSettings
from models.training.recipe import Recipe
from resources.stack.adapters import adapter_class
from resources.stack.loader import opened
from resources.stack.secrets import environment_value
from resources.stack.table import TRAINERS
from resources.trainer.port import Trainer


def recipe_of(config: dg.Config, references: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe of a trainer's config: its kind, or its dotted path if it is none of ours, and its settings.

    `references` are settings that hold secrets, by the names of their environment variables: no package keeps a secret.
    """
    path = f"{type(config).__module__}.{type(config).__qualname__}"
    known = {ours: kind for kind, ours in TRAINERS.items()}
    settings = config.model_dump(mode="json", exclude={"kind"} if path in known else None)
    return Recipe(trainer=known.get(path, path), settings={**settings, **(references or {})})


def trainers_of(candidates: Sequence[TrainerSettings]) -> list[Trainer]:
    """Open the trainers of `settings.<app>.candidates`, in their order; each knows its recipe.

    Raises:
        TesseraError: no such kind, or its settings are wrong.
    """
    return [_candidate(Recipe(trainer=one.kind, settings=one.model_extra or {})) for one in candidates]


def _candidate(given: Recipe) -> Trainer:
    config, trainer = _config_of(given), trainer_of(given)
    secret = {name: value for name, value in given.settings.items() if _filled(value) != value}
    return described(trainer, recipe_of(config, secret), anew=bool(secret))


def trainer_of(recipe: Recipe) -> Trainer:
    """Return the trainer that the recipe describes, with its settings.

    Raises:
        TesseraError: it is not installed any more, or no longer takes these settings.
    """
    trainer = cast(Trainer, opened(_config_of(recipe)))
    return described(trainer, recipe, anew=_filled(recipe.settings) != recipe.settings)


def _config_of(recipe: Recipe) -> dg.Config:
    try:
        return adapter_class("trainer", recipe.trainer)(**_filled(recipe.settings))
    except ValidationError as error:
        first = error.errors()[0]
        raise TesseraError(
            f"The trainer {recipe.trainer!r} does not take these settings: "
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}.",
            expected=f"settings that it knows instead of {dict(recipe.settings)}",
            todo="Correct settings.<app>.candidates; for a champion's recipe: install the version of the trainer that "
            "made the champion.",
        ) from error


def described(trainer: Trainer, recipe: Recipe, *, anew: bool = False) -> Trainer:
    """Return the trainer, which knows its recipe now, unless it already did; `anew`: whatever it knew.

    One that takes no new attribute stays without.
    """
    if anew or trainer.recipe is None:
        try:
            object.__setattr__(trainer, "recipe", recipe)
        except AttributeError:  # a class with slots
            return trainer
    return trainer


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        mapping = cast(dict[str, Any], value)
        if set(mapping) == {"env"}:
            return environment_value(mapping["env"])
        return {key: _filled(item) for key, item in mapping.items()}
    return [_filled(item) for item in cast(list[Any], value)] if isinstance(value, list) else value
