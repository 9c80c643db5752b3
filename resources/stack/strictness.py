"""The settings of any config class, checked strictly: unknown keys at any depth, and values of another type.

Pydantic ignores unknown keys unless a class forbids them, and turns `"yes"` into true and `1` into 1.0; an adapter of a
third party must not have to know that. Only classes that say `extra="allow"` take any key.
"""

import dataclasses
import datetime
import re
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel
from pydantic.fields import FieldInfo
from typing_extensions import is_typeddict

from models.errors import choose_from
from resources.stack.document import Place, plain_scalar

#: What YAML gives for a type, and how that is called.
_SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text (a number in quotes is text)"),
    Path: ((str,), "a path"),
    datetime.date: ((str,), "a day, YYYY-MM-DD"),
    datetime.datetime: ((str,), "a time, YYYY-MM-DDTHH:MM"),
    datetime.time: ((str,), "a time of day, HH:MM"),
    type(None): ((type(None),), "nothing"),
}
_SECRET = re.compile(r"pass|secret|token|key|credential|ur[il]|connection|dsn", re.IGNORECASE)
_LISTS = (list, tuple, set, frozenset, Sequence, Iterable, Collection)


class Expanded(str):
    """Text into which variables were filled; where a number or true or false is asked for, it is one.

    Attributes:
        template: as it is in the file: the way to show it without what the environment holds.
    """

    __slots__ = ("template",)
    template: str

    def __new__(cls, text: str, template: str) -> "Expanded":
        """`text`, which is `template` in the file."""
        made = super().__new__(cls, text)
        made.template = template
        return made


@dataclasses.dataclass(frozen=True)
class SecretReference:
    """`{env: NAME}` where text is asked for; the value is looked up when the adapter is opened."""

    name: str


class WrongSetting(Exception):
    """One setting is wrong. `place` leads to it from where the check began."""

    def __init__(self, place: Place, what: str, expected: str) -> None:
        super().__init__(what)
        self.place, self.what, self.expected = place, what, expected


