"""A second record of which files a table consists of, beside Delta's log: what the log lost is restored from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

#: In the table's folder; a vacuum leaves names with an underscore alone.
NAME = "_manifest.json"


@dataclass(frozen=True)
class ListedFile:
    """A data file of a table: its day, size in bytes, and rows."""

    day: date
    size: int
    rows: int


@dataclass(frozen=True)
class Manifest:
    """One version of a table: `files` by path relative to the table; `schema` as Delta's JSON; split into days `by`."""

    version: int
    by: str
    schema: str
    files: Mapping[str, ListedFile]

    def content(self) -> bytes:
        """Return the bytes to store: the SHA-256 of the second line, then that line."""
        files = {path: [file.day.isoformat(), file.size, file.rows] for path, file in sorted(self.files.items())}
        body = json.dumps({"version": self.version, "by": self.by, "schema": self.schema, "files": files}).encode()
        return sha256(body).hexdigest().encode() + b"\n" + body


def read_manifest(content: bytes) -> Manifest | None:
    """Return the manifest in these bytes; None if they are not those that were written."""
    digest, _, body = content.partition(b"\n")
    if sha256(body).hexdigest().encode() != digest:
        return None
    values = json.loads(body)
    files = {path: ListedFile(date.fromisoformat(day), *counts) for path, (day, *counts) in values["files"].items()}
    return Manifest(values["version"], values["by"], values["schema"], files)


def manifest_of(table: DeltaTable) -> Manifest:
    """Return the manifest of the version that `table` has open."""
    by = table.metadata().partition_columns[0]
    return Manifest(table.version(), by, table.schema().to_json(), listed(table, by))


def listed(table: DeltaTable, by: str) -> dict[str, ListedFile]:
    """Return the data files of the version that `table` has open, by path."""
    actions: Any = pa.table(table.get_add_actions(flatten=True))
    names = set(actions.column_names)
    rows = actions["num_records"].to_pylist() if "num_records" in names else [0] * len(actions)
    columns = (actions["path"], actions[f"partition.{by}"], actions["size_bytes"])
    values = zip(*(column.to_pylist() for column in columns), rows, strict=True)
    return {path: ListedFile(day, size, count or 0) for path, day, size, count in values}
