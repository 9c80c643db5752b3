"""Vector indexes in files on this machine, searched in this process by Qdrant's engine (Qdrant Edge)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Literal

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pa_fs
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.erasure.tombstones import Forgotten
from models.errors import TesseraError
from models.vectors.bm25 import Bm25
from models.vectors.spec import IndexSpec
from resources.durability import replace_durably
from resources.health import Health
from resources.tombstones import TombstoneFolder
from resources.vectors.edge_files import (
    Pointer,
    VersionFolder,
    VersionRecord,
    empty_rows,
    remove_folder,
    version_folders,
)
from resources.vectors.index import IndexVersion, Searcher
from resources.vectors.port import Vectors

# pyright: reportAttributeAccessIssue=false
# pyarrow makes the functions of `pyarrow.compute` when it is imported.

_TOMBSTONES = "_forgotten"


class QdrantEdgeConfig(dg.Config):
    """Files on this machine, no server: Qdrant's engine runs in this process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["qdrant_edge"] = "qdrant_edge"
    path: str = Field(default="var/vectors", description="Folder of the collections.")
    index_from_rows: int = Field(
        default=20_000,
        ge=0,
        description="An approximate index (HNSW) is built for versions with at least so many rows; below, and with 0, a"
        " search compares all rows.",
    )
    hnsw_m: int = Field(default=16, ge=4, le=128, description="Links per row of the approximate index.")
    hnsw_ef_construct: int = Field(default=100, ge=4, description="Rows looked at to link one of them.")
    hnsw_ef: int = Field(default=128, ge=1, description="Rows looked at by an approximate search.")
    threads: int = Field(default=1, ge=1, description="Threads that build the approximate index and search it.")
    lock_timeout_seconds: float = Field(
        default=600.0, gt=0, description="Seconds to wait for another writer of the same collection."
    )

    def open(self) -> QdrantEdgeVectors:
        """Return the collections in that folder."""
        return QdrantEdgeVectors(self)


