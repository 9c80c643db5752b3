"""Counts of the rows of files, kept so that a file that did not change is not parsed each night."""

# ruff: noqa: S608 - the SQL is made of the names and expressions that the owner of stack.yaml wrote.

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import duckdb

from resources.source.mapping import Bound
from resources.source.spool import FILE


@dataclass(frozen=True)
class FileCounts:
    """Physical rows of a file, those that the profile's `where` leaves in, and columns whose ids look like `103.0`."""

    rows: int
    counted: int
    written_as_floats: Sequence[str]


def counts_of(
    connection: duckdb.DuckDBPyConnection,
    bounds: Sequence[Bound],
    files: Sequence[Path],
    written_as_floats: Mapping[str, Sequence[str]],
) -> dict[Path, FileCounts]:
    """Return counts of each of `files`, whose rows are in the views `tessera_rows_<n>`, one for each of `bounds`."""
    found: dict[str, tuple[int, int]] = {}
    for number, bound in enumerate(bounds):
        counts = f"count(*), count(*) FILTER (WHERE {bound.counted()})"
        rows = connection.execute(f"SELECT {FILE}, {counts} FROM tessera_rows_{number} GROUP BY {FILE}").fetchall()
        found |= {str(file): (total, counted) for file, total, counted in rows}
    return {
        file: FileCounts(
            *found.get(str(file), (0, 0)), [column for column, of in written_as_floats.items() if str(file) in of]
        )
        for file in files
    }


class KeptCounts:
    """The counts of files by path, size and time of modification, in one JSON file; a damaged one is made again.

    Args:
        folder: where the file is.
        settings: everything beside the files that the counts depend on.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self._file = folder / f"counts-{sha256(settings.encode()).hexdigest()[:16]}.json"

    def of(
        self, files: Sequence[Path], count: Callable[[list[Path]], Mapping[Path, FileCounts]]
    ) -> dict[Path, FileCounts]:
        """Return the counts of `files`: those of changed files by `count`, the others as they were kept."""
        states = {file: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
        kept = self._read()
        known = {
            file: FileCounts(**kept[str(file)][1]) for file in files if kept.get(str(file), [None])[0] == states[file]
        }
        if changed := [file for file in files if file not in known]:
            known |= count(changed)
        if changed or len(kept) != len(files):
            self._write({str(file): [states[file], asdict(known[file])] for file in files})
        return known

    def _read(self) -> dict[str, list]:  # type: ignore[type-arg]
        try:
            return json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}

    def _write(self, content: object) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(f".{secrets.token_hex(4)}.tmp")
        part.write_text(json.dumps(content))
        part.replace(self._file)
