"""Adapters by their kind: those that ship with Tessera, those that installed packages offer, any class by its path.

A package offers an adapter by an entry point in the group `tessera.<port>` (or `tessera.trainer`): its name is the
kind, its value the config class. Only names are read until a profile, a run or a page asks for the class.
"""

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import dagster as dg

from models.errors import TesseraError, choose_from
from resources.stack.table import KINDS

_GROUP = "tessera."


class AdapterConfig(Protocol):
    """Interface of every adapter's config class."""

    def open(self) -> Any:
        """Return the adapter itself."""
        ...


def kinds_of(port: str, own: Mapping[str, str] | None = None) -> list[str]:
    """Return the kinds that a profile may name for a port: Tessera's `own`, then those of installed packages."""
    own = KINDS.get(port, {}) if own is None else own
    return [*own, *sorted(kind for kind in _offered().get(port, {}) if kind not in own)]


def adapter_class(port: str, kind: str, own: Mapping[str, str] | None = None) -> type[dg.Config]:
    """Return the config class of a kind of adapter, or of `trainer`: by its name, or any class by its dotted path.

    Args:
        port: its name, or `trainer`.
        kind: as in `stack.yaml`.
        own: kind -> dotted path of the adapters that ship with Tessera; default: as in `KINDS`.

    Raises:
        TesseraError: no such kind, several packages offer it, or it leads to no config class.
    """
    own = KINDS.get(port, {}) if own is None else own
    path = own.get(kind) or (kind if "." in kind else _offered_path(port, kind, own))
    module, _, name = path.rpartition(".")
    if not path.replace(".", "").isidentifier():
        raise _unknown(port, kind, own)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TesseraError(
            f"The adapter {path!r} of port {port!r} cannot be imported: {error}.",
            expected="an importable config class",
            todo="Install the package that holds it into .venv, or correct `kind` in stack.yaml.",
        ) from error
    if not (isinstance(found, type) and issubclass(found, dg.Config) and callable(getattr(found, "open", None))):
        raise TesseraError(
            f"{path!r} of port {port!r} is no config class.",
            expected="a subclass of dagster.Config with a method `open`",
            todo="Correct `kind` in stack.yaml; docs/swapping.md shows what an adapter needs.",
        )
    return found


def _offered_path(port: str, kind: str, own: Mapping[str, str]) -> str:
    """Return the dotted path behind the entry point of that name."""
    found = _offered().get(port, {}).get(kind, ())
    if not found:
        raise _unknown(port, kind, own)
    if len({entry.value for entry in found}) > 1:
        packages = " and ".join(sorted(entry.dist.name if entry.dist else "a package" for entry in found))
        raise TesseraError(
            f"{packages} both offer an adapter {kind!r} for port {port!r}.",
            expected="one of them",
            todo="Name it in stack.yaml by its dotted path: " + " or ".join(sorted(_dotted(entry) for entry in found)),
        )
    return _dotted(found[0])


def _offered() -> Mapping[str, Mapping[str, tuple[EntryPoint, ...]]]:
    return _offered_on(tuple(sys.path))


@cache
def _offered_on(_path: tuple[str, ...]) -> Mapping[str, Mapping[str, tuple[EntryPoint, ...]]]:
    """Port -> kind -> entry points of the packages that are installed there."""
    found: dict[str, dict[str, tuple[EntryPoint, ...]]] = {}
    every = entry_points()
    for group in filter(lambda name: name.startswith(_GROUP), every.groups):
        kinds = found.setdefault(group.removeprefix(_GROUP), {})
        for entry in every.select(group=group):
            kinds[entry.name] = (*kinds.get(entry.name, ()), entry)
    return found


def _dotted(entry: EntryPoint) -> str:
    return entry.value.replace(":", ".").replace(" ", "")


def _unknown(port: str, kind: str, own: Mapping[str, str]) -> TesseraError:
    return TesseraError(
        f"There is no adapter {kind!r} for port {port!r}.",
        expected=choose_from(kind, kinds_of(port, own)) + " or the dotted path of a config class",
        todo="Correct `kind` in stack.yaml; docs/swapping.md shows how to add an adapter.",
    )
