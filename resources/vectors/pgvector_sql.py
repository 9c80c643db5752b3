"""Tables and statements of vector indexes in Postgres, for pgvector.

collection   the version that is served, and the last one ever begun
version      description, state, BM25 statistics
tombstone    of erased entities, and the key of their digests
rows_<collection>_<number>    rows of a version: `no`, `id`, `subject`, `digest`, `vector`, payload (`p_<field>`), words
words_<collection>_<number>   of a sealed version: for each term, the rows that have it, and its weight in each
"""

# ruff: noqa: S608 - the SQL is made of checked names and of constants.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from models.vectors.filters import Equal, Every, Filter, Missing, Not, OneOf, Some, bounds
from models.vectors.spec import IndexSpec, Metric, PayloadType
from models.vectors.values import Value

TABLES = """
CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
CREATE TABLE IF NOT EXISTS collection (name text PRIMARY KEY, current integer, last integer NOT NULL);
CREATE TABLE IF NOT EXISTS version (
    collection text NOT NULL, number integer NOT NULL, spec text NOT NULL, bm25 bytea NOT NULL,
    state text NOT NULL DEFAULT 'begun', rows bigint NOT NULL DEFAULT 0, published boolean NOT NULL DEFAULT false,
    PRIMARY KEY (collection, number)
);
CREATE TABLE IF NOT EXISTS tombstone_key (one boolean PRIMARY KEY DEFAULT true CHECK (one), key bytea NOT NULL);
CREATE TABLE IF NOT EXISTS tombstone (
    entity text NOT NULL, digest text NOT NULL, fingerprint integer NOT NULL, forgotten_on date NOT NULL,
    why text NOT NULL, PRIMARY KEY (entity, digest)
);
"""
MARKS = ("collection", "version", "tombstone_key", "tombstone")

#: Vectors of so many numbers stay in their row: a search that compares all rows need not look for each elsewhere.
_INLINE = 1_000
#: Numbers of a vector that pgvector's approximate index takes at most.
MOST_INDEXED = 2_000

COLUMN_TYPES: Mapping[PayloadType, str] = {
    "text": 'text COLLATE "C"',
    "document": "text",
    "texts": "text[]",
    "integer": "bigint",
    "float": "double precision",
    "boolean": "boolean",
    "timestamp": "bigint",
}
#: Of lists of values in a filter.
_ARRAYS: Mapping[PayloadType, str] = {
    "text": "text[]",
    "texts": "text[]",
    "integer": "bigint[]",
    "float": "float8[]",
    "boolean": "boolean[]",
    "timestamp": "bigint[]",
}
#: No index of texts has a limit of their length but this one; it serves all that filters ask of them.
_INDEXES: Mapping[str, str] = {"text": "hash", "integer": "btree", "float": "btree", "timestamp": "btree"}
#: The inner product serves for cosine, too: the port has brought vectors to length 1.
_OPERATORS: Mapping[Metric, str] = {"cosine": "<#>", "dot": "<#>", "euclid": "<->"}
_CLASSES: Mapping[Metric, str] = {"cosine": "vector_ip_ops", "dot": "vector_ip_ops", "euclid": "vector_l2_ops"}
_OF_BOUNDS = {"at_least": ">=", "below": "<", "at_most": "<=", "above": ">"}

Statement: TypeAlias = tuple[str, list[Any]]


