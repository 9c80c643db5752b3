"""One shard of Qdrant's engine in this process: built once from rows, then only read."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import qdrant_edge as edge
from typing_extensions import override

from models.errors import TesseraError
from models.vectors.bm25 import SparseVector
from models.vectors.filters import Filter
from models.vectors.fusion import Hit
from models.vectors.rows import sparse_vectors, vectors_of
from models.vectors.spec import IndexSpec, PayloadType
from models.vectors.values import Value
from resources.durability import sync_all
from resources.vectors.edge_files import VersionFolder
from resources.vectors.index import IndexVersion, Searcher
from resources.vectors.qdrant_filters import DENSE, ID, WORDS, Conditions

_DISTANCES = {"cosine": edge.Distance.Cosine, "dot": edge.Distance.Dot, "euclid": edge.Distance.Euclid}
_FIELDS: Mapping[PayloadType, edge.PayloadSchemaType] = {
    "text": edge.PayloadSchemaType.Keyword,
    "texts": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "timestamp": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "boolean": edge.PayloadSchemaType.Integer,  # 0 and 1: `MatchValue(True)` of 0.9.0 finds nothing
}
_AT_ONCE = 1000
#: Qdrant's thresholds are KB of vectors; a shard below this one gets no graph.
_NEVER_KB, _AT_ONCE_KB, _SCAN_KB = 2**40, 1, 10_000
_ATTEMPTS = 5
#: Forks that this process comes from.
_forks = [0]
os.register_at_fork(after_in_child=lambda: _forks.__setitem__(0, _forks[0] + 1))


@dataclass(frozen=True)
class Graph:
    """Settings of the approximate index (HNSW).

    Attributes:
        from_rows: an index with fewer rows gets none: all of them are compared.
        m: links per row.
        ef_construct: rows looked at to find them.
        ef: rows looked at in a search, at least.
        threads: that build it, and that search.
    """

    from_rows: int
    m: int
    ef_construct: int
    ef: int
    threads: int


def build_shard(folder: Path, rows: pa.Table, spec: IndexSpec, graph: Graph) -> None:
    """Write a shard with these rows (`models.vectors.rows.stored_schema`) into a folder that is not there yet."""
    has_graph = 0 < graph.from_rows <= len(rows)
    threshold = _AT_ONCE_KB if has_graph else _NEVER_KB
    hnsw = edge.HnswIndexConfig(
        graph.m, graph.ef_construct, _SCAN_KB if graph.from_rows > _AT_ONCE else 1, graph.threads
    )
    config = edge.EdgeConfig(
        vectors={DENSE: edge.EdgeVectorParams(spec.space.dimension, _DISTANCES[spec.space.metric], hnsw_config=hnsw)},
        sparse_vectors={WORDS: edge.EdgeSparseVectorParams()} if spec.tokenizer else None,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=threshold, default_segment_number=1),
        max_search_threads=graph.threads,
        wal_enabled=False,  # or no two processes could read it at once
    )
    folder.mkdir(parents=True)
    shard = edge.EdgeShard.create(str(folder), config)
    for name, kind in spec.payload.items():
        if kind in _FIELDS:
            shard.update(edge.UpdateOperation.create_field_index(name, _FIELDS[kind]))
    for start in range(0, len(rows), _AT_ONCE):
        shard.update(edge.UpdateOperation.upsert_points(_points(rows.slice(start, _AT_ONCE), start, spec)))
    shard.optimize()
    shard.flush()
    shard.close()
    sync_all((path for path in folder.rglob("*") if path.is_file()), folder)


def _points(rows: pa.Table, first: int, spec: IndexSpec) -> list[edge.Point]:
    dense = vectors_of(rows).tolist()
    words = sparse_vectors(rows) if spec.tokenizer else []
    filtered = [name for name, kind in spec.payload.items() if kind in _FIELDS]
    found: list[edge.Point] = []
    for at, payload in enumerate(rows.select(["id", *filtered]).to_pylist()):
        vector: dict[str, Any] = {DENSE: dense[at]}
        if words and len(words[at]):
            vector[WORDS] = edge.SparseVector(words[at].terms.tolist(), words[at].weights.tolist())
        kept = {name: _stored(value) for name, value in payload.items() if value is not None and name != "id"}
        found.append(edge.Point(first + at, vector, {**kept, ID: payload["id"]}))
    return found


def _stored(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


class EdgeConditions(Conditions):
    """Conditions of `qdrant_edge`."""

    @override
    def match(self, field: str, value: Value) -> Any:
        return edge.FieldCondition(field, match=edge.MatchValue(_stored(value)))  # pyright: ignore[reportArgumentType]

    @override
    def match_any(self, field: str, values: Sequence[Value]) -> Any:
        return edge.FieldCondition(field, match=edge.MatchAny([*values]))  # pyright: ignore[reportArgumentType]

    @override
    def range(self, field: str, limits: Mapping[str, Value]) -> Any:
        return edge.FieldCondition(field, range=edge.RangeFloat(**limits))  # pyright: ignore[reportArgumentType]

    @override
    def empty(self, field: str) -> Any:
        return edge.IsEmptyCondition(field)

    @override
    def group(
        self, must: Sequence[Any] | None = None, should: Sequence[Any] | None = None, must_not: Any | None = None
    ) -> Any:
        return edge.Filter(
            must=[*must] if must else None,
            should=[*should] if should else None,
            must_not=[*must_not] if must_not else None,
        )


class _Rows:
    """Ids and payloads of rows by their place in a version's file, which is mapped into memory.

    The shard has what filters read, too, but as JSON: taking that apart for ten hits costs more than all else that this
    port adds to a search.
    """

    def __init__(self, rows: pa.Table, spec: IndexSpec) -> None:
        self._id = _value_of(rows["id"])
        self._fields = [(name, _value_of(rows[name])) for name in spec.payload]

    def hits(self, points: Sequence[edge.ScoredPoint], sign: float, new: Any = tuple.__new__) -> list[Hit]:
        """Return points as hits; made as tuples, which takes half the time of the class's own function."""
        hits: list[Hit] = []
        id_of, fields = self._id, self._fields
        for point in points:
            at: Any = point.id  # a whole number: `_points` gives no other
            payload: dict[str, object] = {}
            for name, value_of in fields:
                value = value_of(at)
                if value is not None:
                    payload[name] = value
            hits.append(new(Hit, (id_of(at), sign * point.score, payload)))
        return hits


