"""What entity rows may be given as, what comes out, and what is refused."""

# ruff: noqa: S608 - SQL of the tests' own

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, Field, RequestSource
from feast.errors import FeatureNameCollisionError, SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

from models.errors import TesseraError
from tests.unit.feature_store.asof_feast import DAY, US_UTC, T, asked, feast, rows_file, values, view_of

pytestmark = pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning")

ENTITIES = asked((1, T), (2, T), (1, T - DAY), (3, T))
EXPECTED = [1.0, 2.0, None, None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repository")


@pytest.fixture(scope="module")
def store(folder: Path) -> FeatureStore:
    return feast(
        folder, view_of(rows_file(folder / "rows.parquet", [(1, T, T, 1.0), (2, T, T, 2.0)])), *on_demand(folder)
    )


def on_demand(folder: Path) -> tuple[Any, ...]:
    view = view_of(folder / "rows.parquet", name="base")

    def doubled(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        pairs = zip(inputs["value"], inputs["weight"], strict=True)
        return {"twice": [None if value is None else 2 * value * weight for value, weight in pairs]}

    def text(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"label": inputs["value"].map(lambda value: None if np.isnan(value) else f"v{value:g}")})

    request = RequestSource(name="request", schema=[Field(name="weight", dtype=Int64)])
    python = on_demand_feature_view(sources=[view, request], schema=[Field(name="twice", dtype=Float64)], mode="python")
    pandas = on_demand_feature_view(sources=[view], schema=[Field(name="label", dtype=String)], mode="pandas")
    return view, python(doubled), pandas(text)


class TestEntityRows:
    @pytest.mark.slow
    @pytest.mark.parametrize("given", ["arrow", "pandas", "path", "text path", "sql", "sql over a file"])
    def test_may_be_given_as(self, store: FeatureStore, tmp_path: Path, given: str) -> None:
        path = tmp_path / "it's.parquet"
        pq.write_table(ENTITIES, path)
        literals = ", ".join(
            f"({row['customer_id']}, TIMESTAMPTZ '{row['event_timestamp']}')" for row in ENTITIES.to_pylist()
        )
        entities = {
            "arrow": ENTITIES,
            "pandas": ENTITIES.to_pandas(),
            "path": path,
            "text path": str(path),
            "sql": f"SELECT * FROM (VALUES {literals}) rows(customer_id, event_timestamp);",
            "sql over a file": f"SELECT * FROM '{str(path).replace(chr(39), chr(39) * 2)}'",
        }[given]
        assert values(store, entities) == EXPECTED

    def test_sql_is_run_once_per_result(self, store: FeatureStore) -> None:
        given = f"SELECT 1::BIGINT AS customer_id, TIMESTAMPTZ '{T}' AS event_timestamp, uuid() AS token FROM range(5)"
        job = store.get_historical_features(given, ["view:value"])
        found = job.to_arrow()
        assert found["value"].to_pylist() == [1.0] * 5
        assert len(set(found["token"].to_pylist())) == 5

    def test_sql_does_not_see_our_variables(self, store: FeatureStore) -> None:
        with pytest.raises(Exception, match="ENTITIES does not exist"):
            store.get_historical_features("SELECT * FROM ENTITIES", ["view:value"])

    def test_integer_keys_with_gaps_are_floats_in_pandas(self, store: FeatureStore) -> None:
        frame = pd.DataFrame({"customer_id": [1, None, 2], "event_timestamp": [T, T, T]})
        assert frame["customer_id"].dtype == np.float64
        assert values(store, frame) == [1.0, None, 2.0]

    def test_keys_that_are_all_missing(self, store: FeatureStore) -> None:
        frame = pd.DataFrame({"customer_id": [None, None], "event_timestamp": [T, T]})
        assert values(store, frame) == [None, None]

    def test_the_only_timestamp_is_the_moment(self, store: FeatureStore) -> None:
        found = store.get_historical_features(ENTITIES.rename_columns(["customer_id", "asked_at"]), ["view:value"])
        assert found.to_arrow().column_names == ["customer_id", "asked_at", "value"]
        assert found.to_arrow()["value"].to_pylist() == EXPECTED

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda t: t.rename_columns(["Customer_id", "event_timestamp"]), "no column 'customer_id'.*'Customer_id'"),
            (lambda t: t.drop_columns("event_timestamp"), "no column 'event_timestamp'"),
            (lambda t: t.rename_columns(["customer_id", "a"]).append_column("b", t[1]), "no column 'event_timestamp'"),
            (lambda t: t.set_column(0, "customer_id", t[0].cast(pa.string())), "VARCHAR in 'customer_id'.*BIGINT"),
            (lambda t: t.set_column(0, "customer_id", t[0].cast(pa.float64())), "DOUBLE in 'customer_id'"),
            (lambda t: t.set_column(1, "event_timestamp", t[1].cast(pa.string())), "VARCHAR in 'event_timestamp'"),
            (lambda t: t.set_column(1, "event_timestamp", pa.array([1, 2, 3, 4])), "BIGINT in 'event_timestamp'"),
            (lambda t: t.append_column("value", t[0]), "entity rows and the feature view 'view' have a column 'value'"),
            (lambda t: t.append_column("VALUE", t[0]), "have a column 'value'"),
            (lambda t: t.append_column("__asof_moment", t[0]), "'__asof_moment'"),
            (lambda _: None, "given as NoneType.*SELECT"),
            (lambda t: t.to_pylist(), "given as list"),
            (lambda _: pd.DataFrame({"customer_id": [1, "a"], "event_timestamp": [T, T]}), "mixed types"),
        ],
    )  # fmt: skip
    def test_wrong_ones_are_refused(self, store: FeatureStore, change: Any, says: str) -> None:
        with pytest.raises(TesseraError, match=says):
            store.get_historical_features(change(ENTITIES), ["view:value"])

    def test_columns_that_differ_in_case_only_are_refused(self, store: FeatureStore) -> None:
        entities = ENTITIES.append_column("n", ENTITIES[0]).append_column("N", ENTITIES[0])
        with pytest.raises(TesseraError, match="column 'N' twice"):
            store.get_historical_features(entities, ["view:value"])

    def test_no_entity_rows_but_a_range_of_time_is_refused(self, store: FeatureStore) -> None:
        with pytest.raises(TesseraError, match="ranges of time without entity rows are not supported"):
            store.get_historical_features(None, ["view:value"], start_date=T - DAY, end_date=T)