class VersionTables:
    """Statements on the tables of one version; names come from the port, which has checked them."""

    def __init__(self, collection: str, number: int, spec: IndexSpec) -> None:
        self.rows, self.words = f"rows_{collection}_{number}", f"words_{collection}_{number}"
        self._spec = spec
        self.fields = [f"p_{name}" for name in spec.payload]

    @property
    def copied(self) -> Sequence[str]:
        """Columns that are written, beside `no`."""
        return ["id", "subject", "digest", "vector", *self.fields, "terms", "weights"]

    @property
    def copied_types(self) -> Sequence[str]:
        """Types of these columns; vectors and arrays are given as their bytes, which `bytea` sends as they are."""
        payload = [COLUMN_TYPES[kind].partition(" COLLATE")[0] for kind in self._spec.payload.values()]
        kinds = {"double precision": "float8", "bigint": "int8", "boolean": "bool"}
        return ["text", "text", "text", "bytea", *(kinds.get(kind, kind) for kind in payload), "bytea", "bytea"]

    @property
    def created(self) -> str:
        """Make the table of rows."""
        payload = "".join(f", p_{name} {COLUMN_TYPES[kind]}" for name, kind in self._spec.payload.items())
        dimension = self._spec.space.dimension
        return (
            f'CREATE TABLE {self.rows} (no integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE "C" NOT'
            f" NULL, subject text, digest text, vector vector({dimension}) NOT NULL{payload}, terms integer[] NOT NULL,"
            " weights real[] NOT NULL);"
            f"ALTER TABLE {self.rows} ALTER vector SET STORAGE {'PLAIN' if dimension <= _INLINE else 'EXTERNAL'};"
            f"CREATE INDEX ON {self.rows} USING hash (id)"
        )

    @property
    def words_created(self) -> str:
        """Make the table of words from the rows."""
        return (
            f"CREATE TABLE {self.words} AS SELECT term, array_agg(no) AS rows, array_agg(weight) AS weights"
            f" FROM {self.rows}, unnest(terms, weights) AS word(term, weight) GROUP BY term;"
            f"ALTER TABLE {self.words} ADD PRIMARY KEY (term)"
        )

    @property
    def words_added(self) -> str:
        """Write the words of `terms` again."""
        return (
            f"INSERT INTO {self.words} SELECT term, array_agg(no), array_agg(weight)"
            f" FROM {self.rows}, unnest(terms, weights) AS word(term, weight) WHERE term = ANY(%s::int[]) GROUP BY term"
        )

    @property
    def payload_indexed(self) -> str:
        """Index the fields that filters read, and the subject."""
        kinds = [(f"p_{name}", _INDEXES[kind]) for name, kind in self._spec.payload.items() if kind in _INDEXES]
        indexed = [("subject", "hash"), *kinds]
        return ";".join(f"CREATE INDEX ON {self.rows} USING {how} ({name})" for name, how in indexed)

    def vectors_indexed(self, m: int, ef_construct: int) -> str:
        """Build the approximate index."""
        operators = _CLASSES[self._spec.space.metric]
        return (
            f"CREATE INDEX ON {self.rows} USING hnsw (vector {operators}) WITH (m = {m}, ef_construction ="
            f" {ef_construct})"
        )

    def nearest(self, vector: Any, k: int, where: Filter | None, *, exact: bool) -> Statement:
        """Return the statement that finds the nearest rows of a vector, with their distances."""
        distance = f"vector {_OPERATORS[self._spec.space.metric]} %s"
        # An expression that is not the index's own: the index does not serve it, so that all rows are compared.
        compared = f"({distance}) + 0" if exact else distance
        condition, values = self._where(where)
        found = ", ".join(["id", f"{compared} AS distance", *self.fields])
        return f"SELECT {found} FROM {self.rows}{condition} ORDER BY distance LIMIT %s", [vector, *values, k]

    def matching(self, terms: Sequence[int], weights: Sequence[float], k: int, where: Filter | None) -> Statement:
        """Return the statement that finds the rows with the greatest dot products of weights."""
        condition, values = self._where(where)
        found = ", ".join(["id", "score", *self.fields])
        return (
            f"SELECT {found} FROM (SELECT one.no, sum(one.weight::float8 * asked.weight) AS score"
            f" FROM unnest(%s::int[], %s::float8[]) AS asked(term, weight) JOIN {self.words} AS word USING (term),"
            " unnest(word.rows, word.weights) AS one(no, weight) GROUP BY one.no) AS scored"
            f" JOIN {self.rows} USING (no){condition} ORDER BY score DESC, id LIMIT %s",
            [[*terms], [*weights], *values, k],
        )

    def _where(self, where: Filter | None) -> Statement:
        if where is None:
            return "", []
        text, values = self._condition(where)
        return f" WHERE {text}", values

    def _condition(self, where: Filter) -> Statement:
        """Return a condition that is null or false for rows that do not fit."""
        if isinstance(where, Every | Some):
            parts = [self._condition(one) for one in where.filters]
            word, none = (" AND ", "true") if isinstance(where, Every) else (" OR ", "false")
            text = word.join(text for text, _ in parts) or none
            return f"({text})", [value for _, values in parts for value in values]
        if isinstance(where, Not):
            text, values = self._condition(where.filter)
            return f"({text} IS NOT TRUE)", values
        column, kind = f"p_{where.field}", self._spec.payload[where.field]
        if isinstance(where, Missing):
            return f"({column} IS NULL OR cardinality({column}) = 0)" if kind == "texts" else f"{column} IS NULL", []
        if isinstance(where, Equal | OneOf):
            return _one_of(column, kind, (where.value,) if isinstance(where, Equal) else where.values)
        limits = bounds(where)
        one = _ARRAYS[kind].removesuffix("[]")
        text = " AND ".join(f"{column} {_OF_BOUNDS[name]} %s::{one}" for name in limits)
        return f"({text or f'{column} IS NOT NULL'})", [*limits.values()]


def _one_of(column: str, kind: PayloadType, values: Sequence[Value]) -> Statement:
    if kind == "texts":
        return f"({column} && %s::text[])", [[*values]]
    if len(values) == 1:
        return f"({column} = %s::{_ARRAYS[kind].removesuffix('[]')})", [*values]
    return f"({column} = ANY(%s::{_ARRAYS[kind]}))", [[*values]]
