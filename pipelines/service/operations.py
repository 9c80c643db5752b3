"""`/v1/<app>/<operation>`: what applications do on request, a route for each operation of their records."""

import inspect
import logging
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Body as OfBody
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from assets.stages.app import App
from assets.stages.operation import Asker, Handler, Operation, QuickHandler
from models.compose.deadline import check_deadline, without_deadline
from models.errors import TesseraError
from models.tracing import note, span
from pipelines.service.door import QUICK_SECONDS, Door
from pipelines.service.errors import answers
from pipelines.service.idempotency import HEADER, StoredAnswers
from pipelines.service.rules import rule
from resources.account import on_account_of

_log = logging.getLogger("tessera.service")
#: The header of a route with an effect, for the OpenAPI document.
IDEMPOTENCY: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "description": "Any text of its own for this request: the same key and body again give the same answer.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200},
        }
    ]
}
_VERSION = Query(min_length=1, max_length=200, description="Version of the model that answers; default: the champion.")


def add_operations(service: FastAPI, door: Door) -> Mapping[tuple[str, str], "Opened"]:
    """Add the routes of each application of the profile; return its operations by its name and theirs."""
    stored, added = StoredAnswers(door.stack.home), dict[tuple[str, str], Opened]()
    for app in door.apps:
        for operation in app.operations() if app.operations else ():
            added[app.name, operation.name] = opened = Opened(door, app, operation, stored)
            service.add_api_route(
                f"/v1/{app.name}/{operation.name}",
                _endpoint(opened),
                methods=[operation.method],
                response_model=operation.gives,
                responses=answers(operation.answered),
                operation_id=f"{app.name}_{operation.name}",
                summary=operation.summary,
                tags=[app.name],
                openapi_extra={**rule(operation.role, app.name), **(IDEMPOTENCY if operation.has_effect else {})},
            )
    return added


class Opened:
    """An operation, opened in a thread of its own when it is first asked for."""

    def __init__(self, door: Door, app: App, operation: Operation, stored: StoredAnswers) -> None:
        self.door, self.app, self.operation, self._stored = door, app, operation, stored
        self._thread = door.thread(f"{app.name}-{operation.name}")
        self._handler: Handler | None = None
        self._seconds = float("inf")

    async def open(self) -> None:
        """Open it before it is asked for; what is missing in the home is logged, and the first request tries again."""
        try:
            await self._thread.run(self._opened)
        except TesseraError as error:
            _log.info("%s.%s is not open yet: %s", self.app.name, self.operation.name, error.what)

    async def follow(self) -> None:
        """Let it look up what it depends on, if it is open."""
        if isinstance(self._handler, QuickHandler):
            await self._thread.run(self._handler.follow)

    async def answer(self, request: Request, body: Any, version: str | None) -> Response:
        """Return what the operation answers; what has an effect has it once per `Idempotency-Key`."""
        of = [str(one) for name in self.operation.subject for one in _listed(getattr(body, name))]
        if of:
            self.door.log_read(request, self.app.name, of)
        asker = Asker(request.scope["tessera.holder"].name, version)
        given = request.headers.get(HEADER) if self.operation.has_effect else None
        if given is None:
            if self._is_quick(body, asker):
                check_deadline()
                return _json(self._found(body, asker, app=self.app.name))
            return _json(await self._thread.run(lambda: self._timed(body, asker)))
        place = (request.scope["tessera.holder"].id, given)
        asked = f"{request.url.path}\n{body.model_dump_json()}"

        def done() -> Mapping[str, Any]:
            return self._done(body, asker).model_dump(mode="json")

        return JSONResponse(await self._thread.run(lambda: self._stored.once(place, asked, done)))

    def _is_quick(self, body: Any, asker: Asker) -> bool:
        """Return True if the answer takes less than what it costs to hand it to the thread, which has nothing to do."""
        handler = self._handler
        if not isinstance(handler, QuickHandler) or self._seconds > QUICK_SECONDS or not self._thread.is_idle:
            return False
        return handler.is_quick(body, asker)

    def _timed(self, body: Any, asker: Asker) -> BaseModel:
        """`_done`, and keep what it took: another model begins to answer in the thread, where it is opened."""
        began = time.thread_time()
        try:
            return self._done(body, asker)
        finally:
            self._seconds = time.thread_time() - began

    def _done(self, body: Any, asker: Asker) -> BaseModel:
        name = self.app.name
        with span(f"operation {name}.{self.operation.name}", {"tessera.app": name}):
            return self._found(body, asker)

    def _found(self, body: Any, asker: Asker, **about: str) -> BaseModel:
        with on_account_of(self.app.name):
            found = self._opened()(body, asker)
        note(model_version=getattr(found, "model_version", ""), **about)
        return found

    def _opened(self) -> Handler:
        if self._handler is None:
            with span("open the operation"), without_deadline():
                self._handler = self.operation.opened(self._thread.ports, self.door.stack.settings)
        return self._handler


def _endpoint(opened: Opened) -> Any:
    async def answered(request: Request, body: Any, version: str | None = None) -> Response:
        return await opened.answer(request, body, version)

    operation, keyword = opened.operation, inspect.Parameter.KEYWORD_ONLY
    about = Query() if operation.method == "GET" else OfBody(openapi_examples={"example": {"value": operation.example}})
    taken = [
        inspect.Parameter("request", keyword, annotation=Request),
        inspect.Parameter("body", keyword, annotation=Annotated[operation.takes, about]),
    ]
    if operation.pins:
        taken.append(inspect.Parameter("version", keyword, annotation=Annotated[str | None, _VERSION], default=None))
    answered.__signature__ = inspect.Signature(taken)  # pyright: ignore[reportFunctionMemberAccess]
    return answered


def _json(found: BaseModel) -> Response:
    return Response(found.model_dump_json(), media_type="application/json")


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
