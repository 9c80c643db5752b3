"""Trainers as recipes: what a model package keeps of its trainer, and the trainer made from it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import dagster as dg
from pydantic import ValidationError

from models.errors import TesseraError
from models.training.recipe import Recipe
from resources.stack.loader import ADAPTERS, adapter_class, opened
from resources.stack.secrets import environment_value
from resources.trainer.port import Trainer


def recipe_of(config: dg.Config, references: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe of a trainer's config: its kind, or its dotted path if it is none of ours, and its settings.

    `references` are settings that hold secrets, by the names of their environment variables: no package keeps a secret.
    """
    path = f"{type(config).__module__}.{type(config).__qualname__}"
    known = {ours: kind for kind, ours in ADAPTERS["trainer"].items()}
    settings = config.model_dump(mode="json", exclude={"kind"} if path in known else None)
    return Recipe(trainer=known.get(path, path), settings={**settings, **(references or {})})


def trainer_of(recipe: Recipe) -> Trainer:
    """Return the trainer that the recipe describes, with its settings.

    Raises:
        TesseraError: it is not installed any more, or no longer takes these settings.
    """
    try:
        config: Any = adapter_class("trainer", recipe.trainer)(**_filled(recipe.settings))
    except ValidationError as error:
        raise TesseraError(
            f"The trainer {recipe.trainer!r} does not take its former settings any more: {error.errors()[0]['msg']}.",
            expected=f"the settings {dict(recipe.settings)}",
            todo="Install the version of it that made the champion.",
        ) from error
    trainer = cast(Trainer, opened(config))
    return trainer if trainer.recipe else described(trainer, recipe)


def described(trainer: Trainer, recipe: Recipe) -> Trainer:
    """Return the trainer, which knows its recipe now, unless it already did.

    One that takes no new attribute stays without.
    """
    if trainer.recipe is None:
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