def _value_of(column: pa.ChunkedArray) -> Callable[[int], Any]:
    """Return a function from a row's place to its value: from the mapped bytes, where each row has one.

    A scalar of Arrow takes ten times as long.
    """
    whole = column.chunk(0) if column.num_chunks == 1 else column
    if isinstance(whole, pa.ChunkedArray) or whole.null_count or whole.offset or not len(whole):
        return lambda at: whole[at].as_py()
    _, *buffers = whole.buffers()
    if pa.types.is_int64(whole.type) or pa.types.is_float64(whole.type):
        return memoryview(buffers[0]).cast("q" if pa.types.is_int64(whole.type) else "d").__getitem__
    if pa.types.is_string(whole.type):
        limits, letters = memoryview(buffers[0]).cast("i"), memoryview(buffers[1] or b"")
        return lambda at: str(letters[limits[at] : limits[at + 1]], "utf-8")
    return lambda at: whole[at].as_py()


class _Opened(NamedTuple):
    """An open shard, and what tells whether it is still that of the version.

    Attributes:
        stamp: of the version's record.
        forks: that the process had been through.
        mark: one byte, 0 while no writer is about to replace the record (`VersionFolder.mark`).
        shard: open.
        rows: of the same revision.
    """

    stamp: object
    forks: int
    mark: mmap.mmap | bytes
    shard: edge.EdgeShard
    rows: _Rows


