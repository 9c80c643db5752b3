"""The shop's features served from a server's database: the same commands, one more setting in `stack.yaml`."""

# Arrow is only partly typed.
# pyright: basic, reportAttributeAccessIssue=false

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from shop_home import DAY, Home

from assets.churn import features as churn_features
from resources.feature_store.feast.store import FeastStore

PASSWORD = "TEST_ONLINE_STORE_PASSWORD"  # noqa: S105 - the name of a variable
MORNING = datetime(DAY.year, DAY.month, DAY.day, 4, tzinfo=UTC) + timedelta(days=1)


@dataclass(frozen=True)
class Database:
    """What stands under `online_store`, of an empty database on a real server, and the secrets that it refers to."""

    settings: dict[str, Any]
    secrets: dict[str, Any]


@pytest.fixture(params=["redis", "postgres"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Database:
    if request.param == "redis":
        return Database({"type": "redis", "connection_string": request.getfixturevalue("fresh_redis")}, {})
    server = request.getfixturevalue("postgres_database")
    monkeypatch.setenv(PASSWORD, server.password)
    settings = {"type": "postgres", **server.online_store, "password": {"env": PASSWORD}}
    return Database(settings, {PASSWORD: server.password})


def test_the_days_features_are_served_and_an_older_day_does_not_replace_them(
    home: Home, database: Database, tmp_path: Path
) -> None:
    port = {"kind": "feast", "path": "${home}/served", "tables": "${home}/lake", "online_store": database.settings}
    home = home.with_stack(tmp_path / "stack.yaml", {"ports": {"feature_store": port}})
    home.tessera("run", "churn_online", "--date", DAY.isoformat(), **database.secrets)
    lake = home.opened().open("lake")
    older = max(day for day in lake.scan("churn_features").to_table()["feature_date"].to_pylist() if day < DAY)
    features = lake.scan("churn_features").to_table(filter=pc.field("feature_date").isin([older, DAY]))
    store = _store(home, MORNING)
    served = _served(store, features)
    assert _having(served, "PRESENT") == _of_the_lake(features, DAY)
    strangers = set(_having(served, "NOT_FOUND"))
    assert {"nobody"} < strangers == {"nobody"} | set(_of_the_lake(features, older)) - set(_of_the_lake(features, DAY))
    churn_features.materialize(lake, store, older)
    later = _served(store, features)
    assert _having(later, "PRESENT") == _having(served, "PRESENT")
    assert set(_having(later, "OUTSIDE_MAX_AGE")) == strangers - {"nobody"}


def _store(home: Home, now: datetime) -> FeastStore:
    config: Any = home.opened().config("feature_store")
    return FeastStore(config, lambda: now)


def _served(store: FeastStore, features: pa.Table) -> dict[str, dict[str, Any]]:
    """What an application gets of every customer, and of one who does not exist."""
    everybody = sorted({*features["customer_id"].to_pylist(), "nobody"})
    found = store.online("churn_v1", pa.table({"customer_id": pa.array(everybody, pa.string())}))
    return {row["customer_id"]: row for row in found.to_pylist()}


def _having(served: dict[str, dict[str, Any]], status: str) -> dict[str, dict[str, Any]]:
    return {customer: row for customer, row in served.items() if row["churn_customer__status"] == status}


def _of_the_lake(features: pa.Table, day: date) -> dict[str, dict[str, Any]]:
    """The same rows as they stand in the lake."""
    mine = features.filter(pc.equal(features["feature_date"], day)).drop(["feature_date", "created_timestamp"])
    renamed = [{"event_timestamp": "churn_customer__event_timestamp"}.get(name, name) for name in mine.column_names]
    rows = mine.rename_columns(renamed).to_pylist()
    return {row["customer_id"]: {**row, "churn_customer__status": "PRESENT"} for row in rows}
