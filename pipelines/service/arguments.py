"""Arguments of a route's function, read from a request by the validators that FastAPI compiled for the route.

FastAPI's own way through a request (dependencies, exit stacks, forms, telemetry) takes several times the CPU, and
nothing here uses it. What a route takes is declared as for FastAPI, which describes it in the OpenAPI document.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, cast

from fastapi import Request, Response
from fastapi.dependencies.utils import request_params_to_args
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, PrivateAttr, TypeAdapter, ValidationError

from pipelines.gateway.problem import Refusal
from pipelines.gateway.request import header

OCTETS = "application/octet-stream"
#: Type of the error of a body that does not say that it is JSON.
NO_JSON = "no_json"
#: Digits of a length, beyond which it is longer than any body.
_MOST_DIGITS = 12


class BodyWithBytes(BaseModel):
    """A body of JSON that bytes may follow: then a header of the request says how long the JSON is.

    Attributes:
        length_header: its name, e.g. `Inference-Header-Content-Length`.
        following: the bytes.
    """

    length_header: ClassVar[str]
    _following: memoryview | None = PrivateAttr(None)

    @property
    def following(self) -> memoryview | None:
        """Return the bytes that follow the JSON; None where the header is missing."""
        return self._following

    @classmethod
    async def read(cls, request: Request) -> Self:
        """Return the body of a request.

        Raises:
            RequestValidationError: it is no JSON, by its header.
            ValidationError: the JSON is wrong.
            Refusal: the length is not one of JSON in the body.
        """
        given = header(request.scope, cls.length_header.lower().encode())
        if not given:
            return cls.model_validate_json(await _body(request))
        kind = request.headers.get("content-type", "")
        if kind and not is_json(kind) and kind.partition(";")[0].strip().lower() != OCTETS:
            raise _no_json()
        body = await _received(request)
        length = _length(cls.length_header, given, len(body))
        made = cls.model_validate_json(body[:length])
        made._following = memoryview(body)[length:]
        return made


class Arguments:
    """Arguments of a route's function: the request, parameters of path and query, and a body of JSON."""

    def __init__(self, route: APIRoute) -> None:
        found = route.dependant
        others = [*found.dependencies, *found.header_params, *found.cookie_params, *found.body_params[1:]]
        if others or not inspect.iscoroutinefunction(found.call):
            raise AssertionError(
                f"the route {route.path} takes what is not read: it may take the request, parameters of path and "
                "query, and one body, by an async function"
            )
        self._request, self._path, self._query = found.request_param_name, found.path_params, found.query_params
        self._body = [(one.name, _reader(cast(Any, one.field_info.annotation))) for one in found.body_params]
        optional = not any(is_model(one.field_info.annotation) or one.field_info.is_required() for one in self._query)
        self._defaults = {one.name: one.get_default() for one in self._query} if optional else None

    async def of(self, request: Request) -> dict[str, Any]:
        """Return the arguments by name.

        Raises:
            RequestValidationError: some are wrong; it names each of them.
            Refusal: the caller left before the end of the body.
        """
        found, wrong = self._of_path(request.path_params)
        if self._defaults is not None and not request.scope["query_string"]:
            found |= self._defaults
        else:
            of_query, wrong_too = request_params_to_args(self._query, request.query_params)
            found, wrong = found | of_query, [*wrong, *wrong_too]
        for name, read in self._body:
            try:
                found[name] = await read(request)
            except ValidationError as error:
                wrong = [*wrong, *_of_body(error)]
        if wrong:
            raise RequestValidationError(wrong)
        return found if self._request is None else found | {self._request: request}

    def _of_path(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        found, wrong = dict[str, Any](), list[Any]()
        for field in self._path:
            found[field.name], errors = field.validate(given[field.alias], {}, loc=("path", field.alias))
            wrong += errors
        return found, wrong


def is_json(content_type: str) -> bool:
    """Return True if a header `Content-Type` says JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def answer_of(value: Response | BaseModel) -> Response:
    """Return the answer that is what a route's function returned."""
    if isinstance(value, Response):
        return value
    return Response(value.model_dump_json(), media_type="application/json")


def _reader(type_: Any) -> Callable[[Request], Awaitable[Any]]:
    if is_model(type_) and issubclass(type_, BodyWithBytes):
        return type_.read
    adapter = TypeAdapter[Any](type_)

    async def read(request: Request) -> Any:
        return adapter.validate_json(await _body(request))

    return read


def _length(name: str, given: str, most: int) -> int:
    if given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS and 0 < int(given) <= most:
        return int(given)
    raise Refusal(
        400,
        f"The header `{name}` is {given[:40]!r}.",
        expected=f"the number of bytes of the JSON, with which the body begins: 1 to {most:,}, all bytes of the body",
        todo="Send the length of the JSON alone.",
    )


async def _body(request: Request) -> bytes:
    if not is_json(header(request.scope, b"content-type")):
        raise _no_json()
    return await _received(request)


def _no_json() -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": "Value error, it is no JSON", "type": NO_JSON}])


async def _received(request: Request) -> bytes:
    parts, is_more = list[bytes](), True
    while is_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The body ended early.", expected="the whole body", todo="Send it again.")
        parts.append(message.get("body", b""))
        is_more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _of_body(error: ValidationError) -> Sequence[Any]:
    return [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False, include_input=False)]


def is_model(annotation: Any) -> bool:
    """Return True if an annotation is a model of several values."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
