"""Search the files of a home that are not tables for an identifier: logs of other tools, copies of source files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

_BLOCK_BYTES = 2**20
_TABLE = "_delta_log"


def traces(home: Path, text: str) -> Mapping[str, int]:
    """Path relative to `home` -> how often `text` occurs in it, byte by byte; in Parquet, in how many values.

    Delta tables are left out: they are searched as tables.
    """
    counts = {file.relative_to(home).as_posix(): _count(file, text) for file in _files(home)}
    return {path: count for path, count in counts.items() if count}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink() and not (path / _TABLE).is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def _count(path: Path, text: str) -> int:
    return _values(path, text) if path.suffix == ".parquet" else _bytes(path, text.encode())


def _values(path: Path, text: str) -> int:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        names = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        batches = file.iter_batches(columns=names)
        columns = (column for batch in batches for column in batch.columns)
        return sum(pc.sum(pc.match_substring(column, text)).as_py() or 0 for column in columns)


def _bytes(path: Path, wanted: bytes) -> int:
    count, rest = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            seen = rest + block
            count += seen.count(wanted)
            rest = seen[max(0, len(seen) - len(wanted) + 1) :]
    return count
