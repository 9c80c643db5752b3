"""The tests of the feature store port."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.conformance import OnlineFeatureStoreConformance
from resources.conformance.feature_definitions import MAX_AGE
from resources.conformance.feature_rows import (
    DAY,
    HOUR,
    MICROSECOND,
    UNCHECKED,
    US_UTC,
    FeatureFiles,
    Row,
    T,
    asked,
    known_at,
    visits_at,
)
from resources.feature_store.port import FeatureStore

# pyarrow has no static types.
# pyright: basic


class FeatureStoreConformance(OnlineFeatureStoreConformance):
    """The tests that every feature store must pass. A harness overrides the fixture `opened`.

    Each test has customers of its own, so a fixture `opened` of the scope `class` may keep one store for all.
    """

    def test_apply_names_the_services_and_can_be_repeated(self, opened: Callable[[], FeatureStore]) -> None:
        assert sorted(opened().apply()) == sorted(opened().apply()) == ["activity_v1", "customer_v1"]

    def test_it_is_healthy(self, store: FeatureStore) -> None:
        assert store.check().ok

    def test_features_come_after_the_entity_columns_with_their_types(
        self, store: FeatureStore, file: FeatureFiles
    ) -> None:
        files = {"activity": [file(Row("a", T, 1.0))], "profile": [file(Row("a", T, 33), view="profile")]}
        found = store.historical("customer_v1", asked(("a", T)), files=files)
        assert found.column_names == ["customer_id", "event_timestamp", "visits", "plan", "age"]
        assert found.schema.types[2:] == [pa.float64(), pa.string(), pa.int64()]
        assert found.drop_columns("event_timestamp").to_pylist() == [
            {"customer_id": "a", "visits": 1.0, "plan": "gold", "age": 33}
        ]

    def test_rows_their_order_duplicates_and_other_columns_are_kept(
        self, store: FeatureStore, file: FeatureFiles
    ) -> None:
        entities = asked(("b", T), ("a", T), ("unknown", T), ("b", T), ("a", T - DAY), (None, T))
        entities = entities.append_column("churned", pa.array([1, 0, 1, 0, 1, 0], pa.int8()))
        entities = entities.append_column("weight_y", pa.array([[1.0]] * 6))
        rows = file(Row("a", T, 1.0), Row("b", T, 2.0), Row(None, T, 9.0))
        assert visits_at(store, entities, rows) == [2.0, 1.0, None, 2.0, None, None]

    def test_many_rows_keep_their_order(self, store: FeatureStore, file: FeatureFiles) -> None:
        rows = [Row(f"c{number}", T, float(number)) for number in range(5_000)]
        entities = asked(*((row.customer, T) for row in reversed(rows)))
        assert visits_at(store, entities, file(*rows)) == [row.value for row in reversed(rows)]

    def test_the_newest_row_that_is_not_from_the_future_wins(self, store: FeatureStore, file: FeatureFiles) -> None:
        rows = file(Row("a", T - DAY, 1.0), Row("a", T, 2.0), Row("a", T + MICROSECOND, 3.0))
        assert visits_at(store, asked(("a", T), ("a", T - MICROSECOND)), rows) == [2.0, 1.0]

    def test_features_expire_after_their_ttl_and_not_at_it(self, store: FeatureStore, file: FeatureFiles) -> None:
        files = {"activity": [file(Row("a", T, 1.0))], "profile": [file(Row("a", T, 33), view="profile")]}
        entities = asked(("a", T + MAX_AGE), ("a", T + MAX_AGE + MICROSECOND), ("a", T + 900 * DAY))
        found = store.historical("customer_v1", entities, files=files)
        assert found["visits"].to_pylist() == [1.0, None, None]
        assert found["age"].to_pylist() == [33, 33, 33], "a view without ttl"

    def test_a_null_in_the_newest_row_stays_null(self, store: FeatureStore, file: FeatureFiles) -> None:
        assert visits_at(store, asked(("a", T)), file(Row("a", T - DAY, 1.0), Row("a", T, None))) == [None]

    def test_a_correction_counts_from_the_moment_it_was_created(self, store: FeatureStore, file: FeatureFiles) -> None:
        rows = file(Row("a", T - DAY, 1.0), Row("a", T, 2.0, created=T + DAY))
        moments = (T, T + DAY - MICROSECOND, T + DAY)
        assert visits_at(store, asked(*(("a", at) for at in moments)), rows) == [1.0, 1.0, 2.0]

    @pytest.mark.parametrize("place", range(3))
    def test_of_rows_of_one_moment_the_one_created_last_wins(
        self, place: int, store: FeatureStore, file: FeatureFiles
    ) -> None:
        rows = [Row("a", T, 1.0, created=T + HOUR), Row("a", T, 3.0)]
        rows.insert(place, Row("a", T, 2.0, created=T + DAY))
        assert visits_at(store, asked(("a", T + DAY)), file(*rows)) == [2.0]

    def test_moments_of_other_zones_and_resolutions_are_the_same_moments(
        self, store: FeatureStore, file: FeatureFiles
    ) -> None:
        moments = pa.array([T, T - MICROSECOND], US_UTC).cast(pa.timestamp("ns", "America/New_York"))
        entities = pa.table({"customer_id": ["a", "a"], "event_timestamp": moments})
        assert visits_at(store, entities, file(Row("a", T, 1.0))) == [1.0, None]

    def test_it_reads_the_files_it_is_given_and_no_others(self, store: FeatureStore, file: FeatureFiles) -> None:
        old, new, entities = file(Row("a", T, 1.0)), file(Row("b", T, 2.0)), asked(("a", T), ("b", T))
        assert visits_at(store, entities, old) == [1.0, None]
        assert visits_at(store, entities, new) == [None, 2.0]
        assert visits_at(store, entities, old, new) == [1.0, 2.0]

    def test_threads_with_different_files_do_not_mix(self, store: FeatureStore, file: FeatureFiles) -> None:
        files = [file(Row("a", T, float(number))) for number in range(6)]
        with ThreadPoolExecutor(3) as pool:
            found = pool.map(lambda each: visits_at(store, asked(("a", T)), each), files)
        assert list(found) == [[float(number)] for number in range(6)]

    def test_no_entities_give_no_rows(self, store: FeatureStore) -> None:
        found = store.historical("activity_v1", asked(), files={"activity": []})
        assert (found.num_rows, found.column_names[2:]) == (0, ["visits", "plan"])

    @settings(max_examples=5, deadline=None, suppress_health_check=UNCHECKED)
    @given(
        rows=st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(0, 9)), min_size=1, max_size=30
        ),
        questions=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 40)), min_size=1, max_size=30),
    )
    def test_joins_equal_a_plain_loop(
        self,
        store: FeatureStore,
        tmp_path_factory: pytest.TempPathFactory,
        rows: list[tuple[str, int, int]],
        questions: list[tuple[str, int]],
    ) -> None:
        unique = {(who, at, at + late): None for who, at, late in rows}
        known = [
            Row(who, T + at * DAY, float(number), created=T + made * DAY)
            for number, (who, at, made) in enumerate(unique)
        ]
        entities = [(who, T + at * DAY) for who, at in questions]
        expected = [known_at(known, who, moment, MAX_AGE) for who, moment in entities]
        written = FeatureFiles(tmp_path_factory.mktemp("loop"))(*known)
        assert visits_at(store, asked(*entities), written) == expected

    @pytest.mark.parametrize(
        ("service", "change", "says"),
        [
            ("activity_v2", lambda t: t, "'activity_v2'.*did you mean 'activity_v1'"),
            ("activity_v1", lambda t: t.drop_columns("customer_id"), "'customer_id'"),
            ("activity_v1", lambda t: t.rename_columns(["customer_id", "at"]), "'event_timestamp'"),
            ("activity_v1", lambda t: t.append_column("plan", pa.array(["x"])), "'plan'"),
            ("activity_v1", lambda t: t.set_column(0, "customer_id", pa.array([1])), "int64.*'customer_id'"),
            ("activity_v1", lambda t: t.set_column(1, "event_timestamp", pa.array(["now"])), "'event_timestamp'"),
            ("activity_v1", lambda t: t.set_column(1, "event_timestamp", pa.array([datetime(2024, 1, 1)])), "'event_t"),
            ("activity_v1", lambda t: t.set_column(1, "event_timestamp", pa.nulls(1, US_UTC)), "'event_timestamp'"),
        ],
    )
    def test_wrong_questions_are_refused(
        self, service: str, change: Any, says: str, store: FeatureStore, file: FeatureFiles
    ) -> None:
        with pytest.raises(TesseraError, match=says) as refused:
            store.historical(service, change(asked(("a", T))), files={"activity": [file(Row("a", T, 1.0))]})
        assert refused.value.expected
        assert refused.value.todo

    def test_a_view_without_files_is_refused(self, store: FeatureStore) -> None:
        with pytest.raises(TesseraError, match="'activity'") as refused:
            store.historical("activity_v1", asked(("a", T)), files={})
        assert refused.value.todo
