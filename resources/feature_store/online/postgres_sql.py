"""The statements of the Postgres online store."""

from collections.abc import Sequence
from functools import lru_cache

from psycopg.sql import SQL, Composed, Identifier, Literal

#: Held to the end of the transaction. Under "read committed" the next statement sees all that was committed before the
#: lock was given: a writer sees the tombstones of every forget that it waited for, and a forget every row.
WRITE_LOCK = SQL("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))")
FORGET_LOCK = SQL("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))")

CREATE_FORGOTTEN = SQL("CREATE TABLE IF NOT EXISTS {forgotten} (digest BYTEA PRIMARY KEY)")
#: As Feast creates it (without pgvector).
CREATE_TABLE = SQL("""
    CREATE TABLE IF NOT EXISTS {table} (
        entity_key BYTEA,
        feature_name TEXT,
        value BYTEA,
        value_text TEXT NULL,
        vector_value BYTEA NULL,
        event_ts TIMESTAMPTZ,
        created_ts TIMESTAMPTZ,
        PRIMARY KEY (entity_key, feature_name)
    )""")
TABLES = SQL("SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)")

_READ = SQL("""
    SELECT {number}::integer, entity_key, feature_name, value, event_ts FROM {table}
    WHERE entity_key = ANY(%b) AND feature_name = ANY(%b)""")

TOMBSTONES = SQL("INSERT INTO {forgotten} SELECT sha256(unnest(%b::bytea[])) ON CONFLICT DO NOTHING")
DELETE = SQL("""
    WITH gone AS (DELETE FROM {table} WHERE entity_key = ANY(%b) RETURNING entity_key)
    SELECT DISTINCT entity_key FROM gone""")

#: Rows are locked in the order of their keys, so two writers wait for each other and never in a circle. The first
#: comparison refuses whole entities, the second one those that another writer changed meanwhile.
_UPSERT = SQL("""
    WITH incoming AS MATERIALIZED (
        SELECT *
        FROM unnest(%b::bytea[], %b::timestamptz[], %b::timestamptz[], {arrays})
            AS given (entity_key, event_ts, created_ts, {columns})
        WHERE NOT EXISTS (SELECT FROM {forgotten} WHERE digest = sha256(given.entity_key))
          AND (given.event_ts, coalesce(given.created_ts, '-infinity')) >= ALL (
            SELECT event_ts, coalesce(created_ts, '-infinity') FROM {table} AS stored
            WHERE stored.entity_key = given.entity_key)
    ), written AS (
        INSERT INTO {table} AS stored (entity_key, feature_name, value, value_text, event_ts, created_ts)
        SELECT entity_key, feature_name, value, value_text, event_ts, created_ts
        FROM incoming, LATERAL (VALUES {cells}) AS feature (feature_name, value, value_text)
        ORDER BY entity_key, feature_name COLLATE "C"
        ON CONFLICT (entity_key, feature_name) DO UPDATE SET
            value = excluded.value, value_text = excluded.value_text, vector_value = NULL,
            event_ts = excluded.event_ts, created_ts = excluded.created_ts
        WHERE (excluded.event_ts, coalesce(excluded.created_ts, '-infinity'))
           >= (stored.event_ts, coalesce(stored.created_ts, '-infinity'))
        RETURNING feature_name
    )
    SELECT count(*) FROM written WHERE feature_name = {first}""")


@lru_cache(maxsize=256)
def reading(tables: tuple[str, ...]) -> bytes:
    """Return the statement that reads all of `tables`: place of the table, entity key, feature, value, event time.

    Its parameters are arrays, for each table in turn: entity keys, then features.
    """
    reads = (_READ.format(number=number, table=Identifier(name)) for number, name in enumerate(tables))
    return SQL(" UNION ALL ").join(reads).as_bytes(None)


def upsert(table: Identifier, forgotten: Identifier, features: Sequence[str]) -> Composed:
    """Return the statement that stores rows where they are not older, and gives how many it stored.

    Its parameters are arrays: entity keys, event times, created times, then of each feature the values and the texts.
    """
    values = [Identifier(f"value_{number}") for number in range(len(features))]
    texts = [Identifier(f"text_{number}") for number in range(len(features))]
    pairs = list(zip(values, texts, strict=True))
    return _UPSERT.format(
        table=table,
        forgotten=forgotten,
        arrays=SQL(", ").join([SQL("%b::bytea[], %b::text[]")] * len(features)),
        columns=SQL(", ").join(name for pair in pairs for name in pair),
        cells=SQL(", ").join(
            SQL("({}, {}, {})").format(Literal(feature), *pair) for feature, pair in zip(features, pairs, strict=True)
        ),
        first=Literal(features[0]),
    )
