"""Writing of files all or nothing: what cannot be finished is undone."""

import fcntl
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Hold the folder's lock: one writer at a time."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_all(folder: Path, texts: Mapping[str, str], then: Callable[[], object], also: Mapping[str, bytes]) -> None:
    """Write `texts` (path -> text) below `folder`, in this order, and call `then`; undo everything if anything fails.

    Each file appears whole. `also` are the bytes of files that `then` may change.
    """
    before = {path: _bytes(folder / path) for path in texts} | dict(also)
    made = [parent for path in texts for parent in reversed((folder / path).parents) if not parent.exists()]
    try:
        for path, text in texts.items():
            _write(folder / path, text.encode())
        then()
    except BaseException:  # Ctrl-C, too
        for path, content in before.items():
            if content is None:
                (folder / path).unlink(missing_ok=True)
            elif _bytes(folder / path) != content:
                _write(folder / path, content)
        for parent in reversed(dict.fromkeys(made)):
            _remove(parent)
        raise


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.new")
    try:
        temporary.write_bytes(content)
        temporary.chmod(file.stat().st_mode & 0o777 if file.exists() else 0o644)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Remove a folder that was made for the files, with what Python left in it."""
    if folder.is_dir() and not any(file.suffix != ".pyc" for file in folder.rglob("*") if file.is_file()):
        for found in sorted(folder.rglob("*"), reverse=True):
            found.rmdir() if found.is_dir() else found.unlink()
        folder.rmdir()
