"""Local copies of the data files of a remote lake, for readers that open local files (DuckDB, pyarrow)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow.fs as pa_fs

from models.errors import TesseraError

_CHUNK_BYTES = 8 * 1024 * 1024


class LocalCopies:
    """Copies under one private folder. A data file of Delta never changes under its name, so a copy stays valid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, table: str, files: pa_fs.FileSystem, asked: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
        """Paths of local copies of `asked`, in that order; copies that the table no longer lists are deleted.

        Args:
            table: its name.
            files: the table's folder in the store.
            asked: paths within it.
            sizes: every file of the table's current version, with its size in bytes.

        Raises:
            TesseraError: the store has another number of bytes than the table lists.
        """
        self._keep_only(table, sizes)
        return [str(self._copy(table, files, path, sizes[path])) for path in asked]

    def drop(self, table: str) -> None:
        """Delete every copy of the table."""
        shutil.rmtree(self._folder / table, ignore_errors=True)

    def _copy(self, table: str, files: pa_fs.FileSystem, path: str, size: int) -> Path:
        copy = self._folder / table / path
        if copy.is_file() and copy.stat().st_size == size:
            return copy
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy.parent.mkdir(parents=True, exist_ok=True)
        partial = copy.with_name(f".{copy.name}.{os.getpid()}")
        try:
            with files.open_input_stream(path) as source, partial.open("wb") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
            if partial.stat().st_size != size:
                raise TesseraError(
                    f"{table}/{path} has {partial.stat().st_size:,} bytes in the store.",
                    expected=f"{size:,} bytes, as the table lists it",
                    todo=f"Run the job that writes {table!r} once more for that day, or restore the file.",
                )
            partial.replace(copy)
        finally:
            partial.unlink(missing_ok=True)
        return copy

    def _keep_only(self, table: str, current: Collection[str]) -> None:
        root = self._folder / table
        for copy in root.rglob("*.parquet"):
            if not copy.name.startswith(".") and copy.relative_to(root).as_posix() not in current:
                copy.unlink(missing_ok=True)
