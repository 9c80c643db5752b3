"""The children of a model that is made of several: kind, digest, training set and metrics, from the package alone.

A composition and a merge keep copies of their children, so nothing but the package says what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.errors import TesseraError
from models.training.manifest import digest, read_manifest

#: Digits of a digest that tell children apart on a page.
_SHORT = 12


class ChildFacts(BaseModel):
    """Facts that training knows of a child.

    Attributes:
        kind: of its model; "" if the class of the part says it.
        trained_on: the training set, e.g. `rows`, `as_of` and `sha256` of its ids; empty for a rule without training.
        metrics: numbers that were measured of the child alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = ""
    trained_on: dict[str, str | int] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)


class Child(ChildFacts):
    """A child of a package.

    Attributes:
        name: in the composition, or the place in the merge with its kind.
        sha256: of its files and of everything else that it is read from.
        version: `app version` of the registry that it was taken from; "" for a child of this package alone.
    """

    name: str
    sha256: str
    version: str = ""

    def sentence(self) -> str:
        """Return the child in a line, for a table or a tag."""
        facts = {**self.trained_on, **{name: f"{value:.4g}" for name, value in self.metrics.items()}}
        shown = ", ".join(f"{name} {str(value)[:_SHORT]}" for name, value in facts.items())
        return f"{self.name}: {self.kind}, sha256 {self.sha256[:_SHORT]}" + (f" ({shown})" if shown else "")


def children_of(folder: Path) -> list[Child]:
    """Return the children of the package in a folder: parts by their names, models of a merge in their order.

    Raises:
        TesseraError: the manifest cannot be read.
    """
    manifest = read_manifest(folder, lambda why: _unreadable(folder, why))
    facts: Mapping[str, Any] = manifest.get("children", {})
    if "parts" in manifest:
        pins = manifest.get("pins", {})
        return [
            Child(
                name=name,
                sha256=_digest(manifest, name, part),
                version=f"{pins[name]['app']} {pins[name]['version']}" if name in pins else "",
                **_with_kind(facts.get(name, {}), _class_of(part["loader"])),
            )
            for name, part in manifest["parts"].items()
        ]
    named = [
        (str(place), member_name(place, str(member["kind"])), member)
        for place, member in enumerate(manifest.get("members", ()))
    ]
    return [
        Child(
            name=name, sha256=_digest(manifest, place, member), **_with_kind(facts.get(name, {}), str(member["kind"]))
        )
        for place, name, member in named
    ]


def children_tag(folder: Path) -> dict[str, str]:
    """Return the tag `children` of the package's version in the registry, a line per child; none of a single model."""
    found = children_of(folder)
    return {"children": "\n".join(child.sentence() for child in found)} if found else {}


def member_name(place: int, kind: str) -> str:
    """Return the name of a model in a merge, by its place and kind."""
    return f"{place}.{kind}"


def _with_kind(facts: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {**facts, "kind": facts.get("kind") or kind}


def _class_of(loader: str) -> str:
    """Return `AnswerPart` of `models.support.parts:AnswerPart.read`."""
    return loader.partition(":")[2].partition(".")[0]


def _digest(manifest: Mapping[str, Any], folder: str, described: Mapping[str, Any]) -> str:
    """Return the sha256 of what a child is read from: its files, and its part of the manifest."""
    files = {file: found for file, found in manifest["files"].items() if file.startswith(f"{folder}/")}
    return digest({"described": dict(described), "files": files})


def _unreadable(folder: Path, why: str) -> TesseraError:
    return TesseraError(
        f"The package {folder} cannot be described: {why}.", expected="a package", todo="Fetch it anew."
    )
