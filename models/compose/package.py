"""A composition as a package: its declaration, its parts as they were, its golden records, a checksum of everything.

Parts are copied into the package, each with the version of the registry that it was taken from: nothing that happens
to a child later changes the composition, and it loads where its children were deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from models.compose.batch import from_records
from models.compose.call import new_call
from models.compose.declared import declared
from models.compose.merges import Merge
from models.compose.prompt import Prompt, by_need, require_prompts
from models.compose.step import Step
from models.errors import OtherRelease, TesseraError, choose_from
from models.training.children import ChildFacts
from models.training.manifest import (
    MANIFEST,
    check_sums,
    imported,
    new_folder,
    read_extras,
    read_manifest,
    seal,
    top_package,
    write_extras,
)

KIND = "composition"
FORMAT = 1
#: Numbers of a golden record may differ by so much.
_TOLERANCE = 1e-6
#: Differing values of a golden record that an error shows, and characters of each.
_SHOWN, _WIDTH = 2, 120
_TODO = (
    "Train it again with `tessera run <application>_training`, or make an earlier version champion with `tessera "
    "rollback <application>`."
)


class Part(Protocol):
    """A model, a prompt or a rule of a composition, which can be kept as files and used as a step.

    `loader`: the dotted path `module:function` of a function of (folder, what `save` returned, resources) that reads it
    again; of a third party's package, the profile must trust it. `needs`: names of the resources that it uses, e.g.
    `language_model`.
    """

    loader: str
    needs: tuple[str, ...]

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write its files to `folder` (exists, empty), in formats that run no code when read; return JSON."""
        ...

    def step(self, name: str) -> Step:
        """Return it as a step of this name."""
        ...


@dataclass(frozen=True)
class Pin:
    """Version of the registry that a part was taken from, with the checksum of that version's package."""

    app: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Composition:
    """A declaration with its parts.

    Attributes:
        name: of the composition.
        declaration: as `models.compose.declared` reads it.
        parts: name in the declaration -> part.
        pins: name -> version that the part was taken from; parts that are no version of their own have none.
        merges: merges by the names in the declaration.
        prompts: name -> prompt that a part needs; another text makes another version.
        children: name -> what training knows of a part; the package keeps it, with the part's kind and digest.
    """

    name: str
    declaration: Mapping[str, Any]
    parts: Mapping[str, Part]
    pins: Mapping[str, Pin] = field(default_factory=dict[str, Pin])
    merges: Mapping[str, Merge] = field(default_factory=dict[str, Merge])
    prompts: Mapping[str, Prompt] = field(default_factory=dict[str, Prompt])
    children: Mapping[str, ChildFacts] = field(default_factory=dict[str, ChildFacts])

    def step(self) -> Step:
        """Build it.

        Raises:
            TesseraError: the declaration has a mistake, or contracts disagree.
        """
        steps = {name: part.step(name) for name, part in self.parts.items()}
        return declared(self.name, dict(self.declaration), steps, self.merges)


@dataclass(frozen=True)
class LoadedComposition:
    """A composition that was read back, every checksum right."""

    composition: Composition
    step: Step
    sha256: str
    golden: Sequence[Mapping[str, Any]]
    extras: Mapping[str, str]


def save_composition(
    folder: Path,
    composition: Composition,
    golden: Sequence[Mapping[str, Any]],
    extras: Mapping[str, str] | None = None,
) -> str:
    """Return the package's sha256, after `folder` (created; must be empty) holds it. Equal parts give equal bytes.

    Args:
        folder: of the package.
        composition: to be kept; its merges must be declared, not named.
        golden: records of which the package keeps the answers; it is loaded only where it still gives them.
        extras: file name -> text of further files, e.g. how it was calibrated.

    Raises:
        TesseraError: the folder is not empty, a golden record fails, a merge is no part of the declaration, or a prompt
            is missing or needed by no part.
    """
    if composition.merges:
        raise TesseraError(
            f"{composition.name} has merges of its own: {sorted(composition.merges)}.",
            expected="merges that the declaration spells out (gather, vote, mean)",
            todo="Make the merge a step behind a gathering fan-out.",
        )
    needs = [need for part in composition.parts.values() for need in part.needs]
    require_prompts(composition.prompts, needs, composition.parts)
    new_folder(folder)
    step = composition.step()
    answers = _answers(step, golden)
    parts = {name: _saved(folder / name, part) for name, part in composition.parts.items()}
    for prompt in composition.prompts.values():
        prompt.save(folder)
    write_extras(folder, extras or {})
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "kind": KIND,
        "name": composition.name,
        "declaration": composition.declaration,
        "takes": step.takes.as_text(),
        "gives": step.gives.as_text(),
        "parts": parts,
        "prompts": {name: prompt.digest for name, prompt in composition.prompts.items()},
        "pins": {name: vars(pin) for name, pin in composition.pins.items()},
        "children": {name: facts.model_dump() for name, facts in _facts(composition).items()},
        "golden": [{"record": dict(one), "answer": found} for one, found in zip(golden, answers, strict=True)],
        "extras": sorted(extras or {}),
        "libraries": {},
    }
    return seal(folder, manifest)