class TestSources:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"feature": "Value"}, "no column 'Value' in the source of the feature view 'wrong'.*did you mean 'value'"),
            ({"created_timestamp_column": "made"}, "no column 'made'"),
            ({"created_timestamp_column": "value"}, "Column 'value' in the source .* is DOUBLE"),
        ],
    )
    def test_wrong_ones_are_refused(self, folder: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
        store = feast(tmp_path, view_of(folder / "rows.parquet", name="wrong", **change))
        with pytest.raises(TesseraError, match=says):
            store.get_historical_features(ENTITIES, [f"wrong:{change.get('feature', 'value')}"])

    def test_files_that_are_not_there_are_said_so(self, tmp_path: Path) -> None:
        store = feast(tmp_path, view_of(tmp_path / "nowhere.parquet"))
        with pytest.raises(TesseraError, match="nowhere"):
            store.get_historical_features(ENTITIES, ["view:value"])

    def test_duplicate_features_are_refused(self, folder: Path, tmp_path: Path) -> None:
        views = [view_of(folder / "rows.parquet", name=name) for name in ("one", "two")]
        store = feast(tmp_path, *views)
        with pytest.raises(FeatureNameCollisionError, match="Duplicate features named value"):
            store.get_historical_features(ENTITIES, ["one:value", "two:value"])
        found = store.get_historical_features(ENTITIES, ["one:value", "two:value"], full_feature_names=True).to_arrow()
        assert found["one__value"].to_pylist() == found["two__value"].to_pylist() == EXPECTED

    def test_duplicate_features_that_only_an_on_demand_view_asks_for_are_refused(
        self, folder: Path, tmp_path: Path
    ) -> None:
        views = [view_of(folder / "rows.parquet", name=name) for name in ("one", "two")]

        def sum_of(inputs: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"sum": inputs["one__value"] + inputs["two__value"]})

        decorated = on_demand_feature_view(sources=views, schema=[Field(name="sum", dtype=Float64)], mode="pandas")
        store = feast(tmp_path, *views, decorated(sum_of))
        with pytest.raises(
            TesseraError,
            match=r"'(one|two)' and the feature view '(one|two)' have a column 'value'.*full_feature_names",
        ):
            store.get_historical_features(ENTITIES, ["sum_of:sum"])


