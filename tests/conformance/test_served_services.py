"""What is served of services of every shape, from our online stores and from Feast's own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import TesseraError
from resources.feature_store.feast.store import FeastStore, FeastStoreConfig
from tests.conformance.served_definitions import MAX_AGE

# pyright: basic

pytestmark = pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning")

US_UTC = pa.timestamp("us", "UTC")
DAY = timedelta(days=1)
T = datetime(2024, 3, 31, 12, tzinfo=UTC)
OLD = T - MAX_AGE - DAY
ROWS = {
    "buying": {"customer_id": ["a", "b", "old"], "orders": [2, 4, 1], "spend": [10.0, 100.0, 5.0]},
    "stock": {"product_number": [1, -2, 3], "pieces": [24, None, 6], "shelf": ["x", "ÿ", None]},
    "taste": {"customer_id": ["a", "a", "b"], "product_number": [1, -2, 1], "likes": [True, False, None]},
}
MOMENTS = {"buying": [T, T, OLD], "stock": [T, OLD, T], "taste": [T, T, OLD]}
TYPES = {"orders": pa.int64(), "pieces": pa.int64(), "likes": pa.bool_(), "shelf": pa.string()}

OURS = ["sqlite", "redis", "postgres"]
FEASTS = ["feast.sqlite", "feast.redis"]


def settings(kind: str, request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    if "redis" in kind:
        return {"type": kind, "connection_string": request.getfixturevalue("redis_url")}
    if "postgres" in kind:
        server = request.getfixturevalue("postgres_server").online_store
        return {"type": kind, **server, "db_schema": "served_services"}
    return {"type": kind, "path": str(folder / "online.db")}


def files(folder: Path) -> dict[str, list[str]]:
    """One file per view."""
    for view, columns in ROWS.items():
        moments = pa.array(MOMENTS[view], US_UTC)
        given = {name: pa.array(values, TYPES.get(name)) for name, values in columns.items()}
        rows = pa.table({**given, "event_timestamp": moments, "created_timestamp": moments})
        pq.write_table(rows, folder / f"{view}.parquet")
    return {view: [str(folder / f"{view}.parquet")] for view in ROWS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="module", params=[*OURS, *FEASTS])
def store(request: pytest.FixtureRequest, folder: Path) -> FeastStore:
    config = FeastStoreConfig(
        path=str(folder / request.param),
        definitions="tests.conformance.served_definitions",
        online_store=settings(request.param, request, folder / request.param),
    )
    opened = FeastStore(config, clock=lambda: T)
    opened.apply()
    for view, of_view in files(folder).items():
        opened.materialize(view, OLD - DAY, T, files=of_view)
    return opened


def pairs(*rows: tuple[str | None, int | None], **columns: list[Any]) -> pa.Table:
    customers, products = zip(*rows, strict=True)
    return pa.table(
        {"customer_id": pa.array(customers, pa.string()), "product_number": pa.array(products, pa.int64()), **columns}
    )


@pytest.mark.slow
def test_views_of_two_entities_each_say_how_they_were_found(store: FeastStore) -> None:
    rows = store.online("all", pairs(("a", 1), ("a", -2), ("b", 1), ("nobody", 3), ("a", None), ("old", 9)))
    assert rows.column_names[2:6] == ["likes", "pieces", "shelf", "spend"]
    assert rows["likes"].to_pylist() == [True, False, None, None, None, None]
    assert rows["pieces"].to_pylist() == [24, None, 24, 6, None, None]
    assert rows["shelf"].to_pylist() == ["x", "ÿ", "x", None, None, None]
    assert rows["spend"].to_pylist() == [10.0, 10.0, 100.0, None, 10.0, None]
    present, unknown, old = "PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"
    assert rows["taste__status"].to_pylist() == [present, present, old, unknown, unknown, unknown]
    # `stock` has no ttl.
    assert rows["stock__status"].to_pylist() == [present, present, present, present, unknown, unknown]
    assert rows["buying__status"].to_pylist() == [present, present, present, unknown, present, old]
    assert rows["buying__event_timestamp"].to_pylist() == [T, T, T, None, T, OLD]
    assert rows["taste__event_timestamp"].to_pylist() == [T, T, OLD, None, None, None]


@pytest.mark.slow
def test_an_aliased_view_is_asked_by_its_other_key(store: FeastStore) -> None:
    rows = store.online("gift", pa.table({"giver_id": ["b", "nobody"], "customer_id": [1, 2]}))
    assert rows.column_names == [
        "giver_id", "customer_id", "orders", "spend", "giver__status", "giver__event_timestamp"
    ]  # fmt: skip
    assert rows["spend"].to_pylist() == [100.0, None]
    assert rows["giver__status"].to_pylist() == ["PRESENT", "NOT_FOUND"]


def test_computed_features_see_values_that_are_young_enough(store: FeastStore) -> None:
    asked = pairs(("a", 1), ("b", -2), ("old", 3), ("nobody", 9), basket_value=[7.0, 30.0, 1.0, 2.0])
    rows = store.online("computed", asked)
    assert rows["over_mean"].to_pylist() == [2.0, 5.0, None, None]
    assert rows["dozens"].to_pylist() == [2.0, None, 0.5, None]
    assert rows["shelf"].to_pylist() == ["x", "ÿ", None, None]
    assert rows["buying__status"].to_pylist() == ["PRESENT", "PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"]
    with pytest.raises(TesseraError, match="no column 'basket_value'"):
        store.online("computed", asked.drop_columns("basket_value"))


def test_present_values_are_those_of_feast_itself(store: FeastStore) -> None:
    """Feast knows no ttl online, so only rows that are young enough are compared."""
    feast, asked = store._session.feast, {"customer_id": ["a", "b"], "product_number": [1, 3]}
    for service, more in (("all", {}), ("computed", {"basket_value": [7.0, 30.0]})):
        theirs = feast.get_online_features(feast.get_feature_service(service), {**asked, **more}).to_dict()
        ours = store.online(service, pa.table({**asked, **more})).to_pydict()
        assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.slow
def test_training_sees_the_same(store: FeastStore, folder: Path) -> None:
    asked = pairs(("a", 1), ("b", -2), ("old", 3), ("nobody", 9), basket_value=[7.0, 30.0, 1.0, 2.0])
    then = asked.append_column("event_timestamp", pa.array([T] * 4, US_UTC))
    for service in ("all", "computed"):
        online = store.online(service, asked)
        offline = store.historical(service, then, files=files(folder))
        features = [name for name in offline.column_names if name not in then.column_names]
        assert online.select(features).to_pydict() == offline.select(features).to_pydict()


def test_forgetting_needs_views_of_that_entity_alone(store: FeastStore) -> None:
    with pytest.raises(TesseraError, match="'taste' is keyed by customer_id, product_number"):
        store.forget("customer", "a")
    assert store.online("all", pairs(("a", 1)))["buying__status"].to_pylist() == ["PRESENT"]


def test_two_features_of_one_name_are_refused(store: FeastStore) -> None:
    with pytest.raises(TesseraError, match="'twice' has two features 'orders'"):
        store.online("twice", pa.table({"customer_id": ["a"]}))
