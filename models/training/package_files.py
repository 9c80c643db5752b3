"""The files of a package: which are safe, what names them, whether they are still the registered ones."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from models.errors import TesseraError

#: Formats that run no code when they are read. skops is a zip of plain values, read with our own allow-list.
SAFE_SUFFIXES = frozenset({".json", ".ubj", ".skops", ".parquet", ".md", ".png", ".onnx", ".lgb"})

#: A pickle of protocol 2 and up starts with this byte; none of the safe formats does (PNG starts with 0x89).
_PICKLE_START = b"\x80"


def safe_files(package: Path, trusted: Collection[str] = ()) -> dict[str, str]:
    """Return the sha256 (hex) of every file by its path inside the package (`/` between folders), sorted by path.

    `trusted`: packages of third parties; the formats that their models name are taken, too.

    Raises:
        TesseraError: the package has no manifest, or holds a file that may run code or lead outside.
    """
    if not (package / "manifest.json").is_file():
        raise TesseraError(
            f"{package} is no model package: it has no manifest.json.",
            expected="a folder made by models.training.model_package.save",
            todo="Save the model as a package and register that folder.",
        )
    files, suffixes = _files(package), SAFE_SUFFIXES | _formats(package, trusted)
    for name in files:
        _refuse_unsafe(package / name, name, suffixes)
    return {name: sha256_of(package / name) for name in files}


def package_digest(files: Mapping[str, str]) -> str:
    """One sha256 (hex) that names the whole package: of its lines `sha256  path`, sorted by path."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def verify(package: Path, files: Mapping[str, str], todo: str) -> None:
    """Nothing, when the package holds exactly the registered `files` (path to sha256).

    Raises:
        TesseraError: a file is missing, additional or changed; it is named, and `todo` says what helps.
    """
    present = set(_files(package))
    for name in sorted(files.keys() ^ present):
        problem = "is missing" if name in files else "was added"
        raise TesseraError(f"{package / name} {problem}.", expected="exactly the files that were registered", todo=todo)
    for name, registered in files.items():
        found = sha256_of(package / name)
        if found != registered:
            raise TesseraError(
                f"{package / name} was changed: its sha256 is {found}.", expected=f"sha256 {registered}", todo=todo
            )


def sha256_of(file: Path) -> str:
    """Return the file's sha256 as 64 hex digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _files(package: Path) -> list[str]:
    """Paths of everything that is no plain folder; symbolic links count as files, wherever they lead."""
    found = (path for path in package.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(package).as_posix() for path in found)


def _formats(package: Path, trusted: Collection[str]) -> frozenset[str]:
    if not trusted:
        return frozenset()
    from models.training.model_package import formats_of

    return formats_of(package, trusted)


def _refuse_unsafe(file: Path, name: str, suffixes: frozenset[str]) -> None:
    if file.is_symlink() or not file.is_file():
        problem = "is no plain file"
    elif file.suffix not in suffixes:
        problem = f"has the format {file.suffix or 'of no suffix'!r}"
    elif _starts_like_a_pickle(file):
        problem = "is a pickle"
    else:
        return
    raise TesseraError(
        f"The package file {name!r} {problem}: reading it may run code.",
        expected=f"only files in {', '.join(sorted(suffixes))}",
        todo="Save the model in one of these formats (XGBoost as UBJ, scikit-learn as skops); a third party's "
        "model class names further ones in `formats`, and the profile its package in `registry.trusted_packages`.",
    )


def _starts_like_a_pickle(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(1) == _PICKLE_START