class QdrantEdgeVectors(Vectors):
    """Collections in one folder: the writer of one holds its lock; readers in any number of processes need none."""

    def __init__(self, config: QdrantEdgeConfig) -> None:
        self._config = config
        self._root = Path(config.path).expanduser().resolve()

    @override
    def collections(self) -> Sequence[str]:
        folders = self._root.iterdir() if self._root.is_dir() else ()
        found = [folder for folder in folders if folder.is_dir() and folder.name != _TOMBSTONES]
        return sorted(folder.name for folder in found if version_folders(folder))

    @override
    def versions(self, collection: str) -> Sequence[IndexVersion]:
        if not self._folder(collection).is_dir():
            return []
        published = self._pointer(collection).published
        found: list[IndexVersion] = []
        for number, folder in version_folders(self._folder(collection)):
            try:
                record = folder.read()
            except FileNotFoundError:
                continue  # it was removed meanwhile
            is_published = number in published
            found.append(IndexVersion(collection, number, record.spec, record.state, record.rows, is_published))
        return found

    @override
    def current(self, collection: str) -> int | None:
        return self._pointer(collection).current

    @override
    def check(self) -> Health:
        try:
            with self._locked(self._root):
                count = len(self.collections())
        except (OSError, TesseraError) as error:
            return Health(False, f"{self._root} does not work: {error}", "Correct `path` of vectors in stack.yaml.")
        return Health(True, f"Qdrant Edge in {self._root}, {count} collections")

    @override
    def forgotten(self, entity: str) -> Forgotten:
        return self._tombstones().forgotten(entity)

    @override
    def _begin(self, collection: str, spec: IndexSpec, bm25: bytes) -> int:
        with self._changing(collection):
            pointer = self._pointer(collection)
            number = pointer.last + 1
            self._point(collection, pointer.model_copy(update={"last": number}))
            folder, record = self._version(collection, number), VersionRecord(spec=spec)
            shutil.rmtree(folder.path, ignore_errors=True)
            folder.write_rows(record, empty_rows(spec), bm25)
            folder.write(record)
        return number

    @override
    def _statistics(self, version: IndexVersion) -> bytes:
        folder = self._version(version.collection, version.number)
        return folder.of_revision(lambda record: folder.statistics(record).read_bytes())

    @override
    def _put(self, version: IndexVersion, rows: pa.Table) -> None:
        with self._changing(version.collection):
            self._version(version.collection, version.number).add_part(rows)

    @override
    def _delete(self, version: IndexVersion, ids: Sequence[str]) -> int:
        with self._changing(version.collection):
            return len(self._version(version.collection, version.number).remove_from_parts("id", ids))

    @override
    def _seal(self, version: IndexVersion) -> None:
        with self._changing(version.collection):
            folder = self._version(version.collection, version.number)
            record = folder.read()
            if record.state == "begun":
                rows = folder.parts()
                self._replace(folder, record, rows if rows is not None else empty_rows(record.spec))

    @override
    def _searcher(self, version: IndexVersion) -> Searcher:
        from resources.vectors.edge_shard import EdgeSearcher

        return EdgeSearcher(version, self._version(version.collection, version.number), self._graph())

    @override
    def _rows(self, version: IndexVersion) -> pa.Table:
        folder = self._version(version.collection, version.number)
        return folder.of_revision(folder.rows)

    @override
    def _publish(self, version: IndexVersion) -> None:
        with self._changing(version.collection):
            pointer = self._pointer(version.collection)
            published = tuple(sorted({*pointer.published, version.number}))
            moved = pointer.model_copy(update={"current": version.number, "published": published})
            self._point(version.collection, moved)

    @override
    def _remove(self, version: IndexVersion) -> None:
        with self._changing(version.collection):
            pointer = self._pointer(version.collection)
            kept = tuple(number for number in pointer.published if number != version.number)
            self._point(version.collection, pointer.model_copy(update={"published": kept}))
            folder = self._version(version.collection, version.number)
            folder.warn_readers()
            folder.record_file.unlink(missing_ok=True)
            remove_folder(folder.path)

    @override
    def _erase(self, version: IndexVersion, subjects: Sequence[str]) -> int:
        with self._changing(version.collection):
            folder = self._version(version.collection, version.number)
            if not folder.record_file.exists():
                return 0  # it was removed meanwhile
            record = folder.read()
            folder.clean(record)
            if record.state == "begun":
                return len(folder.remove_from_parts("subject", subjects))
            return self._erase_sealed(folder, record, subjects)

    def _erase_sealed(self, folder: VersionFolder, record: VersionRecord, subjects: Sequence[str]) -> int:
        rows = folder.rows(record)
        theirs = pc.fill_null(pc.is_in(rows["subject"], pa.array(subjects, pa.string())), False)
        if pc.any(theirs).as_py():
            self._replace(folder, record, rows.filter(pc.invert(theirs)))
        return pc.sum(theirs).as_py() or 0

    def _replace(self, folder: VersionFolder, record: VersionRecord, rows: pa.Table) -> None:
        """Write the next revision of a version; its record then names it, and the files of the one before go."""
        from resources.vectors.edge_shard import build_shard

        changed = {"state": "sealed", "rows": len(rows), "revision": record.revision + 1}
        sealed = record.model_copy(update=changed)
        statistics = folder.statistics(record).read_bytes()
        if statistics:
            statistics = Bm25.from_bytes(statistics).only(_terms(rows)).to_bytes()
        folder.write_rows(sealed, rows, statistics)
        build_shard(folder.shard(sealed), rows, record.spec, self._graph())
        folder.write(sealed)

    @override
    def _leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> None:
        with self._locked(self._root):
            self._tombstones().add(entity, id, day=day, why=why)

    def _tombstones(self) -> TombstoneFolder:
        return TombstoneFolder(pa_fs.LocalFileSystem(), str(self._root / _TOMBSTONES))

    def _graph(self):
        from resources.vectors.edge_shard import Graph

        config = self._config
        return Graph(config.index_from_rows, config.hnsw_m, config.hnsw_ef_construct, config.hnsw_ef, config.threads)

    def _folder(self, collection: str) -> Path:
        return self._root / collection

    def _version(self, collection: str, number: int) -> VersionFolder:
        return VersionFolder(self._folder(collection) / str(number))

    def _pointer(self, collection: str) -> Pointer:
        try:
            return Pointer.model_validate_json((self._folder(collection) / "pointer.json").read_bytes())
        except FileNotFoundError:
            return Pointer()

    def _point(self, collection: str, pointer: Pointer) -> None:
        replace_durably(self._folder(collection) / "pointer.json", pointer.model_dump_json().encode())

    def _changing(self, collection: str):
        return self._locked(self._folder(collection))

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        seconds = self._config.lock_timeout_seconds
        try:
            with FileLock(folder / "lock", timeout=seconds):
                yield
        except Timeout:
            raise TesseraError(
                f"Another process has been changing {folder} for {seconds:g} s.",
                expected="one at a time",
                todo="Wait for it, or raise `lock_timeout_seconds` of vectors in stack.yaml.",
            ) from None


def _terms(rows: pa.Table) -> NDArray[np.uint32]:
    return pc.unique(pc.list_flatten(rows["terms"])).to_numpy()
