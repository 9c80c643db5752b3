"""Files beside those that a table is read from: named, so that none is left out in silence."""

from collections.abc import Iterable
from pathlib import Path

from resources.source.locations import DATA, entries_below, expanded, is_data, printable_name
from resources.source.port import UnreadFile

_UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".inprogress", "~")
#: Names of files that hold no rows anywhere.
_NO_ROWS = (
    "readme",
    "license",
    "_success",
    "_committed_",
    "_started_",
    ".ds_store",
    ".gitkeep",
    ".gitignore",
    "thumbs.db",
)
_NO_ROWS_ENDINGS = (".md", ".crc", ".lock")


def unread_files(location: str, root: Path, read: Iterable[Path]) -> list[UnreadFile]:
    """Return files beside those that are read: in the location's folder or, of a pattern, in the folders of its files.

    A single file and a URL have none.
    """
    place, taken = expanded(location), set(read)
    path = root / Path(place).expanduser()
    if "://" in place or path.is_file():
        return []
    if path.is_dir():
        below = {file for file in path.rglob("*") if file.is_file() and is_data(file.name)}
        beside = {entry for entry in entries_below(path) if _is_no_folder(entry)} | below
    else:
        beside = {
            file for folder in {file.parent for file in taken} for file in folder.iterdir() if _is_no_folder(file)
        }
    base = path if path.is_dir() else None
    return [
        UnreadFile(
            printable_name(file.relative_to(base).as_posix() if base else file.name),
            _reason(file, base),
            _may_have_rows(file.name),
        )
        for file in sorted(beside - taken)
    ]


def _reason(file: Path, base: Path | None) -> str:
    name = file.name.lower()
    if not file.is_file():
        return _reason_of_no_file(file)
    if name.endswith(_UNFINISHED):
        return "its name says that it is not finished"
    if name.startswith((".", "_", "~$")):
        return "its name says that it is hidden or temporary"
    if not name.endswith(DATA):
        return f"its name does not end with {', '.join(DATA)}"
    return "it is in a folder below" if base else "the pattern does not fit it"


def _reason_of_no_file(path: Path) -> str:
    if not path.is_symlink():
        return "it is no regular file"
    return "it is a link to a folder that is read already" if path.is_dir() else "it is a link to nothing"


def _is_no_folder(path: Path) -> bool:
    """Return True for files, and for links to nothing."""
    return path.is_symlink() or not path.is_dir()


def _may_have_rows(name: str) -> bool:
    lower = name.lower()
    return not (lower.startswith(_NO_ROWS) or lower.endswith(_NO_ROWS_ENDINGS))
