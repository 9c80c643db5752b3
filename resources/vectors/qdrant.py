"""Vector indexes on a Qdrant server, or in this process's memory for tests."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import date
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import dagster as dg
import numpy as np
import pyarrow as pa
from pydantic import ConfigDict, Field
from typing_extensions import override

from models.erasure.tombstones import Forgotten, Tombstone, new_key
from models.errors import TesseraError
from models.vectors.bm25 import Bm25, SparseVector
from models.vectors.filters import Filter
from models.vectors.fusion import Hit
from models.vectors.rows import sparse_vectors, stored_schema, vectors_of
from models.vectors.spec import IndexSpec
from resources.health import Health
from resources.vectors.http_deadline import whole_answers
from resources.vectors.index import IndexVersion, Searcher
from resources.vectors.port import Vectors
from resources.vectors.qdrant_filters import DENSE, ID, WORDS

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

#: Collection of points without vectors: descriptions of versions, pointers, tombstones.
_RECORDS = "tessera_records"
_SUBJECT, _DIGEST = "_subject", "_digest"
_AT_ONCE = 500
_SEAL_SECONDS, _PAUSE_SECONDS = 3600.0, 0.2
_MEMORY = ":memory:"


class QdrantConfig(dg.Config):
    """A Qdrant server (1.16 or newer), which several machines can reach; `url: ":memory:"` is for tests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: For docs/adapters.md.
    tested: ClassVar[str] = (
        "tested against the memory of the server's own Python client (`:memory:`), and over HTTP against a stub that"
        " checks every request by the models which Qdrant generates from its published OpenAPI, answers it from that"
        " memory, and gives 429, 500, garbage and slow answers; not against a server: approximate search, the effect of"
        " payload indexes, status and removal of bytes on the server's disk were never run"
    )

    kind: Literal["qdrant"] = "qdrant"
    url: str = Field(default="http://127.0.0.1:6333", description="Address of the server.")
    api_key: str = Field(default="", description="Of the server; `{env: NAME}`.")
    index_from_rows: int = Field(
        default=20_000,
        ge=0,
        description="The server builds an approximate index (HNSW) from so many rows on; 0: never.",
    )
    hnsw_m: int = Field(default=16, ge=4, le=128, description="Links per row of the approximate index.")
    hnsw_ef_construct: int = Field(default=100, ge=4, description="Rows looked at to link one of them.")
    hnsw_ef: int = Field(default=128, ge=1, description="Rows looked at by an approximate search.")
    timeout_seconds: int = Field(
        default=60, ge=1, description="Seconds in which an answer of the server begins, and in which it is whole."
    )

    def open(self) -> QdrantVectors:
        """Return the collections of that server; it is asked for nothing yet."""
        from qdrant_client import QdrantClient

        if self.url == _MEMORY:
            return QdrantVectors(QdrantClient(_MEMORY), self)
        client = QdrantClient(
            url=self.url,
            api_key=self.api_key or None,
            timeout=self.timeout_seconds,
            check_compatibility=False,
            transport=whole_answers(self.timeout_seconds),
        )
        return QdrantVectors(client, self)


