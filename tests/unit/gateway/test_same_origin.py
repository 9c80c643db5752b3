"""Dagster's webserver behind the gateway: its own pages and programs are served, pages of other sites are not."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import websockets.sync.client as websocket_client
from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: TID251 - what the webserver is made of
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget  # noqa: TID251
from dagster_webserver.app import create_app_from_workspace_process_context
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from models.errors import TesseraError
from pipelines.cli.dev_server import guarded
from pipelines.cli.listening import listened_on
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import LOOPBACK_NAMES, Authority, SameOrigin, header_values, server_name
from resources.stack.loader import ROOT, load_stack
from tests.servers.uvicorn_thread import uvicorn_thread

PROXY = "ui.example.com"
MUTATION = json.dumps({"query": 'mutation { deleteRun: deletePipelineRun(runId: "x") { __typename } }'})


@dataclass
class Served:
    """Dagster's webserver on a port of this machine."""

    port: int

    def ask(self, method: str, path: str, headers: list[str], body: str = "") -> tuple[int, str]:
        """Send exactly these header lines; status and body of the answer."""
        lines = [f"{method} {path} HTTP/1.1", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall("\r\n".join(lines).encode("latin-1"))
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        head, _, text = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), text.decode()

    def post(self, *headers: str) -> tuple[int, str]:
        """Ask for a mutation, as a page or a program does."""
        return self.ask("POST", "/graphql", [*headers, "Content-Type: application/json"], MUTATION)

    def live(self, host: str, **headers: str) -> dict[str, Any]:
        """Open the websocket of live logs under a `Host`, and say hello."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as raw,
            websocket_client.connect(
                f"ws://{host}/graphql",
                sock=raw,
                additional_headers=headers,
                subprotocols=[Subprotocol("graphql-ws")],
            ) as connection,
        ):
            connection.send(json.dumps({"type": "connection_init"}))
            return json.loads(connection.recv(timeout=30))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    nothing = InProcessWorkspaceLoadTarget([])
    with (
        dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance,
        WorkspaceProcessContext(instance, workspace_load_target=nothing, version="") as context,
    ):
        yield context


@pytest.fixture(scope="module")
def served(context: WorkspaceProcessContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    stack = load_stack(ROOT / "stack.yaml", "local", str(tmp_path_factory.mktemp("home")), os.environ)
    with uvicorn_thread(guarded(context, stack, (*LOOPBACK_NAMES, PROXY), is_open=True)) as port:
        yield Served(port)


def own_hosts(port: int) -> list[str]:
    local = ["127.0.0.1", "localhost", "LocalHost", "localhost.", "[::1]", "[0:0:0:0:0:0:0:1]", PROXY, PROXY.upper()]
    return [*(f"{name}:{port}" for name in local), *local, "localhost:8080"]


@pytest.mark.slow
def test_own_names_are_served_in_any_spelling_and_through_a_tunnel(served: Served) -> None:
    for host in own_hosts(served.port):
        assert served.ask("GET", "/server_info", [f"Host: {host}"])[0] == 200, host
        for origin in (f"http://{host}", f"https://{host}"):
            assert served.post(f"Host: {host}", f"Origin: {origin}")[0] == 200, origin


FOREIGN_HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:{port}",
    "evil-localhost:{port}",
    "localhost@evil.example",
    "localhost:{port}@evil.example",
    "localhost:{port}, evil.example",
    "localhost:{port}/",
    "localhost:{port}x",
    "localhost:99999",
    "localhost..",
    "[::1",
    "[::1]evil.example",
    "[::ffff:7f00:1]:{port}",
    "[::2]:{port}",
    "10.0.0.1:{port}",
    "0.0.0.0:{port}",
    "2130706433",
    "127.1",
    "http://localhost:{port}",
    "ui.example.com.evil.example",
    "xui.example.com",
    "löcalhost",
    "%6cocalhost",
    "",
    " ",
]


@pytest.mark.slow
@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_name_that_another_site_made_point_here_launches_nothing(host: str, served: Served) -> None:
    """DNS rebinding: page and server have one origin then, so `Origin` agrees; the name gives it away."""
    host = host.format(port=served.port)
    for origin in ([], [f"Origin: http://{host}"]):
        status, says = served.post(f"Host: {host}", *origin)
        assert status in (400, 403), says
        assert "deleteRun" not in says


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/graphql?query={query}",
        "http://evil.example/graphql?query={query}",
        "/graphql/?query={query}",
        "//graphql?query={query}",
        "/%67raphql?query={query}",
        "/x/../graphql?query={query}",
        "/graphql;x?query={query}",
        "/graphql%3Fquery={query}",
        "/GRAPHQL?query={query}",
    ],
)
def test_no_way_of_writing_its_address_lets_a_get_have_an_effect(target: str, served: Served) -> None:
    query = "mutation%7BdeleteRun:deletePipelineRun(runId:%22x%22)%7B__typename%7D%7D"
    target = target.format(port=served.port, query=query)
    _, says = served.ask("GET", target, [f"Host: localhost:{served.port}"])
    assert "deleteRun" not in says


def test_a_refusal_says_what_was_wrong_expected_and_to_do(served: Served) -> None:
    status, says = served.post("Host: evil.example")
    assert status == 403
    problem = json.loads(says)
    assert [problem[part] for part in ("detail", "expected", "todo")] == [
        "`Host` 'evil.example' is none of this server's names.",
        "one of 127.0.0.1, [::1], localhost, ui.example.com",
        "Open the address that the server printed when it started. If a proxy passes this name on, start the server "
        "with `--allow-host evil.example`.",
    ]
    long = served.post(f"Host: {'a' * 5000}")[1]
    assert len(long) < 700


def test_a_request_without_one_host_is_refused(served: Served) -> None:
    assert served.post()[0] == 400
    assert served.post("Host: localhost", "Host: evil.example")[0] == 400
    assert served.post("Host: localhost", "X-Forwarded-Host: evil.example")[0] == 200, "it is not looked at"
    assert served.post("Host: evil.example", "X-Forwarded-Host: localhost")[0] == 403


FOREIGN_ORIGINS = [
    "http://evil.example",
    "null",
    "",
    "http://localhost",
    "http://localhost:8080",
    "https://localhost:1",
    "http://127.0.0.1:{port}",
    "http://localhost:{port}.evil.example",
    "http://localhost:{port}@evil.example",
    "http://evil.example/http://localhost:{port}",
    "file://",
    "chrome-extension://localhost:{port}",
    "localhost:{port}",
    "//localhost:{port}",
    "http://localhost:{port} http://evil.example",
]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_of_another_site_is_refused(origin: str, served: Served) -> None:
    host, origin = f"localhost:{served.port}", origin.format(port=served.port)
    assert served.post(f"Host: {host}", f"Origin: {origin}")[0] == 403
    assert served.post(f"Host: {host}", f"Origin: http://{host}", f"Origin: {origin}")[0] == 403
    with pytest.raises(InvalidStatus, match="403"):
        served.live(host, Origin=origin)


def test_programs_and_own_pages_open_the_websocket_and_rebound_names_do_not(served: Served) -> None:
    host = f"127.0.0.1:{served.port}"
    assert served.live(host) == served.live(host, Origin=f"http://{host}") == {"type": "connection_ack"}
    with pytest.raises(InvalidStatus, match="403"):
        served.live(f"evil.example:{served.port}", Origin=f"http://evil.example:{served.port}")


def fetch(site: str, mode: str, to: str) -> list[str]:
    return [f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}", f"Sec-Fetch-Dest: {to}"]


def test_what_a_browser_asks_without_an_origin_is_known_by_its_fetch_metadata(served: Served) -> None:
    own = f"Host: 127.0.0.1:{served.port}"
    for site in ("cross-site", "same-site"):  # same-site: another port of this machine
        for mode, to in (("no-cors", "image"), ("navigate", "iframe"), ("no-cors", "script"), ("cors", "empty")):
            assert served.ask("GET", "/server_info", [own, *fetch(site, mode, to)])[0] == 403
        assert served.ask("GET", "/server_info", [own, *fetch(site, "navigate", "document")])[0] == 200, "a link"
        assert served.post(own, *fetch(site, "navigate", "document"))[0] == 403, "a form"
    for site in ("same-origin", "none"):
        assert served.post(own, *fetch(site, "cors", "empty"))[0] == 200


@pytest.mark.parametrize("path", ["/graphql", "/graphql/"])
def test_no_get_has_an_effect(path: str, served: Served) -> None:
    """An image's address could launch a run: Dagster executes the mutation in the query of a GET."""
    own = f"Host: localhost:{served.port}"
    assert served.ask("GET", f"{path}?query=mutation%7B__typename%7D", [own])[0] == 405
    assert served.ask("HEAD", f"{path}?query=mutation%7B__typename%7D", [own])[0] == 405
    assert served.ask("GET", "/graphql", [own, "Accept: text/html"])[0] == 200, "the page to try queries"


