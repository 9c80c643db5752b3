"""Build a new version of a vector index, and serve it if approximate search finds what exact search finds.

A version never changes, so that a reader sees the index before or the one after. Texts whose digest the served version
knows are not embedded again. What equals the served version is not built again. A version of an earlier day than the
served one is for those who ask for that day (`Vectors.version_of`): it is not served.
"""

# pyright: basic, reportAttributeAccessIssue=false
# pyarrow has no static types, and makes the functions of `pyarrow.compute` when it is imported.

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.stages import metadata_keys as keys
from assets.stages.vector_index.recall_gate import RecallGate, require_recall
from models.errors import TesseraError
from models.vectors.bm25 import Bm25, fitted
from models.vectors.rows import checked_vectors, row_schema, vectors_of
from models.vectors.spec import IndexSpec
from resources.vectors.port import IndexVersion, Vectors

Embed = Callable[[Sequence[str]], NDArray[np.float32]]

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class VectorIndexPlan:
    """A vector index that an asset keeps up to date.

    Attributes:
        collection: its name.
        spec: space of the embedder's vectors, payload, subject, tokenizer.
        embed: makes one vector of each text.
        gate: how much of exact search approximate search has to find.
        keep: versions kept for a rollback, beside the one that is served; and as many of earlier days, beside the one
            that was built last.
        texts_at_once: number of texts that `embed` is given.
    """

    collection: str
    spec: IndexSpec
    embed: Embed
    gate: RecallGate = field(default_factory=RecallGate)
    keep: int = 2
    texts_at_once: int = 256


@dataclass(frozen=True)
class BuiltIndex:
    """The outcome of one build.

    Attributes:
        number: of the version.
        rows: that it has.
        embedded: texts that were embedded.
        copied: rows whose vectors were taken from the version before.
        recall: mean share of exact hits that approximate search found, 0 to 1.
        is_new: the version was built by this call; otherwise there was one with these rows already.
        removed: versions that are no longer needed.
        is_served: it is the one that the pointer names; otherwise it is of an earlier day.
    """

    number: int
    rows: int
    embedded: int
    copied: int
    recall: float
    is_new: bool
    removed: Sequence[int] = ()
    is_served: bool = True

    def metadata(self) -> dict[str, int | float]:
        """Return the numbers for the asset's metadata."""
        counts = {keys.INDEX_VERSION: self.number, keys.ROW_COUNT: self.rows, keys.TEXTS_EMBEDDED: self.embedded}
        return {
            **counts,
            keys.VECTORS_COPIED: self.copied,
            keys.RECALL_AT_K: self.recall,
            keys.IS_NEW: int(self.is_new),
            keys.IS_SERVED: int(self.is_served),
        }


def build_index(store: Vectors, rows: pa.Table, plan: VectorIndexPlan) -> BuiltIndex:
    """Return what is served now: a new version with these rows, or the one before if it has them already.

    Rows of an earlier day than those that are served become a version that is not served.

    Args:
        store: keeps the index.
        rows: columns `id`, `text`, as the index has them `subject` and payload, and `vector` if they have vectors
            already; one row per id.
        plan: of the index.

    Raises:
        TesseraError: approximate search finds too little, or rows are missing in the store: the pointer stays where it
            was, and the version is removed.
        RefusedValue: a row does not fit the description.
    """
    plan = _in_served_space(store, plan)
    wanted, embedded = _with_vectors(store, _with_digests(rows, plan), plan)
    wanted = _kept(store, wanted, plan.spec)
    is_served = not _is_earlier(store, plan)
    if (same := _with_these_rows(store, wanted, plan, is_served)) is not None:
        index = store.open(plan.collection, same)
        found = require_recall(index, wanted, plan.gate)
        return BuiltIndex(same, index.version.rows, embedded, 0, found, False, is_served=is_served)
    number = _written(store, wanted, plan)
    found = _gated(store, plan, number, wanted)
    if is_served:
        store.publish(plan.collection, number)
    removed = store.vacuum(plan.collection, keep=plan.keep) if is_served else _without_earlier(store, plan, number)
    copied = 0 if "vector" in rows.schema.names else len(wanted) - embedded
    return BuiltIndex(number, len(wanted), embedded, copied, found, True, removed, is_served)


def _is_earlier(store: Vectors, plan: VectorIndexPlan) -> bool:
    current = store.current(plan.collection)
    return current is not None and plan.spec.is_before(store.version(plan.collection).spec)


def _without_earlier(store: Vectors, plan: VectorIndexPlan, number: int) -> list[int]:
    """Remove versions of earlier days that were never served, but for the `keep` newest before this one."""
    current = store.version(plan.collection)
    others = (
        one.number
        for one in reversed(store.versions(plan.collection))
        if current.number < one.number < number and one.state == "sealed" and one.spec.is_before(current.spec)
    )
    gone = list(islice(others, plan.keep, None))
    for one in gone:
        store.remove(plan.collection, one)
    return gone


def _in_served_space(store: Vectors, plan: VectorIndexPlan) -> VectorIndexPlan:
    """Return the plan in the served version's space if it is the same: digests of an endpoint may differ a little."""
    if store.current(plan.collection) is None:
        return plan
    served = store.version(plan.collection).spec.space
    if served.is_same(plan.spec.space):
        return replace(plan, spec=plan.spec.model_copy(update={"space": served}))
    return plan