class QdrantVectors(Vectors):
    """One Qdrant collection per version, `tessera_<collection>_<number>`; the alias `tessera_<collection>` follows."""

    def __init__(self, client: QdrantClient, config: QdrantConfig) -> None:
        self._client = client
        self._config = config
        self.is_local = config.url == _MEMORY
        # The client's own memory is not safe for threads (qdrant/qdrant-client#1193).
        self._turn: AbstractContextManager[Any] = RLock() if self.is_local else nullcontext()
        self._is_ready = False

    @override
    def collections(self) -> Sequence[str]:
        return sorted({str(record["collection"]) for record in self._records("version")})

    @override
    def versions(self, collection: str) -> Sequence[IndexVersion]:
        records = sorted(self._records("version", collection=collection), key=lambda record: record["number"])
        return [self._version_of(record) for record in records]

    @override
    def current(self, collection: str) -> int | None:
        found = self._record(f"pointer/{collection}")
        return found["current"] if found else None

    @override
    def check(self) -> Health:
        try:
            count = len(self.collections())
        except TesseraError as error:
            return Health(False, error.what, error.todo)
        return Health(True, f"Qdrant at {self._config.url}, {count} collections")

    @override
    def forgotten(self, entity: str) -> Forgotten:
        stones = self._records("tombstone", entity=entity)
        key = self._record("key") if stones else None
        if stones and key is None:
            raise TesseraError(
                f"The key of the tombstones in {_RECORDS} at {self._config.url} is gone.",
                expected="it beside the tombstones; without it no one can be recognised",
                todo="Restore it from a backup; until then nothing is written, so that no one comes back.",
            )
        found = [Tombstone(digest=one["digest"], fingerprint=one["fingerprint"]) for one in stones]
        return Forgotten(entity, bytes.fromhex(key["key"]) if key else b"", found)

    @override
    def _begin(self, collection: str, spec: IndexSpec, bm25: bytes) -> int:
        last = self._record(f"last/{collection}")
        number = max([last["last"] if last else 0, *(one.number for one in self.versions(collection))]) + 1
        while not self._created(collection, number, spec):
            number += 1  # another process begins one at this moment
        self._store(f"last/{collection}", {"type": "last", "collection": collection, "last": number})
        about = {"collection": collection, "number": number, "spec": spec.model_dump_json()}
        state = {"state": "begun", "published": False, "bm25": base64.b64encode(bm25).decode()}
        self._store(f"version/{collection}/{number}", {"type": "version", **about, **state})
        return number

    @override
    def _statistics(self, version: IndexVersion) -> bytes:
        found = self._record(_key(version))
        return base64.b64decode(found["bm25"]) if found else b""

    @override
    def _put(self, version: IndexVersion, rows: pa.Table) -> None:
        with self._answering() as client:
            for start in range(0, len(rows), _AT_ONCE):
                client.upsert(_name(version), _points(rows.slice(start, _AT_ONCE), version.spec), wait=True)

    @override
    def _delete(self, version: IndexVersion, ids: Sequence[str]) -> int:
        with self._answering() as client:
            points: list[Any] = [_point_id(id) for id in ids]
            there = client.retrieve(_name(version), points, with_payload=False)
            client.delete(_name(version), points_selector=points, wait=True)
            return len(there)

    @override
    def _seal(self, version: IndexVersion) -> None:
        self._wait_for_index(version)
        self._forget_terms(version)
        self._change(_key(version), {"state": "sealed"})

    @override
    def _searcher(self, version: IndexVersion) -> Searcher:
        return _QdrantSearcher(self, version)

    @override
    def _rows(self, version: IndexVersion) -> pa.Table:
        schema, rows = stored_schema(version.spec), list[dict[str, Any]]()
        for point in self._scrolled(_name(version), with_vectors=True):
            words = point.vector.get(WORDS)
            row = {
                "id": point.payload[ID],
                "subject": point.payload.get(_SUBJECT),
                "digest": point.payload.get(_DIGEST),
            }
            row |= {name: point.payload.get(name) for name in version.spec.payload} | {"vector": point.vector[DENSE]}
            rows.append(row | {"terms": words.indices if words else [], "weights": words.values if words else []})
        return pa.Table.from_pylist(rows, schema=schema).sort_by("id")

    @override
    def _publish(self, version: IndexVersion) -> None:
        from qdrant_client import models

        self._change(_key(version), {"published": True})
        pointer = {"type": "pointer", "collection": version.collection, "current": version.number}
        self._store(f"pointer/{version.collection}", pointer)
        alias = f"tessera_{version.collection}"
        with self._answering() as client:
            before = [one.alias_name for one in client.get_aliases().aliases]
            drop = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
            add = models.CreateAlias(collection_name=_name(version), alias_name=alias)
            moved = [drop] if alias in before else []
            client.update_collection_aliases([*moved, models.CreateAliasOperation(create_alias=add)])

    @override
    def _remove(self, version: IndexVersion) -> None:
        with self._answering() as client:
            client.delete(_RECORDS, points_selector=[_point_id(_key(version))], wait=True)
            client.delete_collection(_name(version))

    @override
    def _erase(self, version: IndexVersion, subjects: Sequence[str]) -> int:
        from qdrant_client import models

        match = models.FieldCondition(key=_SUBJECT, match=models.MatchAny(any=[*subjects]))
        theirs = models.Filter(must=[match])
        with self._answering() as client:
            count = client.count(_name(version), count_filter=theirs, exact=True).count
            if count:
                client.delete(_name(version), points_selector=models.FilterSelector(filter=theirs), wait=True)
        if version.state == "sealed":
            self._forget_terms(version)
        return count

    @override
    def _leave_tombstone(self, entity: str, id: str, *, day: date, why: str) -> None:
        if self._record("key") is None:
            self._store("key", {"type": "key", "key": new_key().hex()}, only_new=True)
        stored = self._record("key")
        key = bytes.fromhex(stored["key"]) if stored else b""
        stone = Forgotten(entity, key).tombstone(id).model_dump()
        about = {"entity": entity, "forgotten_on": day.isoformat(), "why": why}
        self._store(f"tombstone/{entity}/{stone['digest']}", {"type": "tombstone", **about, **stone}, only_new=True)

    def answers(self, version: IndexVersion, requests: Sequence[Any]) -> list[list[Any]]:
        """Return the points that each request finds."""
        with self._answering() as client:
            found = client.query_batch_points(_name(version), requests) if requests else []
        return [one.points for one in found]

    @property
    def ef(self) -> int:
        """Rows looked at by an approximate search."""
        return self._config.hnsw_ef

    def _forget_terms(self, version: IndexVersion) -> None:
        statistics = self._statistics(version)
        if statistics:
            found: set[int] = set()
            for point in self._scrolled(_name(version), with_vectors=[WORDS]):
                found.update(point.vector[WORDS].indices if WORDS in point.vector else ())
            left = Bm25.from_bytes(statistics).only(np.fromiter(found, np.uint32, len(found)))
            self._change(_key(version), {"bm25": base64.b64encode(left.to_bytes()).decode()})

    def _created(self, collection: str, number: int, spec: IndexSpec) -> bool:
        from qdrant_client import models

        config, name = self._config, f"tessera_{collection}_{number}"
        distances = {"cosine": models.Distance.COSINE, "dot": models.Distance.DOT, "euclid": models.Distance.EUCLID}
        threshold = config.index_from_rows * spec.space.dimension * 4 // 1024
        with self._answering() as client:
            if client.collection_exists(name):
                return False
            client.create_collection(
                name,
                vectors_config={
                    DENSE: models.VectorParams(size=spec.space.dimension, distance=distances[spec.space.metric])
                },
                sparse_vectors_config={WORDS: models.SparseVectorParams()} if spec.tokenizer else None,
                hnsw_config=models.HnswConfigDiff(m=config.hnsw_m, ef_construct=config.hnsw_ef_construct),
                # Segments with erased rows are rewritten soon: by default, only once a fifth of their rows is deleted.
                optimizers_config=models.OptimizersConfigDiff(
                    indexing_threshold=max(1, threshold) if config.index_from_rows else 0,
                    deleted_threshold=0.0001,
                    vacuum_min_vector_number=100,
                ),
            )
            for field, kind in ({} if self.is_local else _indexed(spec)).items():
                client.create_payload_index(name, field, field_schema=kind, wait=True)
        return True

    def _wait_for_index(self, version: IndexVersion) -> None:
        from qdrant_client import models

        deadline = time.monotonic() + _SEAL_SECONDS
        while True:
            with self._answering() as client:
                status = client.get_collection(_name(version)).status
            if status == models.CollectionStatus.GREEN:
                return
            if status == models.CollectionStatus.RED or time.monotonic() > deadline:
                raise TesseraError(
                    f"The server did not build the approximate index of {version.title}: its status is {status.value}.",
                    expected="status green",
                    todo="Look at the server's log, then build the index again.",
                )
            time.sleep(_PAUSE_SECONDS)

    def _version_of(self, record: Mapping[str, Any]) -> IndexVersion:
        spec = IndexSpec.model_validate_json(record["spec"])
        version = IndexVersion(
            record["collection"], record["number"], spec, record["state"], 0, bool(record["published"])
        )
        if version.state == "begun":
            return version
        with self._answering() as client:
            rows = client.count(_name(version), exact=True).count
        return IndexVersion(version.collection, version.number, spec, "sealed", rows, version.was_published)

    def _records(self, kind: str, **fields: str) -> list[dict[str, Any]]:
        from qdrant_client import models

        wanted = {"type": kind, **fields}
        must = [models.FieldCondition(key=key, match=models.MatchValue(value=at)) for key, at in wanted.items()]
        leave = models.PayloadSelectorExclude(exclude=["bm25"])
        where = models.Filter(must=cast("Any", must))
        return [point.payload for point in self._scrolled(_RECORDS, scroll_filter=where, with_payload=leave)]

    def _record(self, key: str) -> dict[str, Any] | None:
        with self._answering() as client:
            found = client.retrieve(_RECORDS, [_point_id(key)], with_payload=True)
        return found[0].payload if found else None

    def _store(self, key: str, payload: Mapping[str, Any], *, only_new: bool = False) -> None:
        from qdrant_client import models

        point = models.PointStruct(id=_point_id(key), vector={}, payload={**payload})
        mode = models.UpdateMode.INSERT_ONLY if only_new else models.UpdateMode.UPSERT
        with self._answering() as client:
            client.upsert(_RECORDS, [point], wait=True, update_mode=mode)

    def _change(self, key: str, payload: Mapping[str, Any]) -> None:
        with self._answering() as client:
            client.set_payload(_RECORDS, {**payload}, points=[_point_id(key)], wait=True)

    def _scrolled(self, name: str, **asked: Any) -> Iterator[Any]:
        offset: Any = None
        while True:
            with self._answering() as client:
                points, offset = client.scroll(name, limit=_AT_ONCE, offset=offset, **asked)
            yield from points
            if offset is None:
                return

    @contextmanager
    def _answering(self) -> Iterator[QdrantClient]:
        """Provide the client; the collection of records is there.

        Raises:
            TesseraError: instead of whatever the client raises inside.
        """
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException

        with self._turn:
            try:
                if not self._is_ready:
                    if not self._client.collection_exists(_RECORDS):
                        self._client.create_collection(_RECORDS, vectors_config={})
                    self._is_ready = True
                yield self._client
            except (ApiException, QdrantException, ValueError) as error:
                says = str(error).strip().splitlines() or [type(error).__name__]
                raise TesseraError(
                    f"Qdrant at {self._config.url} does not answer as it should: {says[0]}.",
                    expected="a server that runs, and a version that was not removed",
                    todo="Start it, or correct `url` and `api_key` of vectors in stack.yaml.",
                ) from error


