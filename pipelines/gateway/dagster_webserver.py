"""Dagster's webserver with a role: one application for each role, of one workspace.

Dagster's own permissions are checked by each resolver, some of them after the effect, and some mutations have none. So
a query is refused before it is executed, by its document; the permissions are narrowed too, for the UI's buttons.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from dagster._core.workspace.context import (  # noqa: TID251 - what the webserver is made of has no public name
    IWorkspaceProcessContext,
    WorkspaceRequestContext,
)
from dagster._core.workspace.permissions import PermissionResult  # noqa: TID251
from dagster_graphql.schema import create_schema
from dagster_webserver.webserver import DagsterWebserver
from graphene import Schema
from graphql import (
    ASTValidationRule,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    ValidationRule,
    parse,
    specified_rules,
    validate,
)
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket
from typing_extensions import override

from pipelines.gateway.dagster_roles import MUTATIONS, PERMISSIONS, ROUTES
from pipelines.gateway.holder import ALL, ROLES, Holder, Role
from pipelines.gateway.problem import MEDIA_TYPE, Refusal, problem_bytes
from pipelines.gateway.same_origin import App, Receive, Scope, Send

#: Milliseconds between the UI's questions, as `dagster dev` sets it.
_POLL_MS = 2000
_log = logging.getLogger("tessera.gateway")


class RoleRequestContext(WorkspaceRequestContext):
    """Dagster's view of one request, with the permissions of a role."""

    def __init__(self, found: Any, role: Role, source: HTTPConnection) -> None:
        process: Any = found.process_context
        super().__init__(
            found.instance, found.get_current_workspace(), process, found.version, source, read_only=role == "viewer"
        )
        self._role: Role = role

    @property
    @override
    def permissions(self) -> Mapping[str, PermissionResult]:
        return {name: self._narrowed(name, result) for name, result in super().permissions.items()}

    @override
    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        found = super().permissions_for_location(location_name=location_name)
        return {name: self._narrowed(name, result) for name, result in found.items()}

    def _narrowed(self, name: str, result: PermissionResult) -> PermissionResult:
        needed = PERMISSIONS.get(str(name), "admin")
        if ROLES.index(self._role) >= ROLES.index(needed):
            return result
        return PermissionResult(enabled=False, disabled_reason=f"It needs a key with the role {needed}")


class RoleWebserver(DagsterWebserver[Any, Any]):
    """Dagster's webserver for holders of one role."""

    def __init__(self, context: IWorkspaceProcessContext[Any], role: Role) -> None:
        self.role: Role = role
        super().__init__(context, live_data_poll_rate=_POLL_MS)

    @override
    def build_graphql_schema(self) -> Schema:
        return _schema()

    @override
    def build_graphql_validation_rules(self) -> Collection[type[ASTValidationRule]]:
        return (*specified_rules, mutations_of(self.role))

    @override
    def _make_request_context(self, conn: HTTPConnection) -> RoleRequestContext:
        return RoleRequestContext(self._process_context.create_request_context(conn), self.role, conn)

    @override
    async def execute_graphql_subscription(
        self,
        websocket: WebSocket,
        operation_id: str,
        query: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
    ) -> Any:
        """Start a subscription; Dagster itself executes what a websocket brings without validating it."""
        try:
            schema = self._graphene_schema.graphql_schema
            errors = validate(schema, parse(query), self._graphql_validation_rules)
        except GraphQLError as error:
            errors = [error]
        if errors:
            return None, errors[0].formatted
        return await super().execute_graphql_subscription(websocket, operation_id, query, variables, operation_name)

    @override
    async def gen_graphql_response(self, request_context: Any, query: str, *given: Any, **asked: Any) -> JSONResponse:
        """Answer a query; who asks for mutations is logged."""
        answer = await super().gen_graphql_response(request_context, query, *given, **asked)
        if "mutation" in query and (names := mutations_in(query)):
            holder: Holder = request_context.source.scope["tessera.holder"]
            _log.info("%s (%s) asked for %s: %d", holder.name, holder.role, ", ".join(names), answer.status_code)
        return answer

    @override
    def build_routes(self) -> Any:
        return [self._ruled(route) for route in super().build_routes()]

    def _ruled(self, route: BaseRoute) -> BaseRoute:
        needed = role_of(route)
        if ROLES.index(self.role) >= ROLES.index(needed) or not isinstance(route, Route):
            return route

        async def refused(request: Request) -> Response:
            body = problem_bytes(403, _refusal(self.role, needed), request.scope["tessera.request_id"])
            return Response(body, 403, media_type=MEDIA_TYPE)

        return Route(route.path, refused, methods=sorted(route.methods or ()), name=route.name)


def role_of(route: BaseRoute) -> Role:
    """Return the role that a route of the webserver needs."""
    if isinstance(route, Mount) or (isinstance(route, Route) and route.name == "root_static"):
        return "viewer"  # files of the UI
    return ROUTES.get(route.path, "admin") if isinstance(route, Route | WebSocketRoute) else "admin"


@cache
def mutations_of(role: Role) -> type[ASTValidationRule]:
    """Return a rule of validation that refuses a document with a mutation for which the role is too low."""

    class MutationsOfRole(ValidationRule):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            """Look at one field, wherever a fragment puts it."""
            name, parent = node.name.value, self.context.get_parent_type()
            needed = MUTATIONS.get(name, "admin")
            is_mutation = parent is not None and parent is self.context.schema.mutation_type
            if is_mutation and not name.startswith("__") and ROLES.index(role) < ROLES.index(needed):
                what = f"The role {role} may not {name!r}: it needs the role {needed}."
                self.report_error(GraphQLError(what, node, extensions={"code": "FORBIDDEN"}))

    return MutationsOfRole


def mutations_in(query: str) -> list[str]:
    """Return the mutations that a document asks for by its operations themselves, in order; [] if it is none."""
    try:
        parts = parse(query).definitions
    except GraphQLError:
        return []
    changes = [
        part for part in parts if isinstance(part, OperationDefinitionNode) and part.operation.value == "mutation"
    ]
    fields = [field for one in changes for field in one.selection_set.selections]
    return [field.name.value if isinstance(field, FieldNode) else "..." for field in fields]


class WebserverByRole:
    """Dagster's webserver behind the gateway: each holder is served by the application of their role."""

    def __init__(self, context: IWorkspaceProcessContext[Any]) -> None:
        self._apps: dict[Role, Any] = {role: RoleWebserver(context, role).create_asgi_app() for role in ROLES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or websocket.

        Raises:
            Refusal: the holder may ask about one application alone; the UI shows all.
        """
        holder: Holder = scope["tessera.holder"]
        if not holder.may("viewer", ALL):
            raise Refusal(
                403,
                f"{holder.name!r} may ask about {', '.join(sorted(holder.apps or ()))} only.",
                expected="a key of all applications: Dagster's UI shows all of them",
                todo="Ask for a key that was made without `--app`.",
            )
        await self._apps[holder.role](scope, receive, send)


def webserver_by_role(context: IWorkspaceProcessContext[Any]) -> App:
    """Return Dagster's webserver as an application behind the gateway."""
    from dagster._core.execution.compute_logs import warn_if_compute_logs_disabled  # noqa: TID251 - as Dagster starts it

    warn_if_compute_logs_disabled()
    return WebserverByRole(context)


@cache
def _schema() -> Schema:
    return create_schema()


def _refusal(role: Role, needed: Role) -> Refusal:
    return Refusal(
        403,
        f"The role {role} may not do this.",
        expected=f"the role {needed}",
        todo=f"Ask for another key: `tessera keys create NAME --role {needed}`.",
    )
