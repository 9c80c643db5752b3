"""The newest row of each entity in a window, and all rows of a window."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FileSource
from feast.repo_config import RepoConfig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import TesseraError
from resources.feature_store.offline.store import AsofOfflineStore
from tests.unit.feature_store.asof_feast import ASOF, DAY, MICROSECOND, US_UTC, Row, T, rows_file


def config(folder: Path, offline_store: Any = ASOF) -> RepoConfig:
    registry = str(folder / "registry.pb")
    return RepoConfig(
        project="asof", provider="local", registry=registry, offline_store=offline_store, repo_path=folder,
        entity_key_serialization_version=3,
    )  # fmt: skip


def pulled(
    path: Path,
    first: datetime,
    last: datetime,
    *,
    created: str | None = "created",
    keys: Sequence[str] = ("customer_id",),
) -> pa.Table:
    job = AsofOfflineStore.pull_latest_from_table_or_query(
        config(path.parent), FileSource(path=str(path), timestamp_field="event_timestamp"), list(keys), ["value"],
        "event_timestamp", created, first, last,
    )  # fmt: skip
    return job.to_batches(2).read_all()


def newest(path: Path, first: datetime, last: datetime, **options: Any) -> dict[int, float | None]:
    rows = pulled(path, first, last, **options).to_pylist()
    assert len({row["customer_id"] for row in rows}) == len(rows)
    return {row["customer_id"]: row["value"] for row in rows}


def test_the_newest_row_of_a_window_with_both_ends(tmp_path: Path) -> None:
    rows: list[Row] = [
        (1, T - DAY, T, 1.0), (1, T, T, 2.0), (1, T + MICROSECOND, T, 3.0),
        (2, T - DAY, T, 4.0), (3, T - DAY - MICROSECOND, T, 5.0), (4, T, T, None), (4, T - DAY, T, 6.0),
    ]  # fmt: skip
    path = rows_file(tmp_path / "rows.parquet", rows)
    assert newest(path, T - DAY, T) == {1: 2.0, 2: 4.0, 4: None}


def test_columns_and_types(tmp_path: Path) -> None:
    found = pulled(rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)], at=pa.timestamp("ns", "UTC")), T, T)
    assert found.column_names == ["customer_id", "value", "event_timestamp", "created"]
    assert found.schema.types == [pa.int64(), pa.float64(), US_UTC, US_UTC]
    assert found.to_pylist() == [{"customer_id": 1, "value": 1.0, "event_timestamp": T, "created": T}]


def test_of_equal_moments_the_row_created_last(tmp_path: Path) -> None:
    rows: list[Row] = [(1, T, T + DAY, 2.0), (1, T, T, 1.0), (1, T, None, 0.0), (2, T, None, 3.0)]
    assert newest(rows_file(tmp_path / "rows.parquet", rows), T - DAY, T) == {1: 2.0, 2: 3.0}


def test_rows_without_key_or_moment_are_left_out(tmp_path: Path) -> None:
    rows: list[Row] = [(None, T, T, 1.0), (1, None, T, 2.0), (2, T, T, 3.0)]
    assert newest(rows_file(tmp_path / "rows.parquet", rows), T - DAY, T) == {2: 3.0}


def test_a_source_of_one_entity(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0), (2, T - DAY, T, 2.0)])
    assert pulled(path, T - DAY, T, keys=())["value"].to_pylist() == [1.0]
    assert pulled(path, T + DAY, T + DAY, keys=()).num_rows == 0


def test_chosen_files_stand_for_the_source(tmp_path: Path) -> None:
    files = [
        str(rows_file(tmp_path / name, [(n, T, T, float(n))])) for n, name in enumerate(["a.parquet", "b.parquet"])
    ]
    source = FileSource(path="nowhere.parquet", timestamp_field="event_timestamp")
    arguments: Any = (config(tmp_path), source, ["customer_id"], ["value"], "event_timestamp", "created", T, T)
    found = AsofOfflineStore.pull_latest_from_table_or_query(*arguments, files=files).to_arrow()
    assert sorted(found["value"].to_pylist()) == [0.0, 1.0]
    assert AsofOfflineStore.pull_all_from_table_or_query(*arguments, files=files[:1]).to_arrow()[
        "value"
    ].to_pylist() == [0.0]
    with pytest.raises(TesseraError, match="no files"):
        AsofOfflineStore.pull_latest_from_table_or_query(*arguments, files=[])


@pytest.mark.parametrize(("first", "last", "expected"), [(None, None, 3), (T, None, 2), (None, T, 2), (T, T, 1)])
def test_all_rows_of_a_window(tmp_path: Path, first: datetime | None, last: datetime | None, expected: int) -> None:
    path = rows_file(tmp_path / "rows.parquet", [(1, T + n * MICROSECOND, T, float(n)) for n in (-1, 0, 1)])
    source = FileSource(path=str(path), timestamp_field="event_timestamp")
    job = AsofOfflineStore.pull_all_from_table_or_query(
        config(tmp_path), source, ["customer_id"], ["value"], "event_timestamp", start_date=first, end_date=last
    )
    assert job.to_arrow().num_rows == expected
    assert job.metadata is None


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)], name="Value")
    with pytest.raises(TesseraError, match=r"no column 'value'.*did you mean 'Value'"):
        pulled(path, T, T)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, None]),
            st.one_of(st.none(), st.integers(0, 6)),
            st.one_of(st.none(), st.integers(0, 6)),
        ),
        max_size=25,
        unique=True,
    ),
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
@pytest.mark.slow
def test_equals_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int | None, int | None, int | None]],
    window: tuple[int, int],
) -> None:
    def at(minutes: int | None) -> datetime | None:
        return None if minutes is None else T + timedelta(minutes=minutes)

    path = tmp_path_factory.getbasetemp() / "latest.parquet"
    rows_file(path, [(who, at(event), at(created), float(n)) for n, (who, event, created) in enumerate(rows)])
    expected: dict[int, tuple[Any, float]] = {}
    for number, (who, event, created) in enumerate(rows):
        if who is None or event is None or not window[0] <= event <= window[1]:
            continue
        order = (event, -1 if created is None else created)
        if who not in expected or order > expected[who][0]:
            expected[who] = (order, float(number))
    first, last = (T + timedelta(minutes=edge) for edge in window)
    assert newest(path, first, last) == {who: value for who, (_, value) in expected.items()}


# ibis 12 reads DuckDB 2 results by a method that DuckDB has since renamed.
@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
def test_writing_is_left_to_feast(tmp_path: Path) -> None:
    """Feast's own DuckDB store appends; what it wrote is joined."""
    from tests.unit.feature_store.asof_feast import asked, feast, values, view_of

    path = rows_file(tmp_path / "rows.parquet", [(1, T, T, 1.0)])
    store = feast(tmp_path, view_of(path))
    new = pq.read_table(rows_file(tmp_path / "new.parquet", [(2, T, T, 2.0)]))
    store.write_to_offline_store("view", new.to_pandas().astype({"customer_id": "int64"}), reorder_columns=False)
    assert values(store, asked((1, T), (2, T))) == [1.0, 2.0]