class _QdrantSearcher(Searcher):
    def __init__(self, store: QdrantVectors, version: IndexVersion) -> None:
        from resources.vectors.qdrant_conditions import ClientConditions

        self._store, self._version, self._conditions = store, version, ClientConditions()
        self._sign = -1.0 if version.spec.space.metric == "euclid" else 1.0
        self._floats = [name for name, kind in version.spec.payload.items() if kind == "float"]

    @override
    def nearest(
        self, vectors: Sequence[list[float]], k: int, where: Filter | None, *, exact: bool
    ) -> Sequence[list[Hit]]:
        from qdrant_client import models

        ef = max(self._store.ef, k)
        params = None if self._store.is_local else models.SearchParams(hnsw_ef=ef, exact=exact)
        asked = [self._request(one, DENSE, k, where, params) for one in vectors]
        return [self._hits(points, self._sign) for points in self._store.answers(self._version, asked)]

    @override
    def matching(self, queries: Sequence[SparseVector], k: int, where: Filter | None) -> Sequence[list[Hit]]:
        from qdrant_client import models

        asked: dict[int, Any] = {}
        for at, one in enumerate(queries):
            if len(one):
                vector = models.SparseVector(indices=one.terms.tolist(), values=one.weights.tolist())
                asked[at] = self._request(vector, WORDS, k, where, None)
        answers = self._store.answers(self._version, [*asked.values()])
        found = {at: self._hits(points, 1.0) for at, points in zip(asked, answers, strict=True)}
        return [found.get(at, []) for at in range(len(queries))]

    def _request(self, query: Any, using: str, k: int, where: Filter | None, params: Any) -> Any:
        from qdrant_client import models

        leave = models.PayloadSelectorExclude(exclude=[_SUBJECT, _DIGEST])
        condition = self._conditions.filter(where)
        return models.QueryRequest(
            query=query, using=using, filter=condition, limit=k, params=params, with_payload=leave
        )

    def _hits(self, points: Sequence[Any], sign: float) -> list[Hit]:
        hits: list[Hit] = []
        for point in points:
            payload = {**point.payload}
            for name in self._floats:
                if name in payload:
                    payload[name] = float(payload[name])  # JSON has one kind of number
            hits.append(Hit(payload.pop(ID), sign * point.score, payload))
        return hits


