"""Software bill of materials of a lock: CycloneDX 1.6, one component for each pinned package.

    python -m pipelines.docs.sbom requirements/core.lock sbom.json

It is made of the lock alone (names, versions, SHA-256 of every file, markers), and of the licenses that installed
packages state. It names no package index, and the same lock gives the same bytes.
"""

import importlib.metadata
import json
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import TesseraError

_PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LONGEST_LICENSE = 100


@dataclass(frozen=True)
class Pinned:
    """A package of a lock; `marker` says on which machines it is installed, empty: on all."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def pinned(text: str) -> Iterator[Pinned]:
    """Yield the packages of a hash-pinned lock as `uv pip compile --generate-hashes` writes it.

    Raises:
        TesseraError: a package has no version or no hash.
    """
    for entry in re.split(r"\n(?=[^\s#])", "\n" + text):
        if not (line := entry.strip()) or line.startswith("#"):
            continue
        found, hashes = _PINNED.match(line), tuple(sorted(_HASH.findall(line)))
        if found is None or not hashes:
            raise TesseraError(
                f"The lock has an entry without version or SHA-256: {line.splitlines()[0]!r}.",
                expected="lines as name==version with --hash=sha256:...",
                todo="Make the lock again: `make lock`.",
            )
        yield Pinned(found["name"].lower(), found["version"], (found["marker"] or "").strip(), hashes)


def bill_of(packages: list[Pinned], name: str) -> Mapping[str, Any]:
    """Return the CycloneDX document of the packages; `name` is that of what they are the parts of."""
    components = [_component(one) for one in sorted(packages, key=lambda one: (one.name, one.version, one.marker))]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": "tessera", "bom-ref": "tessera", "description": name}
        },
        "components": components,
        "dependencies": [{"ref": "tessera", "dependsOn": sorted({one["bom-ref"] for one in components})}],
    }


def _component(one: Pinned) -> dict[str, Any]:
    purl = f"pkg:pypi/{one.name.replace('_', '-')}@{one.version}"
    found: dict[str, Any] = {"type": "library", "name": one.name, "version": one.version, "purl": purl, "bom-ref": purl}
    # One hash for each file of the release (wheels and source archive): which one is installed depends on the machine.
    found["properties"] = [{"name": "tessera:file:sha256", "value": digest} for digest in one.hashes]
    if one.marker:
        found["properties"].append({"name": "tessera:marker", "value": one.marker})
    if license := _license(one):
        found["licenses"] = [{"license": {"name": license}}]
    return found


def _license(one: Pinned) -> str:
    """Return the license that the installed package states; empty if another version or none is installed."""
    try:
        stated = importlib.metadata.metadata(one.name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    if stated["Version"] != one.version:
        return ""
    expression, classifiers = stated.get_all("License-Expression", []), stated.get_all("Classifier", [])
    classified = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License")]
    named = expression or classified or stated.get_all("License", [])
    text = ", ".join(named).split("\n")[0].strip()
    return text if len(text) <= _LONGEST_LICENSE and "://" not in text else ""


def main() -> None:
    """Write the bill of one lock."""
    lock, file = Path(sys.argv[1]), Path(sys.argv[2])
    packages = list(pinned(lock.read_text()))
    file.write_text(json.dumps(bill_of(packages, lock.name), indent=1) + "\n")
    sys.stdout.write(f"{file}: {len(packages)} packages of {lock}\n")


if __name__ == "__main__":
    main()