def _with_digests(rows: pa.Table, plan: VectorIndexPlan) -> pa.Table:
    for name in ("id", "text"):
        if name not in rows.schema.names:
            raise TesseraError(
                f"The rows of the vector index {plan.collection!r} have no column {name!r}.",
                expected="columns `id` and `text`, and those of the payload",
                todo="Correct the table that it is built from.",
            )
    if rows["text"].null_count:
        raise TesseraError(
            f"{rows['text'].null_count} rows of the vector index {plan.collection!r} have no text.",
            expected="a text in each row, '' if it has none",
            todo="Correct the table that it is built from.",
        )
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in rows["text"].cast(pa.string()).to_pylist()]
    return rows.append_column("digest", pa.array(digests, pa.string()))


def _with_vectors(store: Vectors, rows: pa.Table, plan: VectorIndexPlan) -> tuple[pa.Table, int]:
    """Return the rows with a vector each, and the number of texts that were embedded."""
    if "vector" in rows.schema.names:
        return rows, 0
    known = _known(store, plan)
    digests = rows["digest"].to_pylist()
    texts_of = dict(zip(digests, rows["text"].to_pylist(), strict=True))
    missing = {digest: text for digest, text in texts_of.items() if digest not in known}
    names, texts = [*missing], [*missing.values()]
    for start in range(0, len(texts), plan.texts_at_once):
        part = texts[start : start + plan.texts_at_once]
        made = checked_vectors(plan.embed(part), plan.spec.space.dimension, plan.spec.space.metric, "Text")
        known |= dict(zip(names[start : start + plan.texts_at_once], made, strict=True))
    empty = np.empty((0, plan.spec.space.dimension), np.float32)
    matrix = np.stack([known[digest] for digest in digests]) if digests else empty
    column = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), plan.spec.space.dimension)
    return rows.append_column("vector", column), len(texts)


def _known(store: Vectors, plan: VectorIndexPlan) -> dict[str, NDArray[np.float32]]:
    """Return digest -> vector of the served version, if it is of the same space."""
    if store.current(plan.collection) is None or store.version(plan.collection).spec.space != plan.spec.space:
        return {}
    rows = store.rows(plan.collection)
    found = zip(rows["digest"].to_pylist(), vectors_of(rows), strict=True)
    return {digest: vector for digest, vector in found if digest is not None}


def _kept(store: Vectors, rows: pa.Table, spec: IndexSpec) -> pa.Table:
    """Return the rows without those of erased subjects, ascending by id."""
    others = store.forgotten(spec.subject).others(rows, "subject") if spec.subject else rows
    return others.sort_by("id")


def _with_these_rows(store: Vectors, rows: pa.Table, plan: VectorIndexPlan, is_served: bool) -> int | None:
    """Return the number of the version that has these rows: the served one, or one of an earlier day."""
    current = store.current(plan.collection)
    candidates = [store.version(plan.collection)] if is_served and current is not None else []
    if not is_served:
        candidates = [one for one in store.versions(plan.collection) if one.state == "sealed"]
    same = (one.number for one in reversed(candidates) if _has_rows(store, one, rows, plan))
    return next(same, None)


def _has_rows(store: Vectors, version: IndexVersion, rows: pa.Table, plan: VectorIndexPlan) -> bool:
    if version.spec != plan.spec or version.rows != len(rows):
        return False
    served = store.rows(plan.collection, version.number)
    names = [name for name in served.schema.names if name != "vector"]
    as_served = {name: rows[name] if name in rows.schema.names else pa.nulls(len(rows)) for name in names}
    schema = pa.schema([row_schema(plan.spec).field(name) for name in names])
    if not pa.table(as_served).cast(schema).equals(served.select(names)):
        return False
    space = plan.spec.space
    return bool(np.array_equal(checked_vectors(rows["vector"], space.dimension, space.metric), vectors_of(served)))


def _written(store: Vectors, rows: pa.Table, plan: VectorIndexPlan) -> int:
    bm25: Bm25 | None = None
    if plan.spec.tokenizer:
        bm25 = fitted(rows["text"].to_pylist(), plan.spec.tokenizer)
    else:
        rows = rows.drop_columns(["text"])
    number = store.begin(plan.collection, plan.spec, bm25)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        store.upsert(plan.collection, number, rows.slice(start, _ROWS_AT_ONCE))
    store.seal(plan.collection, number)
    return number


def _gated(store: Vectors, plan: VectorIndexPlan, number: int, rows: pa.Table) -> float:
    """Return the recall of the new version; one that does not pass is removed."""
    try:
        stored, expected = set(store.rows(plan.collection, number)["id"].to_pylist()), set(rows["id"].to_pylist())
        gone = set(rows["id"].to_pylist()) - set(_kept(store, rows, plan.spec)["id"].to_pylist())
        if stored != expected - gone:
            raise TesseraError(
                f"Version {number} of {plan.collection!r} has {len(stored)} rows; {len(expected - gone - stored)} are"
                " missing in the store. It is not served.",
                expected=f"the {len(expected - gone)} rows that were written",
                todo="Build the index again; if it repeats, look at the store.",
            )
        return require_recall(store.open(plan.collection, number), _kept(store, rows, plan.spec), plan.gate)
    except TesseraError:
        store.remove(plan.collection, number)
        raise
