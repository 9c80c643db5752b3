"""From what a user wrote as a location to the local files it means."""

import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from models.errors import TesseraError

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz")
EXCEL = (".xlsx", ".xlsm")
DATA = (*PARQUET, *CSV, *EXCEL)
#: What the file systems of fsspec call the date or tag that changes with a file's content.
_VERSION = ("ETag", "Last-Modified", "LastModified", "last_modified", "mtime", "created")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
_PATTERN = re.compile(r"[*?\[]")
#: A folder that holds the rows of one value of a column, e.g. `country=DE`.
_KEYED = re.compile(r"[^=]+=[^=]*")


def expanded(location: str) -> str:
    """Return the location with `${NAME}` and `${NAME:-default}` replaced from the environment.

    Raises:
        TesseraError: a variable without default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name not in os.environ and default is None:
            raise TesseraError(
                f"The location {location!r} needs the environment variable {name}, which is not set.",
                expected=f"{name} to be set",
                todo=f"Set {name}, or give a default: ${{{name}:-some/folder}}.",
            )
        return os.environ.get(name, default)

    return _VARIABLE.sub(value, location)


def local_files(location: str, root: Path, cache: Path) -> list[Path]:
    """Return files that a file, folder, glob pattern or URL names, in ascending order; what is remote is fetched first.

    Args:
        location: a relative one starts from `root`; of a folder, every data file directly in it counts, and those in
            folders such as `country=DE` below it.
        root: the project's folder.
        cache: folder for copies of remote files; one is used again while the original's date or tag stays.

    Raises:
        TesseraError: nothing is there, or it cannot be fetched.
    """
    place = expanded(location)
    found = _fetched(place, cache) if "://" in place else _on_disk(root / Path(place).expanduser())
    if not found:
        raise TesseraError(
            f"There is no Parquet or CSV file at {place!r}.",
            expected=f"files that end with {', '.join(DATA)}",
            todo="Correct `location` of this table in stack.yaml, or put files there.",
        )
    for file in found:
        if printable_name(file.name) != file.name:
            raise TesseraError(
                f"The name of the file {printable_name(file.name)!r} at {place!r} is no UTF-8.",
                expected="file names in UTF-8",
                todo="Rename the file.",
            )
    return sorted(found, key=str)


def printable_name(name: str) -> str:
    """`name`, with bytes that are no UTF-8 as escapes."""
    return name.encode(errors="backslashreplace").decode()


def named(location: str, root: Path, files: Sequence[Path]) -> dict[str, Path]:
    """`files` of `local_files` by their path relative to the location: what stays when a folder moves."""
    place = expanded(location)
    if "://" in place:  # copies are in folders named by version: the file's own name, numbered where two share it
        return dict(zip(_numbered([file.name for file in files]), files, strict=True))
    base = (root / Path(place).expanduser()).parent
    fixed = takewhile(lambda part: not _PATTERN.search(part), base.parts)
    folder = root / Path(place).expanduser()
    start = folder if folder.is_dir() else Path(*fixed)
    return {file.relative_to(start).as_posix(): file for file in files}


def _numbered(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    numbered: list[str] = []
    for name in names:
        numbered.append(f"{seen[name]}/{name}" if seen[name] else name)
        seen[name] += 1
    return numbered


def _on_disk(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        return [file for file in files_below(path) if is_data(file.name)]
    if _PATTERN.search(str(path)):
        parts = path.parts
        first = next(place for place, part in enumerate(parts) if _PATTERN.search(part))
        return [file for file in Path(*parts[:first]).glob(str(Path(*parts[first:]))) if file.is_file()]
    raise TesseraError(
        f"There is no file or folder {str(path)!r}.",
        expected="a Parquet or CSV file, a folder of them, a glob pattern or a URL",
        todo="Correct `location` of this table in stack.yaml (relative paths start from the project's folder).",
    )


def _fetched(url: str, cache: Path) -> list[Path]:
    import fsspec

    with _told(url):
        files, path = fsspec.url_to_fs(url)
        if _PATTERN.search(path):
            remote = sorted(str(name) for name in files.glob(path))
        elif not is_data(_name(path)) and files.isdir(path):
            remote = sorted(name for name in files.ls(path, detail=False) if is_data(_name(name)))
        else:
            remote = [path]
        return [_copy(files, name, cache) for name in remote]


def _copy(files: Any, path: str, cache: Path) -> Path:
    """Return the local copy of one remote file, fetched unless its original is known not to have changed."""
    info = files.info(path)
    version = [str(info[key]) for key in _VERSION if info.get(key)]
    folder = cache / hashlib.sha256("|".join([path, str(info.get("size")), *version]).encode()).hexdigest()[:16]
    keyed = [part for part in Path(path).parts[:-1] if _KEYED.fullmatch(part) and "?" not in part]
    copy = folder.joinpath(*keyed) / _name(path)
    if not version or not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            files.get_file(path, str(Path(unfinished) / copy.name))
            (Path(unfinished) / copy.name).replace(copy)
    return copy


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Failures of the network, or of the package a protocol needs, as one sentence."""
    import aiohttp

    try:
        yield
    except (OSError, ImportError, ValueError, aiohttp.ClientError) as error:
        raise TesseraError(
            f"{url!r} cannot be fetched: {error}.",
            expected="a reachable file, folder or pattern",
            todo="Check the address; s3:// and the like need their fsspec package in .venv (s3fs, gcsfs, adlfs).",
        ) from error


def is_data(name: str) -> bool:
    """Return True if a file of that name in a folder is read."""
    return name.lower().endswith(DATA) and not name.startswith((".", "_", "~$"))


def files_below(folder: Path) -> Iterator[Path]:
    """Files directly in `folder`, and those in folders such as `country=DE` below it."""
    return (path for path in entries_below(folder) if path.is_file())


def entries_below(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Entries of `folder`, and those of folders such as `country=DE` below it instead of these folders.

    A link to a folder above it is an entry like any other: nothing in it is read twice.
    """
    above = (*above, folder.resolve())
    for path in folder.iterdir():
        if path.is_dir() and _KEYED.fullmatch(path.name) and path.resolve() not in above:
            yield from entries_below(path, above)
        else:
            yield path


def _name(path: str) -> str:
    return path.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
