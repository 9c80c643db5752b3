"""Config objects made of checked values; whatever a class says against a value becomes one sentence."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from models.errors import TesseraError, clause
from resources.stack.document import Place
from resources.stack.strictness import SecretReference, dotted

EXPECTED = "the settings that docs/stack.md lists"
M = TypeVar("M", bound=BaseModel)


class Origin(Protocol):
    """Origin of the values: it can say what is wrong with one, and show it if it is no secret."""

    def wrong(self, place: Place, what: str, expected: str) -> TesseraError:
        """Return the error for the value at that place."""
        ...

    def shown(self, place: Place) -> str:
        """Return ` is VALUE`, or nothing for what may be a secret."""
        ...


def config_of(
    kind: type[M], values: Mapping[str, Any], place: Place, origin: Origin, secret: Callable[[str], str]
) -> M:
    """Return a config of strictly checked values, each reference to a secret replaced by `secret(NAME)`.

    Raises:
        TesseraError: the class refuses a value; no secret is in the message.
    """
    names: set[str] = set()

    def filled(value: Any) -> Any:
        if isinstance(value, SecretReference):
            names.add(value.name)
            return secret(value.name)
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        return [filled(item) for item in value] if isinstance(value, list) else value

    try:
        return kind(**filled(values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        at = (*place, *first["loc"])
        if _is_missing(kind, first["loc"], values):
            raise origin.wrong(at, f"`{dotted(at)}` is not given", "a value: it has no default") from None
        says = _without(clause(first["msg"]), names)
        raise origin.wrong(at, f"`{dotted(at)}`{origin.shown(at)}: {says}", EXPECTED) from None
    except (TypeError, LookupError, ArithmeticError, AttributeError, OSError) as error:
        says = _without(f"{type(error).__name__}: {error}", names)
        raise origin.wrong(place, f"`{dotted(place)}` cannot be used: {says}", EXPECTED) from None


def _is_missing(kind: type[BaseModel], place: Sequence[str | int], values: Mapping[str, Any]) -> bool:
    """Return True for a required setting that is not given; Dagster's configs make None of it."""
    field = kind.model_fields.get(str(place[0])) if len(place) == 1 else None
    return field is not None and field.is_required() and place[0] not in values


def _without(text: str, names: set[str]) -> str:
    """`text` without the values of these environment variables."""
    for name in names:
        if value := os.environ.get(name):
            text = text.replace(repr(value)[1:-1], f"{{env: {name}}}").replace(value, f"{{env: {name}}}")
    return text
