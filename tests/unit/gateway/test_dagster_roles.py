"""Dagster's webserver by role: each route, mutation and permission of the installed version has a rule that holds."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: TID251 - what the webserver is made of
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget  # noqa: TID251
from dagster._core.workspace.permissions import Permissions  # noqa: TID251
from dagster_graphql.schema import create_schema
from dagster_webserver.webserver import DagsterWebserver
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLList, GraphQLNonNull, GraphQLScalarType
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pipelines.cli.dev_server import guarded
from pipelines.gateway.dagster_roles import MUTATIONS, PERMISSIONS, ROUTES
from pipelines.gateway.holder import ROLES, Role
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import LOOPBACK_NAMES, App
from resources.stack.loader import ROOT, load_stack

SCHEMA = create_schema().graphql_schema
ADDRESS = "http://127.0.0.1:3000"


def fields() -> Mapping[str, Any]:
    found = SCHEMA.mutation_type
    assert found is not None
    return found.fields


class Guarded:
    """The webserver behind the gateway, on an empty workspace, with a key of each role."""

    def __init__(self, context: WorkspaceProcessContext, home: Path) -> None:
        stack = load_stack(ROOT / "stack.yaml", "local", str(home), os.environ)
        limits = stack.settings.service.model_copy(update={"look_seconds": 0.0})
        stack.settings = stack.settings.model_copy(update={"service": limits})
        self.keys = KeyFile(home)
        self.text = {role: self.keys.create(role, role) for role in ROLES}
        self.app: App = guarded(context, stack, LOOPBACK_NAMES, is_open=True)

    def ask(self, role: Role | None, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)  # pyright: ignore[reportArgumentType]
            headers = {**({"X-API-Key": self.text[role]} if role else {}), **more.pop("headers", {})}
            async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(asked())

    def query(self, role: Role | None, text: str, **variables: Any) -> httpx.Response:
        return self.ask(role, "POST", "/graphql", json={"query": text, "variables": variables})


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    with (
        dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget([]), version="") as context,
    ):
        yield context


@pytest.fixture(scope="module")
def webserver(context: WorkspaceProcessContext, tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    return Guarded(context, tmp_path_factory.mktemp("home"))


def is_high(role: Role, needed: Role) -> bool:
    return ROLES.index(role) >= ROLES.index(needed)


def test_every_mutation_route_and_permission_of_this_version_has_a_rule(context: WorkspaceProcessContext) -> None:
    assert set(MUTATIONS) == set(fields())
    assert set(PERMISSIONS) == {one.value for one in Permissions}
    routes = [one for one in DagsterWebserver(context).build_routes() if isinstance(one, Route | WebSocketRoute)]
    assert {one.path for one in routes if one.name != "root_static"} == set(ROUTES)


def test_a_mutation_that_is_not_listed_is_an_admins() -> None:
    """So a new version of Dagster opens nothing before its rules are written."""
    assert {MUTATIONS.get("inventedTomorrow", "admin"), ROUTES.get("/invented", "admin")} == {"admin"}
    assert {name for name, role in MUTATIONS.items() if role == "viewer"} == set(), "a viewer changes nothing"


def literal(kind: Any) -> str:
    """Some value of an input type, as a literal of a document."""
    if isinstance(kind, GraphQLNonNull):
        return literal(kind.of_type)
    if isinstance(kind, GraphQLList):
        return "[]"
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    if isinstance(kind, GraphQLInputObjectType):
        needed = {name: one.type for name, one in kind.fields.items() if isinstance(one.type, GraphQLNonNull)}
        return "{" + ", ".join(f"{name}: {literal(one)}" for name, one in needed.items()) + "}"
    return {"Int": "1", "Float": "1.0", "Boolean": "true", "GenericScalar": "1"}.get(kind.name, '"x"')


def document(name: str) -> str:
    field = fields()[name]
    given = ", ".join(f"{key}: {literal(one.type)}" for key, one in field.args.items())
    is_plain = isinstance(getattr(field.type, "of_type", field.type), GraphQLScalarType)
    selected = "" if is_plain else " { __typename }"
    return f"{name}{f'({given})' if given else ''}{selected}"


#: The shapes in which a document can hide a mutation.
SHAPES: list[Callable[[str], str]] = [
    lambda field: f"mutation {{ {field} }}",
    lambda field: f"mutation {{ harmless: {field} }}",
    lambda field: f"mutation {{ ...f }} fragment f on Mutation {{ {field} }}",
    lambda field: f"mutation {{ ... on Mutation {{ ... {{ {field} }} }} }}",
]


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES[:2])
def test_a_mutation_above_the_role_is_refused_before_it_is_executed(role: Role, webserver: Guarded) -> None:
    beyond = [name for name, needed in MUTATIONS.items() if not is_high(role, needed)]
    for number, name in enumerate(beyond):
        answer = webserver.query(role, SHAPES[number % len(SHAPES)](document(name)))
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["extensions"]["code"]) == (400, "FORBIDDEN"), (name, answer.text)
        assert answer.json()["data"] is None


@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_of_a_document_hides_a_mutation(shape: Callable[[str], str], webserver: Guarded) -> None:
    asked = shape(document("deleteRun"))
    for role in ROLES[:2]:
        assert "it needs the role admin" in webserver.query(role, asked).text
    assert "RunNotFoundError" in webserver.query("admin", asked).text


def test_a_second_operation_of_a_document_counts_too(webserver: Guarded) -> None:
    text = f"query harmless {{ version }} mutation other {{ {document('deleteRun')} }}"
    for chosen in ("harmless", "other"):
        asked = {"query": text, "operationName": chosen}
        assert "it needs the role admin" in webserver.ask("viewer", "POST", "/graphql", json=asked).text


def test_what_an_operator_may_do_reaches_dagster(webserver: Guarded) -> None:
    for name in ("terminateRun", "launchRun", "cancelPartitionBackfill"):
        answer = webserver.query("operator", f"mutation {{ {document(name)} }}")
        (given,) = answer.json()["data"].values()
        assert given["__typename"] not in ("UnauthorizedError", None), answer.text


def test_the_ui_is_told_what_a_role_may(webserver: Guarded) -> None:
    query = "{ permissions { permission value disabledReason } }"
    for role in ROLES:
        found = {one["permission"]: one for one in webserver.query(role, query).json()["data"]["permissions"]}
        for name, needed in PERMISSIONS.items():
            if name != "edit_app_managed_components":  # never of the open-source version
                assert found[name]["value"] is is_high(role, needed), (role, name)
                assert (found[name]["disabledReason"] is None) is found[name]["value"]


def asked_path(path: str) -> str:
    return path.replace("{path:path}", "x").replace("{run_id:str}", "x").replace("{asset_key:path}", "a/b")


def test_each_route_is_served_to_its_roles_and_to_no_one_without_a_key(webserver: Guarded) -> None:
    for path, needed in ROUTES.items():
        method = "POST" if path.startswith("/report_") else "GET"
        where = asked_path(path) + ("?path=x&repoLocName=x" if "notebook" in path else "")
        assert webserver.ask(None, method, where).status_code == 401, path
        for role in ROLES:
            try:
                status = webserver.ask(role, method, where).status_code
            except dg.DagsterError:
                status = 500
            assert (status == 403) is not is_high(role, needed), (path, role, status)


def test_a_reported_materialization_is_an_admins(webserver: Guarded, context: WorkspaceProcessContext) -> None:
    """The REST route that the UI does not use: it would forge the history of an asset."""
    key = dg.AssetKey(["churn", "scores"])
    for role in ("viewer", "operator", "admin"):
        answer = webserver.ask(role, "POST", "/report_asset_materialization/churn/scores", json={})
        assert (answer.status_code == 200) is (role == "admin")
        assert context.instance.has_asset_key(key) is (role == "admin")


def test_files_of_the_ui_need_a_key_and_its_page_keeps_its_own_policy(webserver: Guarded) -> None:
    for path in ("/", "/assets", "/favicon.png", "/server_info"):
        assert webserver.ask(None, "GET", path).status_code == 401
        answer = webserver.ask("viewer", "GET", path)
        assert (answer.status_code, answer.headers["x-frame-options"]) == (200, "DENY")
    policy = webserver.ask("viewer", "GET", "/").headers["content-security-policy"]
    assert "script-src 'nonce-" in policy, "the API's own policy would stop the UI's scripts"


def test_a_key_of_one_application_does_not_open_the_ui(webserver: Guarded) -> None:
    text = webserver.keys.create("churn only", "admin", "churn")
    answer = webserver.ask(None, "GET", "/", headers={"X-API-Key": text})
    assert (answer.status_code, answer.json()["detail"]) == (403, "'churn only' may ask about churn only.")


def live(webserver: Guarded, **headers: str) -> Any:
    client = TestClient(webserver.app, base_url=ADDRESS)  # pyright: ignore[reportArgumentType]
    return client.websocket_connect("ws://127.0.0.1:3000/graphql", subprotocols=["graphql-ws"], headers=headers)


def test_a_websocket_needs_a_key_and_ends_when_it_is_revoked(webserver: Guarded) -> None:
    with pytest.raises(WebSocketDisconnect), live(webserver):
        pass
    with pytest.raises(WebSocketDisconnect), live(webserver, **{"x-api-key": "tsk_0_0"}):
        pass
    text = webserver.keys.create("short", "viewer")
    with live(webserver, **{"x-api-key": text}) as opened:
        opened.send_json({"type": "connection_init"})
        assert opened.receive_json() == {"type": "connection_ack"}
        webserver.keys.revoke("short")
        with pytest.raises(WebSocketDisconnect) as ended:
            opened.receive_json()
    assert ended.value.code == 1008


def test_a_websocket_takes_no_mutation_and_answers_subscriptions(webserver: Guarded) -> None:
    run_logs = 'subscription { pipelineRunLogs(runId: "x") { __typename } }'
    with live(webserver, **{"x-api-key": webserver.text["viewer"]}) as opened:
        for id, query in (("1", f"mutation {{ {document('deleteRun')} }}"), ("2", "{ version"), ("3", run_logs)):
            opened.send_json({"type": "start", "id": id, "payload": {"query": query}})
        said = [opened.receive_json() for _ in range(3)]
    assert "it needs the role admin" in json.dumps(said[0])
    assert [one["type"] for one in said] == ["error", "error", "data"]
    assert said[2]["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionFailure"


def test_who_changes_something_is_logged(webserver: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tessera.gateway"):
        _ = webserver.query("operator", f"mutation {{ {document('terminateRun')} }}")
    assert "operator (operator) asked for terminateRun: 200" in caplog.messages


def test_an_open_server_serves_no_one_that_a_proxy_passed_on(context: WorkspaceProcessContext, tmp_path: Path) -> None:
    fresh = Guarded.__new__(Guarded)
    stack = load_stack(ROOT / "stack.yaml", "local", str(tmp_path), os.environ)
    fresh.app, fresh.text = guarded(context, stack, LOOPBACK_NAMES, is_open=True), {}
    assert fresh.ask(None, "GET", "/server_info").status_code == 200
    assert fresh.ask(None, "GET", "/server_info", headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 401