def is_composition(folder: Path) -> bool:
    """Return whether a package holds a composition; one whose manifest cannot be read does not."""
    try:
        return read_manifest(folder, partial(_refused, folder)).get("kind") == KIND
    except TesseraError:
        return False


def load_composition(
    folder: Path,
    *,
    resources: Mapping[str, Any] | None = None,
    sha256: str | None = None,
    trusted: Collection[str] = (),
) -> LoadedComposition:
    """Return the composition in `folder`, after every file was found to be the one that was saved.

    Args:
        folder: made by `save_composition`.
        resources: name -> what parts need, e.g. the language model's port.
        sha256: of the package, as known from elsewhere (the registry); None: only the package's own is checked.
        trusted: packages of third parties whose loaders may run.

    Raises:
        OtherRelease: it is whole, and this release reads its parts or their contracts otherwise.
        TesseraError: a file is missing, added or changed, a part cannot be read, or needs what is not there.
    """
    manifest = _read(folder)
    check_sums(folder, manifest, sha256, partial(_refused, folder))
    prompts = {name: Prompt.read(folder, name) for name in manifest.get("prompts", ())}
    given = {**(resources or {}), **by_need(prompts)}
    parts = {name: _part(folder, name, one, given, trusted) for name, one in manifest["parts"].items()}
    pins = {name: Pin(**pin) for name, pin in manifest["pins"].items()}
    children = {name: ChildFacts(**facts) for name, facts in manifest.get("children", {}).items()}
    composition = Composition(
        str(manifest["name"]), manifest["declaration"], parts, pins, prompts=prompts, children=children
    )
    step = composition.step()
    if step.takes.as_text() != manifest["takes"] or step.gives.as_text() != manifest["gives"]:
        raise OtherRelease(
            f"The parts of {composition.name} take or give other fields than when it was saved.",
            expected=f"{manifest['takes']} -> {manifest['gives']}",
            todo=_TODO,
        )
    extras = read_extras(folder, manifest)
    return LoadedComposition(composition, step, str(manifest["sha256"]), manifest["golden"], extras)


def over_resources(
    loaded: LoadedComposition,
    folder: Path,
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    trusted: Collection[str] = (),
) -> LoadedComposition:
    """Return a composition over other resources; only parts that need one of those that differ are read again.

    Args:
        loaded: from `folder`, over the resources `was`.
        folder: whose files were checked when it was loaded.
        was: name -> what parts were given.
        now: name -> what they are given.
        trusted: packages of third parties whose loaders may run.
    """
    composition, saved = loaded.composition, _read(folder)["parts"]
    given = {**now, **by_need(composition.prompts)}
    parts = {
        name: part
        if all(was.get(need) is now.get(need) for need in part.needs)
        else _part(folder, name, saved[name], given, trusted)
        for name, part in composition.parts.items()
    }
    rebuilt = replace(composition, parts=parts)
    return replace(loaded, composition=rebuilt, step=rebuilt.step())


def golden_answers(loaded: LoadedComposition) -> int:
    """Return the number of golden records that the composition answers as it did when it was saved.

    Raises:
        OtherRelease: any answer differs.
        TesseraError: there is none.
    """
    if not loaded.golden:
        raise TesseraError(
            f"{loaded.composition.name} has no golden records.", expected="some, with their answers", todo=_TODO
        )
    found = _answers(loaded.step, [one["record"] for one in loaded.golden])
    for place, (one, answer) in enumerate(zip(loaded.golden, found, strict=True)):
        if not _equal(one["answer"], answer):
            raise OtherRelease(
                f"{loaded.composition.name} answers its golden record {place} with {_unlike(one['answer'], answer)}.",
                expected=f"the same answer, numbers to {_TOLERANCE:g}",
                todo=_TODO,
            )
    return len(found)


