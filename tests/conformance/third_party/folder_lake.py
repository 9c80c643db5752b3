"""A lake of a third party: a folder of Parquet files per table and one JSON file that names those of the version."""

import json
import re
import threading
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any, ClassVar, Literal

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from models.errors import TesseraError
from resources.conformance.capabilities import Gap
from resources.health import Health
from resources.lake.port import DataFile, DayRows, Lake, TableRef
from resources.lake.schema import conformed, lake_schema

_LOCKS: dict[Path, Any] = defaultdict(threading.RLock)


class FolderLakeConfig(dg.Config):
    """Parquet files in a folder, for one process."""

    gaps: ClassVar = {"erasable": Gap("old files are kept"), "retained": Gap("old files are kept")}

    kind: Literal["folder"] = "folder"
    path: str

    def open(self) -> "FolderLake":
        return FolderLake(Path(self.path))


class FolderLake(Lake):
    def __init__(self, root: Path) -> None:
        self._root = root

    def replace(self, table: str, rows: pa.Table | pa.RecordBatchReader, *, by: str, first: date, last: date) -> int:
        with self.lock(table):
            now = self._now(table)
            schema = self._schema(table, now) if now else lake_schema(rows.schema, by)
            if now and now["by"] != by:
                raise refused(f"Table {table!r} is split by {now['by']!r}, not by {by!r}.")
            given = pa.Table.from_batches(conformed(rows, schema, table), schema).combine_chunks()
            if given[by].null_count:
                raise refused(f"Rows of {table!r} have no {by}.")
            days = sorted(given[by].unique().to_pylist())
            if days and (days[0] < first or days[-1] > last):
                raise refused(f"Rows of {days[0]} to {days[-1]} are not of {first} to {last}.")
            parts = {day: given.filter(pc.field(by) == day) for day in days}
            old: dict[str, str] = now["files"] if now else {}
            kept = {day: name for day, name in old.items() if not str(first) <= day <= str(last)}
            same = {str(day): old[str(day)] for day in days if self._is(table, old, day, parts[day])}
            new = {str(day): self._write(table, parts[day]) for day in days if str(day) not in same}
            files = dict(sorted({**kept, **same, **new}.items()))
            if now and files == old:
                return now["version"]
            version = now["version"] + 1 if now else 7  # where versions begin is up to the lake
            empty = now["empty"] if now else self._write(table, schema.empty_table())
            state = {"version": version, "by": by, "empty": empty, "files": files}
            part = self._root / table / "current.part"
            part.write_text(json.dumps(state))
            part.replace(self._root / table / "current.json")
            return version

    def scan(self, table: str, *, first: date | None = None, last: date | None = None) -> ds.Dataset:
        now = self._must(table)
        return ds.dataset([*self.files(table, first=first, last=last)], self._schema(table, now), format="parquet")

    def tables(self) -> Sequence[str]:
        return sorted(folder.parent.name for folder in self._root.glob("*/current.json"))

    def exists(self, table: str) -> bool:
        return self._now(table) is not None

    def version(self, table: str) -> int:
        now = self._now(table)
        return now["version"] if now else -1

    def days(self, table: str) -> Sequence[date]:
        return [date.fromisoformat(day) for day in (self._now(table) or {"files": {}})["files"]]

    def rows_by_day(self, table: str) -> DayRows:
        days = self.days(table)
        return {day: pq.read_metadata(self.files(table, first=day, last=day)[0]).num_rows for day in days}

    def drop(self, table: str) -> None:
        with self.lock(table):
            (self._root / table / "current.json").unlink(missing_ok=True)

    def files(self, table: str, *, first: date | None = None, last: date | None = None) -> Sequence[str]:
        low, high = str(first or date.min), str(last or date.max)
        files = self._must(table)["files"].items()
        return [str(self._root / table / name) for day, name in files if low <= day <= high]

    def refer(
        self,
        table: str,
        *,
        first: date | None = None,
        last: date | None = None,
        days: Collection[date] | None = None,
    ) -> TableRef:
        now = self._must(table)
        chosen = [day for day in self.days(table) if (first or date.min) <= day <= (last or date.max)]
        paths = zip(chosen, self.files(table, first=first, last=last), strict=True)
        files = [DataFile(path, day) for day, path in paths if days is None or day in days]
        return TableRef(table, now["version"], now["by"], self._schema(table, now), tuple(files))

    def lock(self, table: str) -> AbstractContextManager[None]:
        if not re.fullmatch(r"\w+", table):
            raise refused(f"{table!r} cannot be the name of a table.")
        return _LOCKS[self._root / table]

    def check(self) -> Health:
        return Health(True, f"Parquet files in {self._root}")

    def _now(self, table: str) -> dict[str, Any] | None:
        file = self._root / table / "current.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def _must(self, table: str) -> dict[str, Any]:
        if now := self._now(table):
            return now
        raise refused(f"There is no table {table!r}.")

    def _schema(self, table: str, now: dict[str, Any]) -> pa.Schema:
        return pq.read_schema(self._root / table / now["empty"])

    def _is(self, table: str, old: dict[str, str], day: date, rows: pa.Table) -> bool:
        name = old.get(str(day))
        return name is not None and pq.read_table(self._root / table / name).equals(rows)

    def _write(self, table: str, rows: pa.Table) -> str:
        (self._root / table).mkdir(parents=True, exist_ok=True)
        name = f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows, self._root / table / name)
        return name


def refused(what: str) -> TesseraError:
    return TesseraError(what, expected="what the port promises", todo="Correct it.")