def test_a_bare_webserver_answers_all_of_these(context: WorkspaceProcessContext) -> None:
    """So the gateway is what refuses, and docs/security.md is right about a bare `dagster dev`."""
    bare = TestClient(create_app_from_workspace_process_context(context), base_url="http://evil.example")
    asked = bare.post("/graphql", content=MUTATION, headers={"Content-Type": "application/json", "Origin": "null"})
    assert asked.json() == {"data": {"deleteRun": {"__typename": "RunNotFoundError"}}}
    assert bare.get("/graphql", params=json.loads(MUTATION)).json() == asked.json()
    with bare.websocket_connect("/graphql", headers={"Origin": "http://evil.example"}) as live:
        live.send_json({"type": "connection_init"})
        assert live.receive_json() == {"type": "connection_ack"}


def test_headers_are_those_that_the_request_has_now() -> None:
    """They are sorted out once; a middleware that puts others in their place is seen."""
    scope: dict[str, Any] = {"headers": [(b"Host", b" a "), (b"host", b"b"), (b"x", b"\xe9")]}
    assert [header_values(scope, name) for name in (b"host", b"x", b"y")] == [["a", "b"], ["é"], []]
    scope["headers"] = [(b"host", b"c")]
    assert [header_values(scope, name) for name in (b"host", b"x")] == [["c"], []]


