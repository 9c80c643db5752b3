"""Rules of access: every route has one, or the service is not built."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from typing_extensions import override

from models.compose.deadline import deadline
from models.errors import choose_from
from pipelines.gateway.holder import ALL, ANY, Holder, Role
from pipelines.gateway.problem import Refusal
from pipelines.gateway.refusals import too_slow
from pipelines.gateway.same_origin import App, Receive, Scope, Send
from pipelines.service.arguments import Arguments, answer_of, is_model
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

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._begins = self.path.partition("{")[0]
        self.app = self._behind_rule()

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if not scope["path"].startswith(self._begins) and not scope.get("root_path"):
            return Match.NONE, {}
        return super().matches(scope)

    def _behind_rule(self) -> App:
        found = self.openapi_extra or {}
        if "x-role" not in found or "x-application" not in found:
            raise AssertionError(f"the route {self.path} has no rule: give it `openapi_extra=rule(...)`")
        role, app, arguments, answer = found["x-role"], found["x-application"], Arguments(self), self.dependant.call
        known = _query_names(self)

        async def answered(request: Request) -> Response:
            return answer_of(await answer(**await arguments.of(request)))  # pyright: ignore[reportOptionalCall, reportGeneralTypeIssues]

        async def ruled(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            if role != PUBLIC:
                named = request.path_params[app[1:-1]] if app.startswith("{") else app
                check(request.scope["tessera.holder"], role, named)
            if known is not None:
                _check_query(request, known)
            await (await _in_time(answered, request))(scope, receive, send)

        return ruled


def _query_names(route: APIRoute) -> frozenset[str] | None:
    """Return the names of the query's parameters; None if a model of the whole query knows them."""
    fields = route.dependant.query_params
    if any(is_model(field.field_info.annotation) for field in fields):
        return None
    return frozenset(field.alias for field in fields)


def _check_query(request: Request, known: Collection[str]) -> None:
    if not request.scope["query_string"]:
        return
    for name in request.query_params:
        if name not in known:
            raise Refusal(
                422,
                f"The query has a parameter {name[:60]!r}, which this route does not take.",
                expected=choose_from(name, known) if known else "no parameters",
                todo="Correct its name, or leave it out.",
            )


async def _in_time(answer: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    """Return the answer within the deadline of the request; everything that is done for it knows the deadline."""
    most = request.app.state.seconds
    seconds = seconds_of(request, most)
    if seconds >= most:  # the gateway has this limit, too
        with deadline(seconds):
            return await answer(request)
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
