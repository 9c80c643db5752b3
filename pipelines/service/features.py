"""`POST /v1/features/{service}`: the features that are served online, for each Feast service of the profile."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import pyarrow as pa
from fastapi import Body, FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from assets.stages.app import App, FeatureService
from assets.stages.score_now import Found, ScoreNow
from models.tracing import span
from pipelines.service.door import Door, OwnThread
from pipelines.service.errors import answers
from pipelines.service.rules import rule
from resources.feature_store.port import moment_column, online_part, status_column

_EXAMPLE = {"ids": ["u00001633"]}
_ABOUT = Body(openapi_examples={"example": {"value": _EXAMPLE}})
_ANSWERED: dict[str, Any] = {
    "service": "churn_v1",
    "rows": [
        {
            "id": "u00001633",
            "status": "PRESENT",
            "features_of": "2026-03-02T00:00:00Z",
            "features": {"recency_days": 12.0, "orders_total": 7.0, "country": "DE"},
        }
    ],
}
Value = float | int | bool | str | None


class ServedFeatures(BaseModel):
    """Features of one entity."""

    model_config = ConfigDict(extra="forbid")

    id: str
    status: Found = Field(description="PRESENT; NOT_FOUND; OUTSIDE_MAX_AGE: too old to be used.")
    features_of: datetime | None = Field(description="Timestamp of the features; NULL where none were found.")
    features: dict[str, Value] = Field(description="By name; all are NULL unless PRESENT.")


class FeaturesFound(BaseModel):
    """Features of the entities that were asked for, in their order."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(description="Feast service; its name is the version of the features.")
    rows: list[ServedFeatures]


def add_features(service: FastAPI, door: Door) -> None:
    """Add the route of each application whose features Feast serves by entity."""
    for app in door.apps:
        if app.service is not None:
            service.add_api_route(
                f"/v1/features/{app.service.name}",
                _endpoint(door, app, app.service),
                methods=["POST"],
                responses=answers(_ANSWERED),
                operation_id=f"features_{app.service.name}",
                summary=f"Served features of {app.service.name} by {app.service.entity}",
                tags=["features"],
                openapi_extra=rule("viewer", app.name),
            )


def _endpoint(door: Door, app: App, of: FeatureService) -> Any:
    thread = door.thread(f"features-{of.name}")

    async def features(request: Request, asked: Annotated[ScoreNow, _ABOUT]) -> FeaturesFound:
        door.log_read(request, app.name, asked.ids)
        return await thread.run(lambda: _found(thread, of, asked.ids))

    return features


def _found(thread: OwnThread, of: FeatureService, ids: Sequence[str]) -> FeaturesFound:
    with span("read features", {"tessera.rows": len(ids)}):
        store = online_part(thread.ports.feature_store)
        found = store.online(of.name, pa.table({of.entity: pa.array(ids, pa.string())}))
    status, moment = status_column(of.view), moment_column(of.view)
    names = [name for name in found.schema.names if name not in (of.entity, status, moment)]
    rows = [
        ServedFeatures(
            id=id,
            status=row[status],
            features_of=row[moment],
            features={name: _value(row[name]) if row[status] == "PRESENT" else None for name in names},
        )
        for id, row in zip(ids, found.to_pylist(), strict=True)
    ]
    return FeaturesFound(service=of.name, rows=rows)


def _value(value: Any) -> Value:
    """Return a feature's value as JSON has it: NULL for NaN."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, float | int | bool | str | None) else str(value)
