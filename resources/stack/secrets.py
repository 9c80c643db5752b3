"""`{env: NAME}`: a secret that stays a reference until an adapter is opened."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from models.errors import TesseraError
from resources.masking import remember

M = TypeVar("M", bound=BaseModel)


def environment_value(name: str) -> str:
    """Return the value of an environment variable.

    Raises:
        TesseraError: it is not set.
    """
    if name not in os.environ:
        raise TesseraError(
            f"The environment variable {name!r} is not set.",
            expected="the secret that stack.yaml takes from it",
            todo=f"Set {name} where this runs: in the shell, the service's unit, or the container.",
        )
    remember(name, os.environ[name])
    return os.environ[name]


def filled_in(config: M) -> M:
    """Return the config with the values of all references that it still holds, at any depth.

    Raises:
        TesseraError: an environment variable is not set.
    """
    changed = {name: new for name, old in config if (new := _filled(old)) is not old}
    return config.model_copy(update=changed) if changed else config


def _filled(value: Any) -> Any:
    """`value` itself if it holds no reference."""
    if isinstance(value, BaseModel):
        return filled_in(value)
    if isinstance(value, Mapping):
        if set(value) == {"env"} and isinstance(value["env"], str):
            return environment_value(value["env"])
        new = {key: _filled(item) for key, item in value.items()}
        return new if any(new[key] is not item for key, item in value.items()) else value
    if isinstance(value, list):
        items = [_filled(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
