"""The manifest of a package: a JSON file that names every other file with its checksum, and how they are read."""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from models.errors import TesseraError
from models.training.package_files import sha256_of

MANIFEST = "manifest.json"
#: Builds the error that refuses a package, of the reason.
Refused = Callable[[str], TesseraError]


def new_folder(folder: Path) -> None:
    """Make the folder of a package.

    Raises:
        TesseraError: it is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise TesseraError(f"{folder} is not empty.", expected="a new folder", todo="Name another one.")


def write_extras(folder: Path, extras: Mapping[str, str]) -> None:
    """Write further files, name -> text; never over a file of the model."""
    for name, text in extras.items():
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)


def seal(folder: Path, described: Mapping[str, Any]) -> str:
    """Write the manifest with the checksums of all files in the folder; return its own, which names the package."""
    sums = {name: sha256_of(folder / name) for name in _files(folder)}
    manifest: dict[str, Any] = {**described, "files": sums}
    manifest["sha256"] = digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    return str(manifest["sha256"])


def read_manifest(folder: Path, refused: Refused) -> dict[str, Any]:
    """Return the manifest.

    Raises:
        TesseraError: it cannot be read.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise refused(f"its {MANIFEST} cannot be read ({error})") from error
    return found if isinstance(found, dict) else {}


def check_sums(folder: Path, manifest: Mapping[str, Any], sha256: str | None, refused: Refused) -> None:
    """Check that the folder holds exactly the files that were sealed.

    `sha256`: of the package, as known from elsewhere; None: only the package's own is checked.

    Raises:
        TesseraError: a file is missing, added or changed.
    """
    stated = manifest.get("sha256")
    if stated != digest(manifest) or (sha256 is not None and stated != sha256):
        raise refused(f"its {MANIFEST} was changed")
    present = set(_files(folder)) - {MANIFEST}
    if present != set(manifest["files"]) or not present.issuperset(manifest["extras"]):
        raise refused(f"it holds the files {sorted(present)} instead of {sorted(manifest['files'])}")
    for name, expected in manifest["files"].items():
        if sha256_of(folder / name) != expected:
            raise refused(f"the file {name!r} was changed")


def read_extras(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the further files, name -> text."""
    return {name: (folder / name).read_text(encoding="utf-8") for name in manifest["extras"]}


def imported(folder: Path, loader: str, *, made_with: str, todo: str) -> Callable[..., Any]:
    """Return the function that a manifest names by its dotted path `module:function`.

    Raises:
        TesseraError: it cannot be imported.
    """
    module, _, path = loader.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise TesseraError(
            f"{folder} is read by {loader!r}, which cannot be imported: {error}.",
            expected=f"the package that the {made_with} with",
            todo=todo,
        ) from error
    return found


def top_package(loader: str) -> str:
    """Return the top-level package of a dotted path."""
    return loader.partition(":")[0].partition(".")[0]


def digest(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of a manifest without its own."""
    everything = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(everything, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _files(folder: Path) -> list[str]:
    """Paths of all files inside a package, `/` between folders, ascending."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())