def strict(kind: Any, value: Any, place: Place = ()) -> Any:
    """`value` as a class or annotation wants it: references as `SecretReference`, filled-in text as what it stands for.

    Raises:
        WrongSetting: an unknown key, or a value of another type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return strict(arguments[0], value, place)
    if kind is Any or kind is object or isinstance(kind, typing.TypeVar):
        return _checked_references(value, place)
    if origin in (Union, types.UnionType):
        return _any_of(arguments, value, place)
    if isinstance(kind, type) and issubclass(kind, RootModel):
        return strict(kind.model_fields["root"].annotation, value, place)
    fields = _fields(kind)
    if fields is not None and isinstance(value, Mapping) and not is_reference(value):
        return _strict_fields(kind, fields, value, place)
    if fields is not None:
        raise WrongSetting(place, _is(place, value), "settings: " + ", ".join(fields))
    return _strict_value(kind, origin, arguments, value, place)


def is_reference(value: object) -> bool:
    """Return True for `{env: ...}`."""
    return isinstance(value, Mapping) and set(value) == {"env"}


def shown(value: object) -> str:
    """Return a value for a message, without what the environment holds."""
    if isinstance(value, (Mapping, list)):
        return "a list" if isinstance(value, list) else "a mapping"
    text = repr(value.template if isinstance(value, Expanded) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _strict_value(kind: Any, origin: Any, arguments: tuple[Any, ...], value: Any, place: Place) -> Any:
    if is_reference(value):
        return _reference(value, place, is_text=kind is str)
    root = origin or kind
    if isinstance(root, type) and issubclass(root, Mapping):
        if not isinstance(value, Mapping):
            raise WrongSetting(place, _is(place, value), "a mapping: `name: value`")
        inner = arguments[1] if len(arguments) == 2 else Any
        return {key: strict(inner, item, (*place, key)) for key, item in value.items()}
    if root in _LISTS:
        if not isinstance(value, list):
            raise WrongSetting(place, _is(place, value), "a list: `[a, b]`")
        kinds = _item_kinds(root, arguments, len(value))
        return [
            strict(inner, item, (*place, number)) for number, (inner, item) in enumerate(zip(kinds, value, strict=True))
        ]
    if origin is Literal:
        return _one_of(arguments, value, place)
    return _strict_scalar(kind, value, place)


def _strict_scalar(kind: Any, value: Any, place: Place) -> Any:
    if kind not in _SCALARS:
        return _plain(value)
    allowed, words = _SCALARS[kind]
    given = plain_scalar(value) if isinstance(value, Expanded) and str not in allowed else value
    if not isinstance(given, allowed) or (isinstance(given, bool) and bool not in allowed):
        raise WrongSetting(place, _is(place, value), words)
    return _plain(given)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Expanded) else value


def _one_of(choices: Sequence[Any], value: Any, place: Place) -> Any:
    given = value if value in choices or not isinstance(value, Expanded) else plain_scalar(value)
    if not any(given == choice and type(given) in (type(choice), Expanded) for choice in choices):
        raise WrongSetting(place, _is(place, value), choose_from(str(given), map(str, choices)))
    return _plain(given)


def _any_of(kinds: Sequence[Any], value: Any, place: Place) -> Any:
    """As the first kind that takes it; if none does, the complaint that leads deepest."""
    text_first = sorted(kinds, key=lambda kind: kind is not str) if isinstance(value, Expanded) else kinds
    wrong: list[WrongSetting] = []
    for kind in text_first:
        try:
            return strict(kind, value, place)
        except WrongSetting as error:
            wrong.append(error)
    deepest = max(wrong, key=lambda error: len(error.place))
    if len(deepest.place) > len(place):
        raise deepest
    raise WrongSetting(place, _is(place, value), " or ".join(dict.fromkeys(error.expected for error in wrong)))


def _strict_fields(kind: Any, fields: Mapping[str, Any], value: Mapping[str, Any], place: Place) -> dict[str, Any]:
    if not _takes_any_key(kind):
        for key in value:
            if key not in fields:
                at = (*place, key)
                raise WrongSetting(at, f"`{dotted(at)}` is no setting", choose_from(key, fields))
    return {key: strict(fields.get(key, Any), item, (*place, key)) for key, item in value.items()}


def _fields(kind: Any) -> dict[str, Any] | None:
    """Key in the file -> annotation, of what has named settings."""
    if not isinstance(kind, type):
        return None
    if issubclass(kind, BaseModel):
        both = kind.model_config.get("populate_by_name") or kind.model_config.get("validate_by_name")
        return {
            key: _annotation(field) for name, field in kind.model_fields.items() for key in _keys(name, field, both)
        }
    if dataclasses.is_dataclass(kind) or is_typeddict(kind):
        return typing.get_type_hints(kind)
    return None


def _annotation(field: FieldInfo) -> Any:
    return field.annotation if field.annotation is not None else Any


def _keys(name: str, field: FieldInfo, both: object) -> list[str]:
    alias = field.validation_alias or field.alias
    several = alias.choices if isinstance(alias, AliasChoices) else [alias]
    aliases = [str(one.path[0]) if isinstance(one, AliasPath) else one for one in several if one is not None]
    return [*aliases, name] if both or not aliases else aliases


def _takes_any_key(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and kind.model_config.get("extra") == "allow"


def _item_kinds(root: Any, arguments: tuple[Any, ...], number: int) -> list[Any]:
    if root is tuple and arguments and arguments[-1] is not Ellipsis and len(arguments) == number:
        return list(arguments)
    return [arguments[0] if arguments else Any] * number


def _checked_references(value: Any, place: Place) -> Any:
    """Any value, its references as they are: their use is not yet known."""
    if is_reference(value):
        _reference(value, place, is_text=True)
        return value
    if isinstance(value, Mapping):
        return {key: _checked_references(item, (*place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_checked_references(item, (*place, number)) for number, item in enumerate(value)]
    return _plain(value)


def _reference(value: Mapping[str, Any], place: Place, *, is_text: bool) -> SecretReference:
    name = value["env"]
    if not isinstance(name, str) or not name or "\0" in name or "=" in name:
        raise WrongSetting(
            (*place, "env"), f"`{dotted(place)}` is {{env: {name}}}", "the name of an environment variable"
        )
    if not is_text:
        raise WrongSetting(place, f"`{dotted(place)}` is a secret, {{env: {name}}}", f"no text here; write ${{{name}}}")
    return SecretReference(name)


def dotted(place: Sequence[str | int]) -> str:
    """Return a place in words: `ports.source.customers`."""
    return ".".join(map(str, place))


def may_be_secret(place: Place) -> bool:
    """Return True if a setting is named like a password: its value must not appear in a message."""
    return any(_SECRET.search(str(part)) for part in place)


def _is(place: Place, value: Any) -> str:
    return f"`{dotted(place)}` is {'of another type' if may_be_secret(place) else shown(value)}"
