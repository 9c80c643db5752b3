"""Every error of a route as a problem document."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from assets.stages.operation import Conflict, NotThere, WrongRequest
from models.compose.deadline import DeadlinePassed
from models.errors import TesseraError, clause
from models.tracing import note_error
from pipelines.gateway.problem import MEDIA_TYPE, Refusal, problem
from pipelines.service.arguments import NO_JSON

_log = logging.getLogger("tessera.service")
_SHOWN = 60


class WrongValue(BaseModel):
    """One wrong value of a request."""

    model_config = ConfigDict(extra="forbid")

    pointer: str
    detail: str


class Problem(BaseModel):
    """An error as RFC 9457 describes it, with what was expected and what to do."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    expected: str
    todo: str
    request_id: str
    errors: list[WrongValue] = []


#: For the OpenAPI document: any route may answer with a problem.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "The request was refused, or failed.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def answers(example: Any) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route for the OpenAPI document: an example, and problems."""
    return {**PROBLEMS, 200: {"content": {"application/json": {"example": example}}}}


def answered(
    request: Request,
    status: int,
    error: TesseraError,
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return a problem as the answer to a request."""
    body = problem(status, error, request.scope.get("tessera.request_id", ""), errors)
    return JSONResponse(body, status, dict(headers or {}), MEDIA_TYPE)


def status_of(error: TesseraError) -> int:
    """Return the HTTP status of an error: the asker's mistakes are 4xx, all others mean that it cannot be done now."""
    if isinstance(error, Refusal):
        return error.status
    if isinstance(error, WrongRequest):
        return 422
    if isinstance(error, Conflict):
        return 409
    if isinstance(error, DeadlinePassed):
        return 504
    return 404 if isinstance(error, NotThere) else 503


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TesseraError)  # noqa: S101 - registered for it
    status = status_of(error)
    note_error(error)
    if status >= 500:
        _log.warning("request %s: %s", request.scope.get("tessera.request_id"), error)
    return answered(request, status, error, headers=error.headers if isinstance(error, Refusal) else None)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    given = request.headers.get("content-type", "")
    if error.errors()[0]["type"] == NO_JSON:
        return answered(request, 415, _no_json(given))
    wrong = [{"pointer": _pointer(one["loc"]), "detail": clause(one["msg"])} for one in error.errors()]
    first = wrong[0]
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    says = TesseraError(
        f"The request is wrong at {first['pointer']}: {first['detail']}{more}.",
        expected="what the OpenAPI document says (GET /openapi.json)",
        todo="Correct the values that `errors` names.",
    )
    return answered(request, 422, says, wrong)


def _no_json(given: str) -> TesseraError:
    return TesseraError(
        f"The body has the type {given[:_SHOWN]!r}." if given else "The body has no type.",
        expected="JSON, with the header `Content-Type: application/json`",
        todo="Send the header.",
    )


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    asked = f"{request.method} {request.url.path[:_SHOWN]}"
    says = TesseraError(
        f"{asked}: {clause(str(error.detail))}.",
        expected="a path and a method of the OpenAPI document",
        todo="Look at GET /openapi.json.",
    )
    return answered(request, error.status_code, says, headers=error.headers)


def _pointer(place: Sequence[Any]) -> str:
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in place)


#: Every error of a route that is foreseen.
HANDLERS: Mapping[Any, Any] = {TesseraError: _refused, RequestValidationError: _invalid, HTTPException: _of_http}
