"""The files of `deploy/` in front of the real gateways: nginx and Caddy end TLS, and ask clients for certificates."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import websockets.sync.client as websocket_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: TID251 - what the webserver is made of
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget  # noqa: TID251
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from pipelines.cli.dev_server import guarded
from pipelines.gateway.keys import KeyFile
from pipelines.gateway.same_origin import LOOPBACK_NAMES, App, Receive, Scope, Send
from pipelines.service.build import build_service
from resources.stack.loader import ROOT, load_stack
from tests.servers.ports import free_port
from tests.servers.uvicorn_thread import uvicorn_thread

API, UI = "api.example.com", "ui.example.com"
DEPLOY = ROOT / "deploy"
_START_SECONDS = 60


@dataclass(frozen=True)
class Certificates:
    """Files of an authority, a server and a client."""

    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def context(self, client: str = "") -> ssl.SSLContext:
        """TLS of a client that trusts the authority, with the certificate of this name."""
        found = ssl.create_default_context(cafile=self.file("authority.pem"))
        if client:
            found.load_cert_chain(self.file(f"{client}.pem"), self.file(f"{client}.key"))
        return found


def _made(folder: Path) -> Certificates:
    authority, stranger = _issued(folder, "authority", None), _issued(folder, "stranger-authority", None)
    for name, issuer in (("server", authority), ("reports", authority), ("stranger", stranger)):
        _issued(folder, name, issuer)
    shutil.copy(folder / "authority.pem", folder / "clients.pem")
    return Certificates(folder)


def _issued(folder: Path, name: str, issuer: Any) -> Any:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, signing = issuer or (subject, key)
    names = x509.SubjectAlternativeName([x509.DNSName(API), x509.DNSName(UI)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .sign(signing, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / f"{name}.key").write_bytes(text)
    return subject, key


class Headers:
    """An application, and the headers of the last request that reached it."""

    def __init__(self, app: App) -> None:
        self._app, self.last = app, dict[str, str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.last = {name.decode(): value.decode() for name, value in scope["headers"]}
        await self._app(scope, receive, send)


@dataclass
class Upstream:
    """Both servers of a home on ports of this machine, and keys of it."""

    api: Headers
    api_port: int
    ui_port: int
    key: str


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    home = tmp_path_factory.mktemp("home")
    stack = load_stack(ROOT / "stack.yaml", "local", str(home), os.environ)
    key = KeyFile(home).create("ada", "viewer")
    api = Headers(build_service(stack, names=(*LOOPBACK_NAMES, API)))
    with (
        dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget([]), version="") as context,
        uvicorn_thread(api) as api_port,
        uvicorn_thread(guarded(context, stack, (*LOOPBACK_NAMES, UI), is_open=True)) as ui_port,
    ):
        yield Upstream(api, api_port, ui_port, key)


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs with a file of `deploy/`."""

    plain_port: int
    tls_port: int
    certificates: Certificates

    def get(self, name: str, path: str, client: str = "", **headers: str) -> httpx.Response:
        """Ask by TLS, as the client with this certificate."""
        return self.request("GET", name, path, client, headers=headers)

    def request(self, method: str, name: str, path: str, client: str = "", **more: Any) -> httpx.Response:
        headers = {"Host": f"{name}:{self.tls_port}", **more.pop("headers", {})}
        with httpx.Client(verify=self.certificates.context(client), trust_env=False) as asking:
            address = f"https://127.0.0.1:{self.tls_port}{path}"
            return asking.request(method, address, headers=headers, extensions={"sni_hostname": name}, **more)

    def live(self, **headers: str) -> Any:
        """Open the websocket of live logs by TLS."""
        return websocket_client.connect(
            f"wss://{UI}:{self.tls_port}/graphql",
            sock=socket.create_connection(("127.0.0.1", self.tls_port)),
            ssl=self.certificates.context(),
            server_hostname=UI,
            additional_headers=headers,
            subprotocols=[Subprotocol("graphql-ws")],
        )


