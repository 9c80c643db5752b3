"""Served features by id, as the store of the profile serves them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import pyarrow as pa
from service_world import ServiceWorld

from pipelines.gateway.reads import ReadLog
from tests.online_only import OnlineOnly

# pyright: basic

AT = datetime(2026, 3, 2, tzinfo=UTC)
ROWS: dict[str, Any] = {
    "u1": ("PRESENT", AT, {"recency_days": 3.5, "country": "DE"}),
    "u2": ("PRESENT", AT, {"recency_days": float("nan"), "country": None}),
    "u3": ("OUTSIDE_MAX_AGE", AT, {"recency_days": 9.0, "country": "FR"}),
}


class Served(OnlineOnly):
    """Serves rows of a table."""

    def online(self, service: str, entities: pa.Table) -> pa.Table:
        assert service == "churn_v1"
        nothing: Any = ("NOT_FOUND", None, {"recency_days": None, "country": None})
        found = [ROWS.get(id, nothing) for id in entities["customer_id"].to_pylist()]
        return pa.table(
            {
                "customer_id": entities["customer_id"],
                **{name: [values[name] for _, _, values in found] for name in ("recency_days", "country")},
                "churn_customer__status": [status for status, _, _ in found],
                "churn_customer__event_timestamp": pa.array([at for _, at, _ in found], pa.timestamp("us", "UTC")),
            }
        )


class ServedConfig(dg.Config):
    """Named by its dotted path."""

    kind: Literal["served"] = "served"

    def open(self) -> Served:
        return Served()


def test_features_come_with_status_and_timestamp_and_reads_are_logged(tmp_path: Path) -> None:
    world = ServiceWorld(tmp_path / "home", ports={"feature_store": {"kind": f"{__name__}.ServedConfig"}})
    answer = world.ask("/v1/features/churn_v1", "POST", json={"ids": ["u3", "u1", "u2", "u4"]})
    assert answer.status_code == 200, answer.text
    rows = {one["id"]: one for one in answer.json()["rows"]}
    assert [one["id"] for one in answer.json()["rows"]] == ["u3", "u1", "u2", "u4"]
    nothing = {"recency_days": None, "country": None}
    assert rows["u1"] == {
        "id": "u1",
        "status": "PRESENT",
        "features_of": "2026-03-02T00:00:00Z",
        "features": {"recency_days": 3.5, "country": "DE"},
    }
    assert [rows[id]["features"] for id in ("u2", "u3", "u4")] == [nothing] * 3
    assert [rows[id]["status"] for id in ("u2", "u3", "u4")] == ["PRESENT", "OUTSIDE_MAX_AGE", "NOT_FOUND"]
    assert rows["u4"]["features_of"] is None
    assert len(list(ReadLog(world.home).about("churn", "u4"))) == 1
    assert world.ask("/v1/features/churn_v2", "POST", json={"ids": ["u1"]}).status_code == 404
    key = world.key(app="fraud")
    assert world.ask("/v1/features/churn_v1", "POST", json={"ids": ["u1"]}, headers=key).status_code == 403
