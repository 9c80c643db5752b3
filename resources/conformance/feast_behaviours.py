"""Behaviour that Feast's offline and online stores must have for Tessera, and the known gaps of each store.

`tests/conformance/feast_stores` runs every behaviour on every store. A declared gap must fail there in the declared
way: a store that closes a gap breaks the test until the gap is deleted. `docs/feast_stores.md` is generated from this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from resources.conformance.capabilities import Gap

#: Names of the stores under test and how the page calls them. Ours come first; the others are Feast's own.
OFFLINE_STORES = {"asof": "ours: ASOF on DuckDB", "duckdb": "Feast: duckdb", "postgres": "Feast: postgres"}
ONLINE_STORES = {
    "monotonic_sqlite": "ours: SQLite",
    "monotonic_redis": "ours: Redis",
    "monotonic_postgres": "ours: Postgres",
    "sqlite": "Feast: sqlite",
    "redis": "Feast: redis",
    "postgres": "Feast: postgres",
}


@dataclass(frozen=True)
class Behaviour:
    """One row of the page; its test is `test_<name>`.

    Attributes:
        statement: one sentence.
        because: who asks for it: Feast's documentation, or what goes wrong without.
        gaps: store -> what it does instead.
    """

    statement: str
    because: str
    gaps: Mapping[str, Gap] = field(default_factory=dict[str, Gap])


_NOT_SQL = Gap("takes entity rows from pandas frames only", "^AttributeError: 'str' object")
_NOT_ARROW = Gap(
    "takes entity rows from pandas frames only", "^AttributeError: .*Table' object has no attribute 'dtypes'"
)
_NO_BATCHES = Gap("gives the whole result at once", "^AttributeError: .*'to_batches'")

OFFLINE: Mapping[str, Behaviour] = {
    "the_newest_row_up_to_the_moment_is_joined": Behaviour(
        "Each entity row gets the newest feature row that is not later than its moment, by the microsecond.",
        "Feast: point-in-time joins",
    ),
    "ties_go_to_the_newest_created": Behaviour(
        "Of two rows of one moment, the one created last is joined: with a ttl, without, and with ttl 0.",
        "Feast: `created_timestamp_column`; its dask store picks the older one with ttl 0",
    ),
    "a_missing_created_is_the_oldest": Behaviour(
        "A row without created time counts, as the oldest of its moment.",
        "rows from before the column existed",
        {"postgres": Gap("drops rows without created time")},
    ),
    "ttl_includes_its_boundary": Behaviour(
        "A feature row is joined up to and including its moment + ttl; a microsecond later it is NULL.",
        "Feast: `ts + ttl >= entity_ts`",
    ),
    "without_ttl_nothing_expires": Behaviour(
        "No ttl, or ttl 0, means that nothing expires.", "Feast: `FeatureView.ttl`"
    ),
    "each_view_has_its_own_ttl": Behaviour(
        "Views with different ttls are joined at once.", "Feast: point-in-time joins"
    ),
    "a_null_in_the_newest_row_stays_null": Behaviour(
        "NULL in the newest row is the value; an older row does not fill it.", "what was known then"
    ),
    "a_feature_row_without_moment_is_never_joined": Behaviour(
        "A feature row whose moment is NULL is never joined.", "leakage: Feast's dask store joins it"
    ),
    "created_later_was_not_known_yet": Behaviour(
        "With `filter_by_created_timestamp`, a row counts from its created time on, and until then an older row does.",
        "Feast: PR 6617; late data leaks into training otherwise",
    ),
    "a_view_without_created_needs_none": Behaviour(
        "A view without created column is joined, with and without `filter_by_created_timestamp`.", "Feast: PR 6617"
    ),
    "duplicated_rows_are_kept": Behaviour(
        "Equal entity rows are kept, with equal and with different labels.",
        "training sets repeat customers; Feast's dask store collapses them",
    ),
    "rows_without_a_match_are_kept": Behaviour(
        "Entity rows whose match has expired or does not exist are kept, with NULL.", "Feast's dask store drops them"
    ),
    "their_order_is_kept": Behaviour(
        "Rows come out in the order of the entity rows.",
        "labels and weights that are kept beside them",
        {"duckdb": Gap("gives rows in any order")},
    ),
    "a_null_key_joins_nothing": Behaviour(
        "An entity row whose key is NULL is kept, with NULL.", "SQL: NULL equals nothing"
    ),
    "a_null_moment_joins_nothing": Behaviour(
        "An entity row whose moment is NULL is kept, with NULL.", "SQL: NULL is not later than anything"
    ),
    "no_rows_give_no_rows": Behaviour(
        "No entity rows give an empty result with all columns.",
        "a day without labels",
        {"postgres": Gap("cannot upload an empty frame", "SyntaxError: syntax error at or near")},
    ),
    "several_join_keys": Behaviour("A view may have several join keys, of different types.", "Feast: entities"),
    "one_view_under_two_names": Behaviour(
        "A view can be joined twice, on different columns (`with_name`, `with_join_key_map`).",
        "Feast: join key aliases",
    ),
    "other_zones_are_the_same_moments": Behaviour(
        "Moments in other time zones are the same moments, in entity and in feature rows.", "Arrow: zoned timestamps"
    ),
    "naive_entity_moments_are_utc": Behaviour("Entity moments without zone are UTC.", "Feast: `make_df_tzaware`"),
    "naive_feature_moments_are_utc": Behaviour(
        "Feature and created moments without zone are UTC.", "Feast: UTC throughout"
    ),
    "the_time_zone_of_the_process_does_not_matter": Behaviour(
        "A process in New York gets the same rows, for naive and other moments.", "servers and laptops differ"
    ),
    "entity_moments_of_any_resolution": Behaviour(
        "Entity moments in s, ms, µs and ns are the same moments.", "pandas writes ns, pandas 3 µs, SQL s"
    ),
    "feature_moments_of_any_resolution": Behaviour(
        "Feature moments in ms, µs and ns are the same moments, as is the ttl's boundary.", "pandas writes ns"
    ),
    "a_nanosecond_too_early_sees_nothing": Behaviour(
        "An entity moment a nanosecond before a feature row does not see it.",
        "leakage by rounding",
        {"duckdb": Gap("refuses moments between two microseconds", "^ArrowInvalid: .*would lose data")},
    ),
    "entity_rows_from_pandas": Behaviour("Entity rows from a pandas frame.", "Feast"),
    "entity_rows_from_arrow": Behaviour(
        "Entity rows from an Arrow table.",
        "no copy through pandas",
        {"duckdb": _NOT_ARROW, "postgres": Gap("takes pandas frames and SQL only", "^InvalidEntityType")},
    ),
    "entity_rows_from_a_parquet_file": Behaviour(
        "Entity rows from the path of a Parquet file.",
        "larger than memory",
        {"duckdb": _NOT_SQL, "postgres": Gap("takes pandas frames and SQL only", "^DatabaseError: .*syntax error")},
    ),
    "entity_rows_from_sql": Behaviour(
        "Entity rows from a query in the store's own SQL.", "Feast: `entity_df` as SQL", {"duckdb": _NOT_SQL}
    ),
    "a_key_in_other_case_is_an_error": Behaviour(
        "A key column in other case is an error that names the key.", "DuckDB's SQL does not see the difference"
    ),
    "a_key_of_another_type_is_an_error": Behaviour(
        "Keys of another type are an error: '1' is not 1.", "DuckDB's SQL casts and joins"
    ),
    "a_column_named_like_a_feature_is_an_error": Behaviour(
        "An entity column that is called like a feature is an error.", "else one of the two is silently lost"
    ),
    "scalar_types_and_values_are_the_sources": Behaviour(
        "Integers, floats, flags, texts and bytes come out with the source's type and value, NULL too.", "Feast: types"
    ),
    "moments_as_features": Behaviour(
        "Moments as features come out in UTC, NULL too.",
        "Feast: `UnixTimestamp`",
        {"postgres": Gap("gives them without zone")},
    ),
    "pandas_and_arrow_agree": Behaviour("`to_df` and `to_arrow` give the same rows.", "Feast: `RetrievalJob`"),
    "batches": Behaviour(
        "`to_batches` gives record batches, one after the other.",
        "results larger than memory",
        {"duckdb": _NO_BATCHES, "postgres": _NO_BATCHES},
    ),
    "persisted_rows_are_those_of_arrow": Behaviour("`persist` writes what `to_arrow` gives.", "Feast: `RetrievalJob`"),
    "persisting_replaces_only_when_told": Behaviour(
        "`persist` replaces what stands there only with `allow_overwrite`.",
        "Feast: `RetrievalJob.persist`",
        {"postgres": Gap("ignores `allow_overwrite`: the table exists", "^DuplicateTable")},
    ),
    "full_feature_names": Behaviour("`full_feature_names` keeps features of equal name apart.", "Feast"),
    "on_demand_features": Behaviour("On-demand features are computed, in pandas and in Python mode.", "Feast"),
    "on_demand_features_are_persisted": Behaviour(
        "`persist` writes on-demand features too.",
        "Feast: `RetrievalJob.persist`",
        {"duckdb": Gap("leaves them out", '^KeyError: \'Field "ratio" does not exist')},
    ),
    "the_newest_row_of_the_window_is_pulled": Behaviour(
        "Materialization takes each key's newest row of the window, its ends included; ties go to the newest created.",
        "Feast: `pull_latest_from_table_or_query`",
    ),
    "moments_in_nanoseconds_are_pulled": Behaviour(
        "Files in nanoseconds, as pandas writes them, can be materialized.",
        "pandas",
        {"duckdb": Gap("DuckDB 2 has no such cast", "^ConversionException: .*TIMESTAMPTZ_NS -> TIMESTAMP")},
    ),
}

_OVERWRITES = Gap("overwrites whatever stands there")
_LAST_WINS = Gap("lets the last written row win")
_KEEPS_FIRST = Gap("ignores rows of a moment that it has: there is no created time in it")
_EXPIRES_IN_THE_RESOURCE = Gap(
    "Feast's client never expires values; the `feature_store` resource does, and says OUTSIDE_MAX_AGE"
)
_NEVER_EXPIRES = Gap("never expires values (feast issues 6821, 4133, 1802)")
_CLIENT_SKIPS_NULLS = Gap("Feast's client leaves a frame of NULLs out, with a warning, before any store sees it")
_FAILS_WITHOUT_KEY = Gap("fails as a whole on one row without key", "^ValueError: Value type not supported")
_VIA_DOUBLES = Gap("Feast's engine sends integers beside NULLs through doubles")
_EMPTY_IS_NULL = Gap("Feast's engine makes a column of empty bytes NULL")
_NO_MISSING_CREATED = Gap("cannot store a missing created time", "type 'NaTType' is not supported")
_CANNOT_FORGET = Gap("has no way to remove the rows of one entity (feast issue 2129)", "cannot remove the rows")


def _feasts(gap: Gap) -> dict[str, Gap]:
    return dict.fromkeys(("sqlite", "redis", "postgres"), gap)


def _ours(gap: Gap) -> dict[str, Gap]:
    return dict.fromkeys(("monotonic_sqlite", "monotonic_redis", "monotonic_postgres"), gap)


ONLINE: Mapping[str, Behaviour] = {
    "an_older_window_never_replaces": Behaviour(
        "Materializing an older window never replaces newer values.",
        "backfills of old partitions",
        {"sqlite": _OVERWRITES, "postgres": _OVERWRITES},
    ),
    "a_microsecond_decides": Behaviour(
        "A row a microsecond older never replaces, one a microsecond newer does.",
        "several events in one second",
        {"sqlite": _OVERWRITES, "postgres": _OVERWRITES},
    ),
    "a_correction_replaces": Behaviour(
        "A row of the same moment that was created later replaces.",
        "corrections; feast issue 2795",
        {"redis": _KEEPS_FIRST},
    ),
    "what_was_corrected_never_comes_back": Behaviour(
        "A row of the same moment that was created earlier never replaces.",
        "retries after corrections",
        {"sqlite": _OVERWRITES, "postgres": _OVERWRITES},
    ),
    "a_correction_without_created_replaces": Behaviour(
        "In a view without created column, the last run wins among equal moments.",
        "corrections",
        {"redis": _KEEPS_FIRST},
    ),
    "rows_without_created_are_the_oldest": Behaviour(
        "A row without created time is older than any of its moment that has one.",
        "rows from before the column existed",
        {"sqlite": _NO_MISSING_CREATED, "redis": _KEEPS_FIRST, "postgres": _OVERWRITES},
    ),
    "pushed_rows_without_created_are_the_oldest": Behaviour(
        "The same holds for `write_to_online_store`.",
        "streams know no created time",
        {"sqlite": _NO_MISSING_CREATED, "postgres": _OVERWRITES},
    ),
    "an_older_row_that_is_pushed_is_ignored": Behaviour(
        "`write_to_online_store` of an older row changes nothing, of a newer one it does.",
        "streams and nights meet",
        {"sqlite": _OVERWRITES, "postgres": _OVERWRITES},
    ),
    "the_order_of_pushed_rows_does_not_matter": Behaviour(
        "Of several rows of a key in one frame, the newest wins, wherever it stands.",
        "feast issue 5163",
        {"sqlite": _LAST_WINS, "postgres": _LAST_WINS},
    ),
    "the_same_run_again_changes_nothing": Behaviour("Materializing a window again changes nothing.", "retries"),
    "of_two_processes_at_once_the_newest_wins": Behaviour(
        "Of two processes that write the same keys at once, the newest rows stay.",
        "backfills beside the nightly run",
        {
            "sqlite": _OVERWRITES,
            "redis": Gap("reads, compares and writes in separate steps"),
            "postgres": _OVERWRITES,
        },
    ),
    "what_feasts_own_store_held_is_not_replaced_by_older_rows": Behaviour(
        "The same holds for rows that Feast's own store and engine wrote before.",
        "moving from Feast's stores",
        {"sqlite": _OVERWRITES, "postgres": _OVERWRITES},
    ),
    "what_feasts_own_client_writes_beside_is_not_replaced_by_older_rows": Behaviour(
        "The same holds for rows that Feast's own client writes into the same store in between.",
        "Feast's feature servers take pushes",
        {
            "monotonic_sqlite": Gap("compares with the rows that it wrote itself"),
            "sqlite": _OVERWRITES,
            "postgres": _OVERWRITES,
        },
    ),
    "unknown_entities_are_not_found": Behaviour(
        "An unknown entity is NOT_FOUND, a known one PRESENT, in the order that was asked, repeated ones too.",
        "Feast: `FieldStatus`",
        {"redis": Gap("calls it PRESENT, with NULL")},
    ),
    "a_null_replaces_a_value": Behaviour("NULL in the newest row replaces a value.", "offline and online must agree"),
    "a_row_of_nulls_replaces_values": Behaviour(
        "A newest row of nothing but NULLs, materialized, replaces values.", "offline and online must agree"
    ),
    "a_pushed_row_of_nulls_replaces_values": Behaviour(
        "A newest row of nothing but NULLs, pushed alone, replaces values.",
        "offline and online must agree",
        {**_ours(_CLIENT_SKIPS_NULLS), **_feasts(_CLIENT_SKIPS_NULLS)},
    ),
    "rows_without_key_are_left_out": Behaviour(
        "A feature row without key does not stop the others.", "one bad row in a night", _feasts(_FAILS_WITHOUT_KEY)
    ),
    "a_write_that_failed_leaves_the_store_as_it_was": Behaviour(
        "After a batch that fails, nothing of it is there, and reads and writes go on.",
        "one bad row in a stream",
        {"postgres": Gap("its connection stays in the failed transaction", "^ProgrammingError: .*INTRANS")},
    ),
    "values_beyond_their_ttl_are_not_served": Behaviour(
        "`get_online_features` says OUTSIDE_MAX_AGE, without a value, once ttl has passed.",
        "Feast: feature retrieval, and `FieldStatus`",
        {**_ours(_EXPIRES_IN_THE_RESOURCE), **_feasts(_NEVER_EXPIRES)},
    ),
    "event_times_are_read_to_the_microsecond": Behaviour(
        "The event time that is served with a value is exact.",
        "its age decides",
        {
            "monotonic_sqlite": Gap(
                "Feast's client reads whole seconds; the `feature_store` resource reads the exact time beside them"
            ),
            "sqlite": Gap("stores whole seconds"),
        },
    ),
    "keys_of_several_columns_and_types": Behaviour(
        "Keys may be several columns, of different types.", "Feast: entities"
    ),
    "views_of_one_entity_do_not_mix": Behaviour("Views of one entity do not mix.", "Redis keeps them in one hash"),
    "a_view_that_is_registered_anew_is_empty": Behaviour(
        "Deleting a view deletes what is stored; registered anew it starts empty.", "Feast: `apply`"
    ),
    "values_are_those_of_feasts_own_engine": Behaviour(
        "Values of all scalar types are, bit by bit, those that Feast's own engine writes.",
        "models see one or the other",
    ),
    "feasts_own_client_reads_the_same": Behaviour(
        "Feast's own client on the same store reads the same bytes and event times.", "Feast's feature servers"
    ),
    "large_integers_beside_nulls_stay_exact": Behaviour(
        "64-bit integers are exact in a column that has NULLs too.", "keys as features", _feasts(_VIA_DOUBLES)
    ),
    "empty_strings_and_bytes_are_not_null": Behaviour(
        "Empty texts and bytes are not NULL.", "offline and online must agree", _feasts(_EMPTY_IS_NULL)
    ),
    "more_rows_than_a_batch_all_arrive": Behaviour(
        "5,000 rows in many row groups all arrive, in batches of 2,000.",
        "Feast converts the first chunk only, in places",
    ),
    "a_forgotten_entity_is_gone": Behaviour(
        "The rows of one entity can be removed, from all views, and it is NOT_FOUND.",
        "GDPR, article 17",
        _feasts(_CANNOT_FORGET),
    ),
    "a_forgotten_entity_never_comes_back": Behaviour(
        "No later run or push brings a forgotten entity back.", "GDPR, article 17", _feasts(_CANNOT_FORGET)
    ),
}