def _program(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(f"/usr/sbin/{name}")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing in CI")
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return found


def _nginx(folder: Path, text: str, ports: tuple[int, int]) -> list[str]:
    text = text.replace("listen 80", f"listen 127.0.0.1:{ports[0]}").replace(
        "listen 443", f"listen 127.0.0.1:{ports[1]}"
    )
    text = text.replace("$host$request_uri", f"$host:{ports[1]}$request_uri")
    places = "".join(f"{one}_temp_path {folder}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    around = (
        f"daemon off; error_log {folder}/log; pid {folder}/pid; events {{}} http {{ access_log off; {places} {text} }}"
    )
    (folder / "nginx.conf").write_text(around)
    return [_program("nginx", "nginx-light"), "-e", f"{folder}/log", "-c", f"{folder}/nginx.conf"]


def _caddy(folder: Path, text: str, ports: tuple[int, int]) -> list[str]:
    options = f"admin off\nhttp_port {ports[0]}\nhttps_port {ports[1]}\nstorage file_system {folder}/storage"
    (folder / "Caddyfile").write_text(f"{{\n{options}\nskip_install_trust\n}}\n{text}")
    return [_program("caddy", "caddy"), "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run a proxy; it dies with this process, however that ends."""
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "out").open("wb") as out:
        line = ["setpriv", "--pdeathsig", "TERM", *command]
        server = subprocess.Popen(line, stdout=out, stderr=out, env=environment)
    try:
        until = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert server.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < until, "the proxy does not listen"
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    folder, ports = tmp_path_factory.mktemp(request.param), (free_port(), free_port())
    certificates = _made(folder)
    text = (DEPLOY / {"nginx": "nginx.conf", "caddy": "Caddyfile"}[request.param]).read_text()
    text = text.replace("/etc/tessera/tls", str(folder))
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{upstream.api_port}")
    text = text.replace("127.0.0.1:3000", f"127.0.0.1:{upstream.ui_port}")
    command = {"nginx": _nginx, "caddy": _caddy}[request.param](folder, text, ports)
    with _running(command, folder, ports[1]):
        yield Proxy(*ports, certificates)


pytestmark = pytest.mark.slow


def test_a_client_needs_its_certificate_and_a_key(proxy: Proxy, upstream: Upstream) -> None:
    for client in ("", "stranger"):
        try:
            refused = proxy.get(API, "/openapi.json", client, **{"X-API-Key": upstream.key}).status_code
        except (httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError):
            refused = 400  # Caddy ends the handshake, nginx answers
        assert refused == 400, client
    assert proxy.get(API, "/openapi.json", "reports").status_code == 401
    answer = proxy.get(API, "/openapi.json", "reports", **{"X-API-Key": upstream.key})
    assert (answer.status_code, answer.json()["info"]["title"]) == (200, "Tessera")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_what_a_client_says_of_itself_is_replaced(proxy: Proxy, upstream: Upstream) -> None:
    forged = {
        "X-Forwarded-For": "9.9.9.9",
        "X-Client-Subject": "CN=root",
        "Forwarded": "for=9.9.9.9",
        "X-Forwarded-Proto": "x",
    }
    assert proxy.get(API, "/v2/health/live", "reports", **forged).status_code == 200
    found = {name: upstream.api.last.get(name) for name in ("x-forwarded-for", "x-client-subject", "x-forwarded-proto")}
    assert found == {"x-forwarded-for": "127.0.0.1", "x-client-subject": "CN=reports", "x-forwarded-proto": "https"}
    assert not upstream.api.last.get("forwarded")


def test_a_long_body_ends_at_the_proxy(proxy: Proxy, upstream: Upstream) -> None:
    given = {"X-API-Key": upstream.key, "Content-Type": "application/json"}
    answer = proxy.request("POST", API, "/v1/churn/score", "reports", content=b"x" * 2_000_000, headers=given)
    assert answer.status_code in (413, 502), answer.text  # Caddy 2.6: when the server behind has read nothing of it


def test_plain_http_is_sent_to_tls(proxy: Proxy) -> None:
    for name in (API, UI):
        answer = httpx.get(f"http://127.0.0.1:{proxy.plain_port}/runs?x=1", headers={"Host": name}, trust_env=False)
        assert answer.status_code in (301, 308)
        assert answer.headers["location"].removesuffix("/runs?x=1") in (
            f"https://{name}:{proxy.tls_port}",
            f"https://{name}",
        )


def test_a_name_that_is_not_ours_gets_nothing(proxy: Proxy) -> None:
    with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
        _ = proxy.get("evil.example.com", "/")


def test_a_browser_logs_in_by_tls_and_opens_live_logs(proxy: Proxy, upstream: Upstream) -> None:
    origin = {"Origin": f"https://{UI}:{proxy.tls_port}"}
    assert proxy.get(UI, "/", Accept="text/html").status_code == 303
    answer = proxy.request("POST", UI, "/login", data={"key": upstream.key}, headers=origin)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-tessera")
    assert cookie.endswith("; Secure")
    held = {"Cookie": cookie.split(";")[0]}
    assert "Dagster" in proxy.get(UI, "/", **held).text
    with proxy.live(**held, **origin) as live:
        live.send(json.dumps({"type": "connection_init"}))
        assert json.loads(live.recv(timeout=30)) == {"type": "connection_ack"}
    for headers in (origin, held, {**held, "Origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus, match="403"), proxy.live(**headers):
            pass


UNITS = sorted(DEPLOY.glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` finds unknown settings and values, and programs that are not there."""
    (tmp_path / unit.name.replace("@", "@fraud")).write_text(unit.read_text().replace("/path/to/tessera", str(ROOT)))
    command = [_program("systemd-analyze", "systemd"), "verify", "--user", "--man=no", *map(str, tmp_path.iterdir())]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
