"""One profile of a stack file as plain values: what it extends taken over, variables filled in, its shape checked."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import TesseraError, choose_from
from resources.stack.adapters import kinds_of
from resources.stack.document import Document, Place
from resources.stack.strictness import Expanded, is_reference, may_be_secret, shown
from resources.stack.table import Port

#: The first day of a profile that names neither a source nor a calendar.
FIRST_DAY = "2025-01-01"

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_NO_VARIABLE = re.compile(r"\$\{(?!\w+(?::-[^}]*)?\})")
_TOP = ("default_profile", "profiles")
_KEYS = ("apps", "calendar", "dagster_storage", "extends", "home", "ports", "settings")


@dataclass(frozen=True)
class RawProfile:
    """A profile before its settings are checked.

    Attributes:
        chain: its name, and those of the profiles that it extends.
        variables: values of `${NAME}`.
    """

    name: str
    home: Path
    values: Mapping[str, Any]
    chain: Sequence[str]
    document: Document
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)

    def where(self, place: Place) -> str:
        """`FILE:LINE` of a place in the profile, which may be in a profile that it extends."""
        found = [("profiles", name, *place) for name in self.chain]
        if place[:1] == ("ports",):
            found = [full for full in found if full[:4] in self.document.lines] or found
            return self.document.where(found[0])
        return self.document.where(max(found, key=self._depth))

    def shown(self, place: Place) -> str:
        """` is VALUE` for a message; nothing for what may be a secret, is missing, or is no single value."""
        value: Any = self.values
        for part in place:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return ""
        if isinstance(value, (dict, list)) or may_be_secret(place):
            return ""
        return f" is {shown(value)}"

    def _depth(self, place: Place) -> int:
        return max(depth for depth in range(len(place) + 1) if not depth or place[:depth] in self.document.lines)


def raw_profile(
    document: Document,
    table: Mapping[str, Port],
    name: str | None,
    home: str | None,
    environment: Mapping[str, str],
) -> RawProfile:
    """Return the profile `name` (None: the file's default) with its home, every part of the right shape.

    Args:
        document: a stack file.
        table: all ports; one that the profile does not name gets its default adapter.
        name: of the profile.
        home: a folder instead of the profile's own.
        environment: variables and their values.

    Raises:
        TesseraError: no such profile, an unknown key, a part of another shape, or a variable that is not set.
    """
    profiles = _profiles(document)
    chosen = name if name is not None else _default(document, profiles)
    if chosen not in profiles:
        raise TesseraError(
            f"There is no profile {chosen!r} in {document.file}.",
            expected=choose_from(chosen, profiles),
            todo="Set TESSERA_PROFILE, or pass --profile.",
        )
    chain = _chain(document, profiles, chosen)
    values = _inherited([profiles[name] for name in chain])
    shape = RawProfile(chosen, Path(), values, chain, document)
    _check_ports(shape, table)
    values = _with_defaults(values, table)
    place = _home(shape, home, environment)
    names = {**environment, "root": str(document.file.parent), "home": str(place)}
    names["first_day"] = str(_first_day(values) or FIRST_DAY)
    complete = {key: filled(value, names, shape.where, (key,)) for key, value in values.items()}
    return RawProfile(chosen, place, complete, chain, document, names)


def expanded_path(text: str, name: str) -> Path:
    """`text` as a path, `~` being the user's folder.

    Raises:
        TesseraError: there is no such user, or no path looks like that.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise TesseraError(f"{name} is {text!r}: {error}", expected="a path", todo="Write it in full.") from None
    if "\0" in text:
        raise TesseraError(f"{name} is {text!r}.", expected="a path without zero bytes", todo="Correct it.")
    return path


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings key by key at any depth; values in `above` win."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _profiles(document: Document) -> dict[str, dict[str, Any]]:
    for key in document.values:
        if key not in _TOP and not key.startswith("x-"):  # a place for anchors, as in compose files
            raise _unknown(document, (key,), f"`{key}`", _TOP)
    profiles = document.values.get("profiles")
    if not isinstance(profiles, dict) or not profiles:
        raise _wrong(document, ("profiles",), f"`profiles` is {shown(profiles)}", "a mapping: `name: {...}`")
    for name, profile in profiles.items():
        if not isinstance(profile, dict):
            raise _wrong(document, ("profiles", name), f"The profile {name!r} is {shown(profile)}", _mapping(_KEYS))
        for key in profile:
            if key not in _KEYS:
                raise _unknown(document, ("profiles", name, key), f"`{name}.{key}`", _KEYS)
    return profiles


def _default(document: Document, profiles: Mapping[str, Any]) -> str:
    if "default_profile" not in document.values and len(profiles) == 1:
        return next(iter(profiles))
    default = document.values.get("default_profile")
    if not isinstance(default, str):
        at = ("default_profile",)
        raise _wrong(document, at, f"`default_profile` is {shown(default)}", choose_from(str(default), profiles))
    if default not in profiles:
        raise _wrong(document, ("default_profile",), f"There is no profile {default!r}", choose_from(default, profiles))
    return default


def _chain(document: Document, profiles: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    chain = [name]
    while (parent := profiles[chain[-1]].get("extends")) is not None:
        place = ("profiles", chain[-1], "extends")
        if not isinstance(parent, str) or parent not in profiles:
            raise _wrong(
                document, place, f"Profile {chain[-1]!r} extends {shown(parent)}", choose_from(str(parent), profiles)
            )
        if parent in chain:
            way = " -> ".join([*chain, parent])
            raise _wrong(document, place, f"Profile {name!r} extends itself: {way}", "a profile that ends the chain")
        chain.append(parent)
    return chain


def _inherited(profiles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a profile over those that it extends: a port is replaced whole, settings are merged key by key."""
    whole: dict[str, Any] = {}
    for profile in reversed(profiles):
        own = {key: value for key, value in profile.items() if key != "extends"}
        for key, merge in (("ports", _over), ("settings", merged)):
            below, above = whole.get(key), own.get(key)
            if isinstance(below, dict) and isinstance(above, dict):
                own[key] = merge(below, above)
        whole = {**whole, **own}
    return whole


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    return {**below, **above}


def _check_ports(profile: RawProfile, table: Mapping[str, Port]) -> None:
    ports = profile.values.get("ports", {})
    if not isinstance(ports, dict):
        raise _at(profile, ("ports",), f"`{profile.name}.ports` is {shown(ports)}", "a mapping: `lake: {kind: delta}`")
    for port, given in ports.items():
        place = ("ports", port)
        if port not in table:
            raise _at(profile, place, f"Profile {profile.name!r} has a port {port!r}", choose_from(port, table))
        if not isinstance(given, dict) or is_reference(given):
            kinds = kinds_of(port, table[port].adapters)
            kind = given if isinstance(given, str) and given in kinds else table[port].default["kind"]
            raise _at(profile, place, f"`{profile.name}.ports.{port}` is {shown(given)}", f"`{port}: {{kind: {kind}}}`")
        if not isinstance(given.get("kind"), str):
            says = f"`{profile.name}.ports.{port}`"
            says += f".kind is {shown(given['kind'])}" if "kind" in given else " has no `kind`"
            raise _at(
                profile,
                place,
                says,
                choose_from("", kinds_of(port, table[port].adapters)) + " or the dotted path of a config class",
            )


def _with_defaults(values: Mapping[str, Any], table: Mapping[str, Port]) -> dict[str, Any]:
    """Add the default adapter of each port that is not named, and the places of an adapter in the home.

    The default source also gives the first day.
    """
    given = values.get("ports", {})
    chosen = {name: given.get(name, given.get(port.follows, port.default)) for name, port in table.items()}
    ports = {name: table[name].in_home(values["kind"]) | dict(values) for name, values in chosen.items()}
    calendar = values.get("calendar", {})
    if "source" not in given and isinstance(calendar, dict) and "first_day" not in calendar:
        calendar = {"first_day": FIRST_DAY, **calendar}
    return {**values, "calendar": calendar, "ports": ports}


def _first_day(values: Mapping[str, Any]) -> object:
    calendar = values["calendar"]
    return calendar.get("first_day") if isinstance(calendar, dict) else None


def _home(profile: RawProfile, home: str | None, environment: Mapping[str, str]) -> Path:
    given: Any = profile.values.get("home", "var")
    if not isinstance(given, str) or not given:
        raise _at(profile, ("home",), f"`{profile.name}.home` is {shown(given)}", "a folder")
    root = profile.document.file.parent
    own = home is None
    text = _text(given, {**environment, "root": str(root)}, profile.where, ("home",)) if own else home
    return root / expanded_path(str(text), f"`{profile.name}.home`" if own else "TESSERA_HOME")


def filled(value: Any, names: Mapping[str, str], where: Callable[[Place], str], place: Place = ()) -> Any:
    """Return a value with `${NAME}` and `${NAME:-default}` filled in, at any depth.

    Args:
        value: texts, or mappings and lists of them.
        names: variables and their values.
        where: name of a place, for messages.
        place: of the value.

    Raises:
        TesseraError: a variable that has no default is not set.
    """
    if isinstance(value, dict):
        return {key: filled(item, names, where, (*place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, names, where, (*place, number)) for number, item in enumerate(value)]
    return _text(value, names, where, place) if isinstance(value, str) else value


def _text(text: str, names: Mapping[str, str], where: Callable[[Place], str], place: Place) -> str:
    def replace(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name in names:
            return names[name]
        if default is None:
            raise TesseraError(
                f"{where(place)}: ${{{name}}} is not set.",
                expected=f"the environment variable {name}",
                todo=f"Set it, or write ${{{name}:-default}}.",
            )
        return default

    if _NO_VARIABLE.search(text):
        raise TesseraError(
            f"{where(place)}: {shown(text)} begins a variable with `${{`.",
            expected="${NAME} or ${NAME:-default}",
            todo="Correct it in that line.",
        )
    found = _VARIABLE.sub(replace, text)
    return Expanded(found, text) if _VARIABLE.search(text) else text


def _at(profile: RawProfile, place: Place, what: str, expected: str) -> TesseraError:
    return TesseraError(f"{profile.where(place)}: {what}.", expected=expected, todo="Correct it in that line.")


def _wrong(document: Document, place: Place, what: str, expected: str) -> TesseraError:
    return TesseraError(f"{document.where(place)}: {what}.", expected=expected, todo="Correct it in that line.")


def _unknown(document: Document, place: Place, what: str, known: Iterable[str]) -> TesseraError:
    return _wrong(document, place, f"{what} is no setting", choose_from(str(place[-1]), known))


def _mapping(keys: Iterable[str]) -> str:
    return f"a mapping with the keys {', '.join(keys)}"