def _unlike(before: Any, now: Any) -> str:
    """Return the first values of an answer that are not as before, in words."""
    found = [*_differences(before, now, "")]
    shown = [f"{where} {str(new)[:_WIDTH]!r}, and did with {str(old)[:_WIDTH]!r}" for where, old, new in found[:_SHOWN]]
    more = f" (and {len(found) - _SHOWN} more differences)" if len(found) > _SHOWN else ""
    return "; ".join(shown) + more


def _differences(before: Any, now: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the path of each value that differs, the value before, and that of now."""
    if _equal(before, now):
        return
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        pairs = [(f"{where}.{name}".removeprefix("."), before[name], now[name]) for name in before]
    elif isinstance(before, list) and isinstance(now, list | tuple) and len(before) == len(now):
        pairs = [(f"{where}[{place}]", old, new) for place, (old, new) in enumerate(zip(before, now, strict=True))]
    if not pairs:
        yield where, before, now
    for path, old, new in pairs:
        yield from _differences(old, new, path)


def _facts(composition: Composition) -> dict[str, ChildFacts]:
    """Return what is known of each part: as training says, else as the part says itself (`facts`)."""
    own = {name: getattr(part, "facts", None) for name, part in composition.parts.items()}
    return {**{name: facts for name, facts in own.items() if facts is not None}, **composition.children}


def _answers(step: Step, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the answers as JSON values; a record that fails is no golden record."""
    found = step.run(from_records(records, step.takes), new_call())
    if found.failures:
        place, failure = next(iter(found.failures.items()))
        raise TesseraError(
            f"{step.name} fails on golden record {place}: {failure}.",
            expected="an answer to each golden record",
            todo="Correct the part, or choose another record.",
        )
    return [{name: _plain(value) for name, value in record.items()} for record in found.batch.records()]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [float(one) for one in value]
    return value if isinstance(value, str | int | float | list | dict | None) else str(value)


def _equal(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(_equal(expected[name], found[name]) for name in expected)
    if isinstance(expected, list) and isinstance(found, list | tuple):
        return len(expected) == len(found) and all(map(_equal, expected, found))
    if isinstance(expected, float) and isinstance(found, float):
        return abs(expected - found) <= _TOLERANCE
    return bool(expected == found)


def _saved(folder: Path, part: Part) -> dict[str, Any]:
    folder.mkdir()
    return {"loader": part.loader, "needs": list(part.needs), "saved": dict(part.save(folder))}


def _part(
    folder: Path, name: str, saved: Mapping[str, Any], resources: Mapping[str, Any], trusted: Collection[str]
) -> Part:
    loader = str(saved["loader"])
    top = top_package(loader)
    if top not in ("models", "resources") and top not in trusted:
        raise TesseraError(
            f"Part {name!r} of {folder} is read by {loader!r}, and the profile does not trust the package {top!r}.",
            expected="a part of ours, or of a package that `registry.trusted_packages` names",
            todo=f"If you trust it, add it in stack.yaml: registry: {{trusted_packages: [{top}]}}.",
        )
    missing = [need for need in saved["needs"] if need not in resources]
    if missing:
        raise TesseraError(
            f"Part {name!r} of {folder} needs {missing[0]!r}.",
            expected=choose_from(missing[0], resources),
            todo="Open the composition with the ports of a profile that has it.",
        )
    todo = "Install it again, or roll back to an earlier version."
    read = imported(folder, loader, made_with="part was made", todo=todo)
    try:
        return read(folder / name, saved["saved"], {need: resources[need] for need in saved["needs"]})
    except (KeyError, ValidationError) as error:  # what was saved has other names than this release reads
        raise OtherRelease(
            f"Part {name!r} of {folder} was saved with other settings than this release reads: {error}.",
            expected=f"what {loader} saves",
            todo=_TODO,
        ) from error


def _read(folder: Path) -> dict[str, Any]:
    manifest = read_manifest(folder, partial(_refused, folder))
    if (manifest.get("kind"), manifest.get("format")) != (KIND, FORMAT):
        raise _refused(folder, f"its {MANIFEST} is none of a {KIND} of format {FORMAT}")
    return manifest


def _refused(folder: Path, why: str) -> TesseraError:
    return TesseraError(f"The package {folder} is refused: {why}.", expected="exactly what was saved", todo=_TODO)