class TestResults:
    def test_arrow_pandas_batches_and_file_are_equal(self, store: FeatureStore, tmp_path: Path) -> None:
        entities = pa.concat_tables([ENTITIES] * 50).append_column("n", pa.array(range(200)))
        job = store.get_historical_features(entities, ["view:value"])
        table = job.to_arrow()
        assert table.schema.field("event_timestamp").type == US_UTC
        assert table["value"].to_pylist() == EXPECTED * 50
        assert pa.Table.from_pandas(job.to_df(), table.schema, preserve_index=False).equals(table)
        assert job.to_batches(7).read_all().equals(table)
        job.persist(SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet")))
        assert pq.read_table(tmp_path / "saved.parquet").cast(table.schema).equals(table)

    def test_no_rows_give_a_schema(self, store: FeatureStore, tmp_path: Path) -> None:
        job = store.get_historical_features(ENTITIES.slice(0, 0), ["view:value"])
        assert job.to_batches().read_all().schema == job.to_arrow().schema
        job.persist(SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet")))
        assert pq.read_table(tmp_path / "saved.parquet").num_rows == 0

    @pytest.mark.slow
    @pytest.mark.parametrize("rows", [0, 5, 200])
    def test_on_demand_features_are_in_every_result(self, store: FeatureStore, tmp_path: Path, rows: int) -> None:
        entities = pa.concat_tables([ENTITIES] * 50).append_column("weight", pa.array(range(200))).slice(0, rows)
        job = store.get_historical_features(entities, ["base:value", "doubled:twice", "text:label"])
        table = job.to_arrow()
        expected = (EXPECTED * 50)[:rows]
        assert table["twice"].to_pylist() == [None if v is None else 2 * v * n for n, v in enumerate(expected)]
        assert table["label"].to_pylist() == [None if v is None else f"v{v:g}" for v in expected]
        # The third and the fourth of each four rows know nothing: some batches of two have no value at all.
        batches = job.to_batches(2).read_all()
        assert (batches.column_names, batches.to_pylist()) == (table.column_names, table.to_pylist())
        assert [batches.schema.field(name).type for name in ("twice", "label")] == [pa.float64(), pa.string()]
        job.persist(SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet")))
        assert pq.read_table(tmp_path / "saved.parquet").to_pylist() == table.to_pylist()

    def test_what_an_on_demand_view_needs_is_asked_for(self, store: FeatureStore) -> None:
        with pytest.raises(TesseraError, match="no column 'weight' in the entity rows"):
            store.get_historical_features(ENTITIES, ["doubled:twice"])

    def test_batches_can_be_left_unread(self, store: FeatureStore) -> None:
        given = f"SELECT range % 3 AS customer_id, TIMESTAMPTZ '{T}' AS event_timestamp FROM range(300000)"
        reader = store.get_historical_features(given, ["view:value"]).to_batches(1000)
        assert reader.read_next_batch().num_rows == 1000
        reader.close()

    def test_a_job_can_be_asked_again_and_from_threads(self, store: FeatureStore) -> None:
        job = store.get_historical_features(ENTITIES, ["view:value"])
        found: list[list[Any]] = []
        threads = [threading.Thread(target=lambda: found.append(job.to_arrow()["value"].to_pylist())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [EXPECTED] * 4

    def test_metadata_tell_what_was_asked(self, store: FeatureStore) -> None:
        metadata = store.get_historical_features(ENTITIES, ["view:value"]).metadata
        assert metadata is not None
        assert (metadata.features, metadata.keys) == (["view:value"], ["customer_id"])
        assert (metadata.min_event_timestamp, metadata.max_event_timestamp) == (T - DAY, T)

    @pytest.mark.filterwarnings("ignore:Saving dataset:RuntimeWarning")
    @pytest.mark.filterwarnings("ignore:Retrieving datasets:RuntimeWarning")
    def test_feasts_saved_datasets(self, store: FeatureStore, tmp_path: Path) -> None:
        job = store.get_historical_features(ENTITIES, ["view:value"])
        storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"))
        store.create_saved_dataset(job, "saved", storage)
        found = store.get_saved_dataset("saved").to_df()
        assert sorted(found["value"].dropna()) == [1.0, 2.0]
        assert next(iter(found["event_timestamp"].sort_values())) == T - DAY
        with pytest.raises(SavedDatasetLocationAlreadyExists):
            store.create_saved_dataset(job, "saved", storage)
        store.create_saved_dataset(job, "saved", storage, allow_overwrite=True)


class TestPersist:
    def test_a_failing_result_leaves_the_old_file_and_nothing_else(self, tmp_path: Path, folder: Path) -> None:
        rows = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)])
        store = feast(tmp_path / "repository", view_of(rows))
        target = tmp_path / "saved" / "result.parquet"
        storage = SavedDatasetFileStorage(path=str(target))
        store.get_historical_features(ENTITIES, ["view:value"]).persist(storage)
        before = target.read_bytes()
        failing = f"SELECT 1::BIGINT AS customer_id, TIMESTAMPTZ '{T}' AS event_timestamp, error('no') AS e"
        with pytest.raises(Exception, match="no"):
            store.get_historical_features(failing, ["view:value"]).persist(storage, allow_overwrite=True)
        job = store.get_historical_features(ENTITIES, ["view:value"])
        rows.unlink()
        with pytest.raises(TesseraError, match="could not be read"):
            job.persist(storage, allow_overwrite=True)
        assert target.read_bytes() == before
        assert list(target.parent.iterdir()) == [target]

    @pytest.mark.parametrize("path", ["s3://bucket/x.parquet", "folder", "x.csv"])
    def test_other_places_are_refused(self, store: FeatureStore, path: str) -> None:
        job = store.get_historical_features(ENTITIES, ["view:value"])
        with pytest.raises(TesseraError, match=rf"cannot be kept at '{path}'.*\.parquet"):
            job.persist(SavedDatasetFileStorage(path=path))

    def test_a_relative_path_is_in_the_repository(self, store: FeatureStore, folder: Path) -> None:
        job = store.get_historical_features(ENTITIES, ["view:value"])
        job.persist(SavedDatasetFileStorage(path="saved/result.parquet"))
        assert pq.read_table(folder / "saved" / "result.parquet")["value"].to_pylist() == EXPECTED
