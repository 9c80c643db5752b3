"""Rules of access: every route has one, or the service is not built."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from models.compose.deadline import deadline
from models.errors import choose_from
from pipelines.gateway.holder import ALL, ANY, Holder, Role
from pipelines.gateway.problem import Refusal
from pipelines.gateway.refusals import too_slow
from pipelines.service.timeout import seconds_of

#: In place of a role: no key is needed.
PUBLIC = "none"


def rule(role: Role, app: str) -> dict[str, str]:
    """Return the rule of a route, as it stands in the OpenAPI document."""
    return {"x-role": role, "x-application": app}


def named_by(parameter: str) -> str:
    """Return, in place of an application's name, that a parameter of the path names it."""
    return f"{{{parameter}}}"


def public() -> dict[str, str]:
    """Return the rule of a route that needs no key."""
    return {"x-role": PUBLIC, "x-application": ANY}


class RuledRoute(APIRoute):
    """A route that asks its rule before anything of the request is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the rule."""
        answer, found = super().get_route_handler(), self.openapi_extra or {}
        if "x-role" not in found or "x-application" not in found:
            raise AssertionError(f"the route {self.path} has no rule: give it `openapi_extra=rule(...)`")
        role, app = found["x-role"], found["x-application"]
        known = _query_names(self)

        async def ruled(request: Request) -> Response:
            if role != PUBLIC:
                named = request.path_params[app[1:-1]] if app.startswith("{") else app
                check(request.scope["tessera.holder"], role, named)
            if known is not None:
                _check_query(request, known)
            return await _in_time(answer, request)

        return ruled


def _query_names(route: APIRoute) -> frozenset[str] | None:
    """Return the names of the query's parameters; None if a model of the whole query knows them."""
    fields = route.dependant.query_params
    if any(_is_model(field.field_info.annotation) for field in fields):
        return None
    return frozenset(field.alias for field in fields)


def _check_query(request: Request, known: Collection[str]) -> None:
    for name in request.query_params:
        if name not in known:
            raise Refusal(
                422,
                f"The query has a parameter {name[:60]!r}, which this route does not take.",
                expected=choose_from(name, known) if known else "no parameters",
                todo="Correct its name, or leave it out.",
            )


async def _in_time(answer: Callable[[Request], Coroutine[Any, Any, Response]], request: Request) -> Response:
    """Return the answer within the deadline of the request; everything that is done for it knows the deadline."""
    seconds = seconds_of(request, request.app.state.seconds)
    limit = asyncio.timeout(seconds)
    with deadline(seconds):
        try:
            async with limit:
                return await answer(request)
        except TimeoutError:
            if not limit.expired():
                raise
            raise too_slow(seconds) from None


def check(holder: Holder, role: Role, app: str) -> None:
    """Accept a holder who may do what needs this role.

    Raises:
        Refusal: they may not.
    """
    if not holder.may(role, app):
        what = "what is of no one application" if app in (ANY, ALL) else f"the application {app!r}"
        held = f"role {holder.role}" + (f", only {', '.join(sorted(holder.apps))}" if holder.apps is not None else "")
        raise Refusal(
            403,
            f"{holder.name!r} ({held}) may not do this.",
            expected=f"the role {role} for {what}",
            todo=f"Ask for another key: `tessera keys create NAME --role {role}`.",
        )


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