class EdgeSearcher(Searcher):
    """Searches the shard of one version; opens it again when an erasure has replaced it."""

    def __init__(self, version: IndexVersion, folder: VersionFolder, graph: Graph) -> None:
        self._version = version
        self._folder = folder
        self._record = folder.record_file.name
        self._place = _opened(version, folder.path)
        weakref.finalize(self, os.close, self._place)
        self._graph = graph
        self._sign = -1.0 if version.spec.space.metric == "euclid" else 1.0
        self._opened = self._loaded()

    @override
    def nearest(
        self, vectors: Sequence[list[float]], k: int, where: Filter | None, *, exact: bool
    ) -> Sequence[list[Hit]]:
        condition = None if where is None else EdgeConditions().filter(where)
        params = edge.SearchParams(hnsw_ef=max(self._graph.ef, k), exact=exact)
        return self._answers(
            [
                edge.QueryRequest(k, query=edge.Query.Nearest(one, DENSE), filter=condition, params=params)
                for one in vectors
            ],
            self._sign,
        )

    @override
    def matching(self, queries: Sequence[SparseVector], k: int, where: Filter | None) -> Sequence[list[Hit]]:
        condition = EdgeConditions().filter(where)
        asked = [at for at, one in enumerate(queries) if len(one)]
        requests: list[edge.QueryRequest] = []
        for at in asked:
            vector = edge.SparseVector(queries[at].terms.tolist(), queries[at].weights.tolist())
            nearest = edge.Query.Nearest(vector, WORDS)
            requests.append(edge.QueryRequest(k, query=nearest, filter=condition))
        found = dict(zip(asked, self._answers(requests, 1.0), strict=True))
        return [found.get(at, []) for at in range(len(queries))]

    def _answers(self, requests: Sequence[edge.QueryRequest], sign: float) -> list[list[Hit]]:
        opened = self.current()
        if len(requests) == 1:
            answers = [opened.shard.query(requests[0])]
        else:
            answers = opened.shard.query_batch(edge.QueryBatchRequest([*requests])) if requests else []
        return [opened.rows.hits(points, sign) for points in answers]

    def current(self) -> _Opened:
        """Return shard and rows as they are now, opened again where an erasure has replaced them.

        A process that was forked opens its own. While no writer has marked the revision, no system call is made: one
        between two searches costs far more than its own time.
        """
        opened = self._opened
        if (opened.mark[0] or opened.forks != _forks[0]) and opened.stamp != self._stamp():
            self._opened = opened = self._loaded()
        return opened

    def _stamp(self) -> object:
        """Return a value that changes when the version's record does, or the process."""
        try:
            record = os.stat(self._record, dir_fd=self._place)
        except FileNotFoundError:
            raise _removed(self._version) from None
        return record.st_ino, record.st_mtime_ns, os.getpid()

    def _loaded(self) -> _Opened:
        for attempt in range(_ATTEMPTS):
            stamp, folder = self._stamp(), self._folder.path
            try:
                record = self._folder.read()
                folder, mark = self._folder.shard(record), self._folder.mark(record)
                shard, rows = edge.EdgeShard.load(str(folder)), _Rows(self._folder.rows(record), self._version.spec)
                if self._stamp() == stamp:
                    return _Opened(stamp, _forks[0], mark, shard, rows)
                # Its files were being removed while it was loaded: it may lack some.
            except Exception as error:
                # An erasure may have replaced the shard since its record was read.
                if self._stamp() == stamp or attempt == _ATTEMPTS - 1:
                    raise _unreadable(self._version, folder, error) from error
        raise _unreadable(self._version, self._folder.path, TimeoutError("erasures replaced it again and again"))


def _opened(version: IndexVersion, folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise _removed(version) from None


def _removed(version: IndexVersion) -> TesseraError:
    return TesseraError(
        f"{version.title} was removed.", expected="a version that is there", todo="Open the collection again."
    )


def _unreadable(version: IndexVersion, folder: Path, error: Exception) -> TesseraError:
    return TesseraError(
        f"{version.title} in {folder} cannot be read: {error}.",
        expected="a shard as Qdrant Edge wrote it",
        todo="Build the index again, or publish another version.",
    )
