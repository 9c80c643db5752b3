"""Routes of the service itself: is it alive, is it ready, its OpenAPI document, its metrics."""

from typing import Any, Literal

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from pipelines.service.door import Door
from pipelines.service.errors import PROBLEMS, answers
from pipelines.service.metrics import MEDIA_TYPE, Metrics
from pipelines.service.rules import ALL, ANY, public, rule

#: They need no key: a supervisor has none, and they say nothing.
PUBLIC_PATHS = ("/v2/health/live", "/v2/health/ready")


class Live(BaseModel):
    """The server answers."""

    model_config = ConfigDict(extra="forbid")

    live: Literal[True] = True


class Ready(BaseModel):
    """The server can do its work."""

    model_config = ConfigDict(extra="forbid")

    ready: bool


def add_own_routes(service: FastAPI, door: Door, metrics: Metrics) -> None:
    """Add the routes that are of no application."""

    def add(path: str, endpoint: Any, name: str, summary: str, rule: dict[str, str], example: Any, **more: Any) -> None:
        about: dict[str, Any] = {"operation_id": name, "summary": summary, "openapi_extra": rule, "tags": ["service"]}
        found = PROBLEMS if example is None else answers(example)
        service.add_api_route(path, endpoint, methods=["GET"], responses=found, **about, **more)

    async def live() -> Live:
        return Live()

    async def ready() -> JSONResponse:
        found = await door.reading.run(lambda: door.reading.ports.sink.check().ok)
        return JSONResponse({"ready": found}, 200 if found else 503)

    async def document() -> JSONResponse:
        from pipelines.service.build import openapi

        return JSONResponse(openapi(service))

    async def measured() -> Response:
        text = await door.reading.run(lambda: metrics.text(door))
        return Response(text, media_type=MEDIA_TYPE)

    add("/v2/health/live", live, "live", "The server answers", public(), {"live": True})
    text, given = "The published scores can be read", {"ready": True}
    add("/v2/health/ready", ready, "ready", text, public(), given, response_model=Ready)
    add(
        "/openapi.json",
        document,
        "openapi",
        "This document",
        rule("viewer", ANY),
        {"openapi": "3.1.0"},
        response_class=JSONResponse,
    )
    add("/metrics", measured, "metrics", "Metrics for Prometheus", rule("viewer", ALL), None, response_class=Response)