def _points(rows: pa.Table, spec: IndexSpec) -> list[Any]:
    from qdrant_client import models

    dense, words = vectors_of(rows).tolist(), sparse_vectors(rows) if spec.tokenizer else []
    found: list[Any] = []
    for at, row in enumerate(rows.select(["id", "subject", "digest", *spec.payload]).to_pylist()):
        vector: dict[str, Any] = {DENSE: dense[at]}
        if words and len(words[at]):
            vector[WORDS] = models.SparseVector(indices=words[at].terms.tolist(), values=words[at].weights.tolist())
        payload = {ID: row.pop("id"), _SUBJECT: row.pop("subject"), _DIGEST: row.pop("digest"), **row}
        kept = {name: value for name, value in payload.items() if value is not None}
        found.append(models.PointStruct(id=_point_id(kept[ID]), vector=vector, payload=kept))
    return found


def _indexed(spec: IndexSpec) -> dict[str, Any]:
    """Return field -> type of the payload index, of those that filters read."""
    kinds = {"text": "keyword", "texts": "keyword", "integer": "integer", "timestamp": "integer", "float": "float"}
    kinds["boolean"] = "bool"
    return {_SUBJECT: "keyword"} | {name: kinds[kind] for name, kind in spec.payload.items() if kind in kinds}


def _name(version: IndexVersion) -> str:
    return f"tessera_{version.collection}_{version.number}"


def _key(version: IndexVersion) -> str:
    return f"version/{version.collection}/{version.number}"


def _point_id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))