def test_the_start_of_the_server_is_none_of_the_gateways_business() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any: ...

    asyncio.run(SameOrigin(app)({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]


def test_refusals_are_logged_without_what_the_page_sent(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tessera.gateway"):
        _ = served.post("Host: evil.example\x01\x1b[31m")
        _ = served.post("Host: evil.example")
    assert caplog.messages[-1] == "`Host` 'evil.example' is none of this server's names."
    assert not any("\x1b" in message for message in caplog.messages)


@settings(max_examples=15)
@given(
    labels=st.lists(st.sampled_from(["a", "b-1", "example", "0"]), min_size=1, max_size=4), port=st.integers(1, 65_535)
)
def test_spellings_of_an_authority_are_one_authority(labels: list[str], port: int) -> None:
    name = ".".join(labels)
    spellings = {f"{name}:{port}", f"{name.upper()}:{port}", f"{name}.:{port}", f"{name}:{port:05}"}
    assert {Authority.parse(text) for text in spellings} == {Authority(name, port)}


@settings(max_examples=25)
@given(text=st.text(max_size=40))
def test_no_text_is_taken_for_a_name_that_it_is_not(text: str) -> None:
    found = Authority.parse(text)
    assert found is None or found.name.strip("[]").split(":")[0] in text.lower() or text.startswith("[")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "8.8.8.8", "2001:db8::1"])  # noqa: S104
def test_beyond_loopback_a_key_is_needed(host: str, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    with pytest.raises(TesseraError, match="there is no API key"):
        listened_on(host, keys)
    keys.create("ada", "viewer")
    assert listened_on(host, keys) == (host, False)
    keys.revoke("ada")
    with pytest.raises(TesseraError, match="there is no API key"):
        listened_on(host, keys)


def test_loopback_needs_no_key_and_a_name_is_no_address(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    found = [listened_on(host, keys) for host in ("127.0.0.1", "::1", "127.0.0.5", "LOCALHOST")]
    assert found == [("127.0.0.1", True), ("::1", True), ("127.0.0.5", True), ("127.0.0.1", True)]
    with pytest.raises(TesseraError, match="`--host` is 'my-machine'"):
        listened_on("my-machine", keys)


@pytest.mark.parametrize("name", ["a b", "http://a", "a:80", "", "a/b", "*"])
def test_an_allowed_name_is_a_host_name(name: str) -> None:
    with pytest.raises(TesseraError, match="is no name of a server"):
        server_name(name)
