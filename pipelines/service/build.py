"""The service of a profile: routes found through the records of its applications, behind the gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware
from typing_extensions import override

from models.errors import TesseraError
from models.settings import Settings, objectives_of, owner_of
from pipelines.gateway.access import AccessRules, Answered, Gateway
from pipelines.gateway.credentials import Credentials
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.limits import Limits
from pipelines.gateway.same_origin import LOOPBACK_NAMES, App, SameOrigin
from pipelines.gateway.tokens import open_tokens
from pipelines.service.alerts import add_alerts
from pipelines.service.door import Door
from pipelines.service.errors import HANDLERS, Problem
from pipelines.service.features import add_features
from pipelines.service.inference import OpenedModels, add_inference
from pipelines.service.metrics import Metrics
from pipelines.service.operations import Opened, add_operations
from pipelines.service.own_routes import PUBLIC_PATHS, add_own_routes
from pipelines.service.published import add_published
from pipelines.service.rules import RuledRoute
from pipelines.service.texts import add_texts
from pipelines.service.timeout import PARAMETER
from pipelines.service.tracing import Traced
from resources.stack.loader import ROOT, Stack

_ABOUT = (
    "Published scores, and what applications answer on request. Errors are problems (RFC 9457) with `expected` and "
    "`todo`. Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
)
#: What requests depend on is looked up after this part of the time after which a request looks it up.
_EARLY, _LEAST_SECONDS = 0.8, 0.5
_log = logging.getLogger("tessera.service")
#: FastAPI's own would begin traces of its own, with paths that hold ids, and send messages of exceptions.
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)


def build_service(
    stack: Stack,
    *,
    is_open: bool = True,
    names: Sequence[str] = LOOPBACK_NAMES,
    opened: Callable[[], None] = lambda: None,
) -> App:
    """Return the service as an ASGI application.

    Args:
        stack: the profile.
        is_open: no key is needed while none was ever made: only for a server that listens on loopback.
        names: of the server, as `Host` gives them.
        opened: called once what is opened at the start is open.
    """
    metrics = Metrics()
    routes: Any = build_routes(Door(stack), metrics, opened)
    return behind_gateway(stack, routes, metrics.answered, is_open=is_open, names=names)


def behind_gateway(
    stack: Stack, routes: App, answered: Callable[[Answered], None], *, is_open: bool, names: Sequence[str]
) -> App:
    """Return routes with traces, and behind the gateway with the settings of a profile.

    Args:
        stack: the profile.
        routes: any ASGI application.
        answered: counts each request.
        is_open: as of `build_service`.
        names: as of `build_service`.
    """
    settings = stack.settings.service
    rules = AccessRules(PUBLIC_PATHS, settings.body_bytes, settings.seconds)
    limits = Limits(settings.requests_per_second, settings.burst, settings.in_flight)
    keys, tokens = KeyFile(stack.home, look_seconds=settings.look_seconds), open_tokens(settings.oidc, ROOT)
    credentials = Credentials(keys, None, tokens, is_open=is_open)
    return Traced(Gateway(routes, credentials, limits, rules, SameOrigin(routes, names), answered))


def build_routes(door: Door, metrics: Metrics, opened: Callable[[], None] = lambda: None) -> FastAPI:
    """Return the routes of the service, without the gateway; `opened` is as of `build_service`."""

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        opening = asyncio.create_task(_open_each(operations.values() if door.settings.open_at_start else (), opened))
        following = asyncio.create_task(_follow_each([*operations.values(), *models], door.settings.champion_seconds))
        yield
        opening.cancel()
        following.cancel()
        door.end()

    service = _Routes(
        title="Tessera",
        version=version("tessera"),
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=living,
        telemetry=_NO_TELEMETRY,
    )
    service.router.route_class = RuledRoute
    service.state.seconds = door.settings.seconds
    service.state.objectives = {app.name: _promised(door.stack.settings, app.name) for app in door.apps}
    add_own_routes(service, door, metrics)
    add_published(service, door)
    operations = add_operations(service, door)
    add_alerts(service, door, operations)
    add_features(service, door)
    add_texts(service, door)
    models = add_inference(service, door)
    return service


class _Routes(FastAPI):
    """Routes, and problems in place of what they raise; the gateway answers for a bug, and limits bodies."""

    @override
    def build_middleware_stack(self) -> Any:
        return ExceptionMiddleware(self.router, HANDLERS)


def _promised(settings: Settings, app: str) -> dict[str, Any]:
    """Return the owner of an application's routes and what is promised of them."""
    wanted = objectives_of(settings, app)
    latency = {"max_latency_ms": wanted.max_latency_ms, "requests_in_time": wanted.requests_in_time}
    return {"owner": owner_of(settings, app), "slo": {"requests_answered": wanted.requests_answered, **latency}}


async def _open_each(operations: Iterable[Opened], opened: Callable[[], None]) -> None:
    """Open one after the other: requests find a core that is free."""
    for one in operations:
        await one.open()
    opened()


async def _follow_each(opened: Sequence[Opened | OpenedModels], look_seconds: float) -> None:
    """Let each look up what it depends on, a little before a request would have to: one after the other."""
    while True:
        await asyncio.sleep(max(_LEAST_SECONDS, look_seconds * _EARLY))
        for one in opened:
            try:
                await one.follow()
            except TesseraError as error:
                _log.info("not followed: %s", error)
            except Exception:  # noqa: BLE001 - requests look for themselves, and say what is wrong
                _log.exception("not followed")


def openapi(service: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the routes, made once."""
    found: dict[str, Any] | None = getattr(service.state, "document", None)
    if found is None:
        service.state.document = found = _document(service)
    return found


def _document(service: FastAPI) -> dict[str, Any]:
    document = service.openapi()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[Problem.__name__] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schemas[Problem.__name__].pop("$defs", {}))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path in document["paths"].values():
        for operation in path.values():
            if (promised := service.state.objectives.get(operation.get("x-application"))) is not None:
                operation |= {"x-owner": promised["owner"], "x-slo": promised["slo"]}
            operation["responses"].pop("422", None)
            is_public = operation.get("x-role") == "none"
            operation["security"] = [] if is_public else [{"bearer": []}, {"key": []}]
            if not is_public:
                operation["parameters"] = [*operation.get("parameters", ()), PARAMETER]
    return document
